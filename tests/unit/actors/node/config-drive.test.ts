import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  configDrive,
  type ConfigDriveInput,
  type ConfigDriveInterface,
} from '../../../../actors/node/config-drive.ts';

const test = suite('config drive');

const NIC: ConfigDriveInterface = {
  interfaceId: 'a5b2f0d4-77f1-4d37-8a43-0a6d1cbb9b02',
  networkId: '0e6b3df6-9f0f-4a1e-8f0e-2b7b6fd1c001',
  mac: '02:00:00:4e:91:0b',
  mtu: 7950,
  ipv4: '10.20.0.57',
  netblock: '10.20.0.0/24',
  gateway: '10.20.0.1',
  hasDNS: false,
};

const INPUT: ConfigDriveInput = {
  instanceId: '4df7a7f4-92c1-46d3-8f4e-2b1f61a0c9d7',
  name: 'web',
  namespace: 'lab',
  zone: 'zone1',
  sshKey: 'ssh-ed25519 AAAA me',
  userData: null,
  interfaces: [NIC],
  upstreamDns: '8.8.8.8',
  randomSeed: 'c2VlZA==',
};

function files(change: Partial<ConfigDriveInput> = {}): Readonly<Record<string, string>> {
  const drive = configDrive({ ...INPUT, ...change });
  if (!drive.ok) throw new Error(drive.reason);
  return Object.fromEntries(
    Object.entries(drive.files).map(([name, content]) => [name, Buffer.from(content).toString()]),
  );
}

function json(name: string, change: Partial<ConfigDriveInput> = {}): Record<string, unknown> {
  return JSON.parse(files(change)[`openstack/latest/${name}`] ?? 'null') as Record<string, unknown>;
}

test('network_data.json is the example of the contract, byte for byte in meaning', () => {
  assert.equal(json('network_data.json'), {
    links: [
      {
        id: 'eth0',
        name: 'eth0',
        type: 'vif',
        vif_id: 'a5b2f0d4-77f1-4d37-8a43-0a6d1cbb9b02',
        ethernet_mac_address: '02:00:00:4e:91:0b',
        mtu: 7950,
      },
    ],
    networks: [
      {
        id: '0e6b3df6-9f0f-4a1e-8f0e-2b7b6fd1c001-0',
        link: 'eth0',
        type: 'ipv4',
        network_id: '0e6b3df6-9f0f-4a1e-8f0e-2b7b6fd1c001',
        ip_address: '10.20.0.57',
        netmask: '255.255.255.0',
        routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.20.0.1' }],
      },
    ],
    services: [{ type: 'dns', address: '8.8.8.8' }],
  });
});

test('meta_data.json has every member of the contract and nothing else', () => {
  assert.equal(json('meta_data.json'), {
    uuid: '4df7a7f4-92c1-46d3-8f4e-2b1f61a0c9d7',
    name: 'web',
    hostname: 'web.local',
    availability_zone: 'zone1',
    launch_index: 0,
    devices: [],
    project_id: null,
    public_keys: { mykey: 'ssh-ed25519 AAAA me' },
    random_seed: 'c2VlZA==',
  });
});

test('both versions hold the same five files', () => {
  const tree = files();
  const names = [
    'meta_data.json',
    'network_data.json',
    'user_data',
    'vendor_data.json',
    'vendor_data2.json',
  ];
  const expected = ['2017-02-22', 'latest'].flatMap((version) =>
    names.map((name) => `openstack/${version}/${name}`),
  );
  assert.equal(Object.keys(tree).sort(), expected);
  for (const name of names) {
    assert.is(tree[`openstack/latest/${name}`], tree[`openstack/2017-02-22/${name}`]);
  }
  assert.is(tree['openstack/latest/vendor_data.json'], '{}');
  assert.is(tree['openstack/latest/vendor_data2.json'], '{}');
});

test('without an ssh key mykey is null', () => {
  assert.equal(json('meta_data.json', { sshKey: null })['public_keys'], { mykey: null });
});

test('without user data there is a lone #cloud-config line', () => {
  assert.is(files()['openstack/latest/user_data'], '#cloud-config\n');
});

test('user data is decoded, wrapped lines and bytes that are no text included', () => {
  assert.is(
    files({ userData: 'IyEvYmlu\nL3NoCg==\n' })['openstack/latest/user_data'],
    '#!/bin/sh\n',
  );
  const drive = configDrive({ ...INPUT, userData: 'H4sIAAAAAAAA/w==' });
  assert.ok(drive.ok);
  assert.equal(
    drive.files['openstack/latest/user_data'],
    new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]),
  );
});

for (const userData of ['#!/bin/sh', 'abc', 'ab=c', 'IyEv!A==', 'IyEvYg=']) {
  test(`user data ${JSON.stringify(userData)} is refused with the way out`, () => {
    const drive = configDrive({ ...INPUT, userData });
    assert.not.ok(drive.ok);
    assert.match(drive.ok ? '' : drive.reason, /not base64.*base64 -w0/);
  });
}

test('the default route is on the first interface that has an address, which keeps its own order', () => {
  const first = { ...NIC, ipv4: null };
  const second = { ...NIC, networkId: 'n2', ipv4: '10.30.0.9', gateway: '10.30.0.1' };
  const third = { ...NIC, networkId: 'n3', ipv4: '10.40.0.9', gateway: '10.40.0.1' };
  const data = json('network_data.json', { interfaces: [first, second, third] });
  const networks = data['networks'] as Record<string, unknown>[];
  assert.equal(
    networks.map(({ id, link, routes }) => ({ id, link, routes })),
    [
      {
        id: 'n2-1',
        link: 'eth1',
        routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.30.0.1' }],
      },
      { id: 'n3-2', link: 'eth2', routes: undefined },
    ],
  );
  assert.equal(
    (data['links'] as Record<string, unknown>[]).map(({ id }) => id),
    ['eth1', 'eth2'],
  );
});

test('an instance without any address still gets a drive', () => {
  const data = json('network_data.json', { interfaces: [{ ...NIC, ipv4: null }] });
  assert.equal(data['links'], []);
  assert.equal(data['networks'], []);
});

test('each network with DNS is a service once, with the search domain, and the upstream is left out', () => {
  const other = { ...NIC, networkId: 'n2', gateway: '10.30.0.1', hasDNS: true };
  const own = { ...NIC, hasDNS: true };
  const data = json('network_data.json', {
    interfaces: [own, own, { ...NIC, networkId: 'n3' }, other],
  });
  assert.equal(data['services'], [
    { type: 'dns', address: '10.20.0.1', search: ['lab.zone1'] },
    { type: 'dns', address: '10.30.0.1', search: ['lab.zone1'] },
  ]);
});

const NETMASKS = [
  ['10.0.0.0/8', '255.0.0.0'],
  ['10.0.0.0/12', '255.240.0.0'],
  ['10.0.0.0/23', '255.255.254.0'],
  ['10.0.0.0/29', '255.255.255.248'],
  ['10.0.0.0/30', '255.255.255.252'],
] as const;
for (const [netblock, netmask] of NETMASKS) {
  test(`the netmask of ${netblock} is ${netmask}`, () => {
    const data = json('network_data.json', { interfaces: [{ ...NIC, netblock }] });
    assert.is((data['networks'] as Record<string, unknown>[])[0]?.['netmask'], netmask);
  });
}

test('the same input gives the same drive', () => {
  assert.equal(configDrive(INPUT), configDrive({ ...INPUT }));
});

test.run();

// POST /instances: the view that comes back, and every check in its order (contract: instances 1, 3 and 4).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  NODE,
  openApiWorld,
  refusedByMachine,
  type ApiWorld,
  type View,
} from '../../support/api-world.ts';

const test = suite('api: creating instances');
let world: ApiWorld;
let network: View;
test.before(async () => {
  world = await openApiWorld();
  network = await world.network({ name: 'front', netblock: '10.20.0.0/24' });
});
test.after(() => world.close());

const SMALL = { name: 'web', cpus: 1, memory: 128, disk: [{ size: 1 }] };

/** Status and text of the answer to a create that differs from a good one in `body`. */
async function refusal(body: object, as: 'lab' | 'system' = 'lab'): Promise<[number, string]> {
  const { status, json } = await world.call('POST', '/instances', {
    as,
    body: { ...SMALL, ...body },
  });
  return [status, String((json as View)['error'])];
}

async function refused(body: object, status: number, text: string | RegExp): Promise<void> {
  const [gotStatus, gotText] = await refusal(body);
  const about = `${JSON.stringify(body).slice(0, 200)}: ${gotText}`;
  assert.is(gotStatus, status, about);
  if (typeof text === 'string') assert.is(gotText, text, about);
  else assert.match(gotText, text, about);
}

test('the view has all members of the contract, and no others', async () => {
  const asked = {
    network: [{ network_uuid: 'front', address: '10.20.0.57' }],
    metadata: { role: 'db' },
  };
  const view = await world.instance({ name: 'web-01', cpus: 2, memory: 256, ...asked });
  const [nic] = view['interfaces'] as View[];
  assert.equal(
    {
      ...view,
      uuid: 'U',
      state: 'initial',
      interfaces: [{ ...nic, uuid: 'I', macaddr: 'M', state: 'initial' }],
    },
    {
      uuid: 'U',
      name: 'web-01',
      namespace: 'lab',
      state: 'initial',
      error_message: null,
      power_state: 'initial',
      node: NODE,
      cpus: 2,
      memory: 256,
      disk_spec: [{ size: 1, disk_base: null }],
      disks: [],
      video: { model: 'cirrus', memory: 16384, vdi: 'spice' },
      interfaces: [
        {
          uuid: 'I',
          network_uuid: network['uuid'],
          instance_uuid: view['uuid'],
          macaddr: 'M',
          ipv4: '10.20.0.57',
          order: 0,
          model: 'virtio',
          floating: null,
          state: 'initial',
          metadata: {},
          version: 3,
        },
      ],
      ssh_key: null,
      user_data: null,
      configdrive: 'openstack-disk',
      uefi: false,
      secure_boot: false,
      nvram_template: null,
      machine_type: 'q35',
      side_channels: ['sf-agent'],
      agent_state: null,
      agent_start_time: null,
      agent_system_boot_time: null,
      console_port: null,
      vdi_port: null,
      vdi_tls_port: null,
      metadata: { role: 'db' },
      version: 14,
    },
  );
  assert.match(String(nic?.['macaddr']), /^02:00:00(:[0-9a-f]{2}){3}$/);
});

test('once it runs the view has power state, devices and ports', async () => {
  const body = { name: 'running', disk: [{ size: 3 }, { size: 4, bus: 'sata' }] };
  const view = await world.instance(body);
  const path = `/instances/${String(view['uuid'])}`;
  const { power_state, disks, console_port, vdi_port, vdi_tls_port } = await world.settled(
    path,
    'created',
  );
  assert.equal([power_state, console_port, vdi_port, vdi_tls_port], ['on', 31_001, 31_002, 31_003]);
  assert.equal(disks, [
    { device: 'vda', bus: 'virtio', size: 3, blob_uuid: null, snapshot_ignores: false },
    { device: 'vdb', bus: 'virtio', size: null, blob_uuid: null, snapshot_ignores: true },
    { device: 'sdc', bus: 'sata', size: 4, blob_uuid: null, snapshot_ignores: false },
  ]);
  await world.ok('DELETE', path);
  const after = await world.settled(path, 'deleted');
  assert.is(after['power_state'], 'off');
  assert.is(after['console_port'], null);
  assert.is(after['node'], NODE);
  assert.is((after['disks'] as View[]).length, 3);
});

test('disk_spec is what was sent, plus only what the contract adds', async () => {
  const blob = '1d9d5a4e-5c1b-4a83-9d35-bb4b0a8f7c11';
  const disk = [
    { size: '8', base: '', bus: null, type: 'disk', colour: 'blue' },
    { size: 2, base: 'NONE' },
    { base: `sf://blob/${blob}`, bus: 'scsi' },
    { size: null, base: 'http://example.test/echo.qcow2', bus: null, type: 'disk' },
  ];
  const view = await world.instance({ disk });
  assert.equal(view['disk_spec'], [
    { size: '8', base: '', bus: null, type: 'disk', colour: 'blue', disk_base: null },
    { size: 2, base: 'NONE', disk_base: null },
    { base: `sf://blob/${blob}`, bus: 'scsi', blob_uuid: blob },
    { size: null, base: 'http://example.test/echo.qcow2', bus: null, type: 'disk' },
  ]);
});

test('a node that was insisted on is in the view, and only then', async () => {
  const forced = await world.instance({ placed_on: NODE });
  assert.is(forced['requested_placement'], NODE);
  assert.not.ok('requested_placement' in (await world.instance({ placed_on: null })));
});

test('1, 2: the namespace exists, and trusts the caller', async () => {
  await refused({ namespace: 'nowhere' }, 404, 'namespace not found');
  await refused({ namespace: 'other' }, 404, 'namespace not found');
  assert.is((await world.instance({ namespace: 'lab' }, 'system'))['namespace'], 'lab');
});

test('3: the name is a host label', async () => {
  const text = /is not useable as a DNS and Linux host name/;
  for (const name of ['', 'a.b', '-a', 'a-', 'a_b', 'ä', 'a b', 'a/b', 'a\n', 'x'.repeat(64)]) {
    await refused({ name }, 400, text);
  }
  await refused({ name: null }, 400, /^name is missing/);
  assert.is((await world.instance({ name: `A${'x'.repeat(61)}9` }))['state'], 'initial');
});

test('4: secure boot needs UEFI', () =>
  refused({ secure_boot: true }, 400, 'secure boot requires UEFI be enabled'));

test('5: the node asked for exists and is ready', async () => {
  await refused({ placed_on: 'nowhere' }, 404, 'Specified node does not exist');
  const down = { ...world.read.nodes.get(NODE)?.state, phase: 'error' };
  world.put('node', 'n2', down);
  await refused({ placed_on: 'n2' }, 404, 'Specified node not ready');
});

test('6: the config drive is of a known type', () =>
  refused({ configdrive: 'vfat' }, 400, 'invalid config drive type: "vfat"'));

test('7 to 9: there is a disk, each is an object, on a known bus', async () => {
  await refused({ disk: [] }, 400, 'instance must specify at least one disk');
  await refused({ disk: null }, 400, 'instance must specify at least one disk');
  for (const disk of ['20@debian', null, 7, [1]]) {
    await refused({ disk: [disk] }, 400, 'disk specification should contain JSON objects');
  }
  await refused({ disk: [{ size: 1, bus: 'ide' }] }, 400, 'invalid disk bus ide');
});

test('10: each base leads to an image', async () => {
  for (const base of [
    'label:golden',
    'sf://label/lab/golden',
    'sf://upload/lab/x',
    'sf://snapshot/x',
  ]) {
    await refused({ disk: [{ base }] }, 404, 'artifact not found');
  }
  await refused({ disk: [{ base: 'sf://blob/nonsense' }] }, 404, 'blob not found');
  await refused({ disk: [{ base: 'gopher://x/y' }] }, 400, /is no address of an image/);
  await refused({ disk: [{ base: 'http://[broken' }] }, 400, /is no URL that can be fetched/);
  await refused({ disk: [{ base: 'file:///etc/passwd' }] }, 400, /only the system namespace/);
  await refused({ disk: [{ base: 7 }] }, 400, 'the base of a disk should be a string');
  await refused({ disk: [{}] }, 400, 'a blank disk needs a size: give it in GiB');
  for (const size of [0, -1, 1.5, '1e3', '0x10', '', true, {}]) {
    await refused({ disk: [{ size }] }, 400, /^disk size should be a whole number of GiB/);
  }
});

test('a caller cannot name a blob that it would not be given', () =>
  refused({ disk: [{ size: 1, blob_uuid: 'x' }] }, 400, /names its blob as base/));

test('12: each network is there, ready, in the same namespace, and has the address', async () => {
  const refuse = (spec: unknown, status: number, text: string | RegExp) =>
    refused({ network: [spec] }, status, text);
  await refuse('front', 400, 'network specification should contain JSON objects');
  await refuse({ address: '10.20.0.9' }, 400, 'network specification is missing network_uuid');
  await refuse({ network_uuid: 'nowhere' }, 404, 'network nowhere not found');
  const outside = 'network specification requests an address outside the range of the network';
  await refuse({ network_uuid: 'front', address: '10.21.0.9' }, 400, outside);
  await refuse({ network_uuid: 'front', address: 'ten' }, 400, /is not an IPv4 address/);
  await refuse({ network_uuid: 'front', address: 7 }, 400, /is not an IPv4 address/);
  await refuse(
    { network_uuid: 'front', macaddress: '01:00:5e:00:00:01' },
    400,
    /^macaddress should/,
  );
  await refuse({ network_uuid: 'front', model: '<x/>' }, 400, /^unknown NIC model/);
});

test('12: an ambiguous network name is a 400, a foreign network does not exist', async () => {
  const twins = [await world.network({ name: 'twin' }), await world.network({ name: 'twin' })];
  assert.is(twins.length, 2);
  await refused(
    { network: [{ network_uuid: 'twin' }] },
    400,
    'multiple networks have the name "twin" in namespace "lab"',
  );
  const foreign = await world.network({ name: 'theirs' }, 'other');
  const uuid = String(foreign['uuid']);
  await refused({ network: [{ network_uuid: uuid }] }, 404, `network ${uuid} not found`);
  const [status, text] = await refusal({ network: [{ network_uuid: uuid }] }, 'system');
  assert.equal([status, text], [404, `network ${uuid} does not exist`]);
});

test('12: a network that is on its way out is not ready', async () => {
  const dying = await world.network({ name: 'dying' });
  const used = await world.instance({ network: [{ network_uuid: 'dying' }] });
  await world.ok('DELETE', `/networks/${String(dying['uuid'])}`);
  const text = `network ${String(dying['uuid'])} is not ready (delete-wait)`;
  await refused({ network: [{ network_uuid: 'dying' }] }, 406, text);
  await world.ok('DELETE', `/instances/${String(used['uuid'])}`);
});

test('12: the floating pool is not ready for guests', async () => {
  const [status] = await refusal({ network: [{ network_uuid: 'floating' }] }, 'lab');
  assert.is(status, 404);
});

test('absent and empty addresses are chosen, null and none are no address', async () => {
  const addressOf = async (spec: object) => {
    const view = await world.instance({ network: [{ network_uuid: 'front', ...spec }] });
    return (view['interfaces'] as View[])[0]?.['ipv4'];
  };
  assert.match(String(await addressOf({})), /^10\.20\.0\.\d+$/);
  assert.match(String(await addressOf({ address: '' })), /^10\.20\.0\.\d+$/);
  assert.is(await addressOf({ address: null }), null);
  assert.is(await addressOf({ address: 'None' }), null);
});

test('13: a video specification has a model and memory', async () => {
  await refused({ video: { memory: 1024 } }, 400, 'video specification requires "model"');
  await refused({ video: { model: 'vga' } }, 400, 'video specification requires "memory"');
  for (const video of ['vga', [1], 7]) await refused({ video }, 400, /should be a JSON object/);
  for (const video of [
    { model: 7, memory: 1 },
    { model: 'a"><b', memory: 1 },
    { model: 'vga', memory: 1, vdi: {} },
  ]) {
    await refused({ video }, 400, /should be/);
  }
  const view = await world.instance({ video: { model: 'qxl', memory: '65536', extra: 1 } });
  assert.equal(view['video'], { model: 'qxl', memory: '65536', extra: 1, vdi: 'spice' });
  assert.equal((await world.instance({ video: {} }))['video'], {
    model: 'cirrus',
    memory: 16384,
    vdi: 'spice',
  });
});

test('14: metadata is an object whose pairs have keys and values', async () => {
  for (const metadata of [[1], 'text', 7])
    await refused({ metadata }, 400, 'metadata must be a dictionary');
  await refused({ metadata: { '': 1 } }, 400, 'no key specified');
  for (const value of [null, '', 0, false, [], {}])
    await refused({ metadata: { a: value } }, 400, 'no value specified');
  await refused({ metadata: { tags: 'web' } }, 400, 'value for "tags" key should be a JSON list');
  await refused(
    { metadata: { affinity: ['db'] } },
    400,
    'value for "affinity" key should be a valid JSON dictionary',
  );
  for (const weight of ['much', {}, null, [1]]) {
    await refused(
      { metadata: { affinity: { db: weight } } },
      400,
      'affinity dictionary values should be integers',
    );
  }
  for (const metadata of ['', {}, null])
    assert.equal((await world.instance({ metadata }))['metadata'], {});
  const metadata = { tags: ['web'], affinity: { db: '-5', web: 3 }, constructor: { a: 1 } };
  const echoed = (await world.instance({ metadata }))['metadata'];
  assert.is(JSON.stringify(echoed), JSON.stringify(metadata));
});

test('of several mistakes the first in the order of the contract is reported', async () => {
  const mistakes: [object, RegExp][] = [
    [{ namespace: 'nowhere' }, /namespace not found/],
    [{ name: 'a.b' }, /host name/],
    [{ secure_boot: true }, /secure boot/],
    [{ placed_on: 'nowhere' }, /node does not exist/],
    [{ configdrive: 'vfat' }, /config drive/],
    [{ disk: [] }, /at least one disk/],
    [{ nvram_template: 'label:x' }, /artifact not found/],
    [{ network: ['x'] }, /network specification/],
    [{ video: { model: 'vga' } }, /video/],
    [{ metadata: [1] }, /metadata/],
  ];
  for (const [index, [, text]] of mistakes.entries()) {
    const body: object = Object.assign({}, ...mistakes.slice(index).map(([mistake]) => mistake));
    assert.match((await refusal(body))[1], text);
  }
});

test('cpus and memory are whole numbers, and given', async () => {
  await refused({ cpus: null }, 400, /^cpus is missing/);
  await refused({ memory: null }, 400, /^memory is missing/);
  await refused({ cpus: '2' }, 400, /^cpus /);
  await refused({ memory: 1.5 }, 400, /^memory /);
  await refused({ cpus: 0 }, 400, /^cpus /);
});

test('a refused create makes no artifact and no instance', async () => {
  const before = (await world.ok<View[]>('GET', '/instances', { body: { all: true } })).length;
  const disk = [{ base: 'http://example.test/never.qcow2' }];
  await refused({ disk, metadata: [1] }, 400, 'metadata must be a dictionary');
  const artifacts = await world.ok<View[]>('GET', '/artifacts');
  assert.not.ok(artifacts.some((one) => one['source_url'] === disk[0]?.base));
  assert.is((await world.ok<View[]>('GET', '/instances', { body: { all: true } })).length, before);
});

/** The newest instance of that name: what a failed create leaves behind. */
async function leftBehind(name: string): Promise<View> {
  const found = (await world.ok<View[]>('GET', '/instances')).filter((one) => one['name'] === name);
  assert.is(found.length, 1, name);
  return world.settled(`/instances/${String(found[0]?.['uuid'])}`, 'error');
}

test('15: an address in use is a 409, and leaves an instance in error that says why', async () => {
  const spec = { network: [{ network_uuid: 'front', address: '10.20.0.200' }] };
  await world.instance({ name: 'holder', ...spec });
  await refused({ name: 'late', ...spec }, 409, 'address 10.20.0.200 in use');
  assert.is((await leftBehind('late'))['error_message'], 'address 10.20.0.200 in use');
  for (const address of ['10.20.0.0', '10.20.0.1', '10.20.0.255']) {
    await refused(
      { network: [{ network_uuid: 'front', address }] },
      409,
      `address ${address} in use`,
    );
  }
});

test('15: a full network is a 507', async () => {
  const tiny = await world.network({ name: 'tiny', netblock: '10.30.0.0/29' });
  const network = [{ network_uuid: tiny['uuid'] }];
  for (let index = 0; index < 5; index++) await world.instance({ network });
  await refused({ name: 'sixth', network }, 507, 'No free addresses on network');
  assert.is((await leftBehind('sixth'))['state'], 'error');
});

test('17: what fits on no node is a 507 with the stage that ruled it out', async () => {
  await refused({ name: 'wide', cpus: 256 }, 507, 'Requested vCPUs exceeds vCPU limit');
  await refused({ name: 'big', memory: 1e12 }, 507, 'No nodes with enough idle RAM');
  await refused({ name: 'fat', disk: [{ size: 1e9 }] }, 507, 'No nodes with enough disk space');
});

test('a machine that refuses the domain puts the instance into error with its reason', async () => {
  world.machine.before = (resource, spec) => {
    if (resource === 'domain' && spec !== null) throw refusedByMachine('no such CPU model');
  };
  const { uuid } = await world.instance({ name: 'unlucky' });
  const view = await world.settled(`/instances/${String(uuid)}`, 'error');
  world.machine.before = () => undefined;
  assert.match(String(view['error_message']), /no such CPU model/);
  assert.is(view['power_state'], 'initial');
});

test.run();

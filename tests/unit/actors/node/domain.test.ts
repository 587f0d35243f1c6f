// How a machine builds and removes a domain: which driver is asked for what, and in which order.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DiskStore, FileTree } from '../../../../actors/blob/ports.ts';
import type { DomainSpec, Hypervisor } from '../../../../actors/instance/ports.ts';
import { TroupeError } from '../../../../actors/kernel/errors.ts';
import type { Dataplane, WantedBy } from '../../../../actors/network/ports.ts';
import { domainConverger, type DomainPorts } from '../../../../actors/node/domain.ts';
import type { DomainWish } from '../../../../actors/node/domain-wish.ts';

const test = suite('domain');

const ON = {
  power: 'on',
  offReason: null,
  consolePort: 1,
  vdiPort: 2,
  vdiTlsPort: null,
  accelerator: 'tcg',
} as const;

const by: WantedBy = {
  owner: { kind: 'instance', id: 'vm' },
  epoch: 1,
  generation: 1,
  trace: 't',
  signal: new AbortController().signal,
};

type Disk = DomainWish['disks'][number];
const disk = (members: Partial<Disk>): Disk => {
  const base = { device: 'vda', position: 0, bus: 'virtio', media: 'disk' } as const;
  return { ...base, baseBlobId: 'linux', sizeGiB: 8, ...members };
};
const network = { networkId: 'net', netblock: '10.0.0.0/24', gateway: '10.0.0.1', hasDNS: false };
const nic = (id: string) => {
  return { interfaceId: id, order: 0, model: 'virtio', mac: `02:${id}`, ipv4: '10.0.0.2', network };
};

const WISH: DomainWish = {
  name: 'vm',
  namespace: 'ns',
  cpus: 1,
  memoryMiB: 512,
  uefi: false,
  secureBoot: false,
  video: { model: 'cirrus', memoryKiB: 16_384, vdi: 'vnc' },
  sideChannels: [],
  disks: [disk({}), disk({ device: 'vdc', position: 2, baseBlobId: null })],
  configDrive: { device: 'vdb', bus: 'virtio', sshKey: null, userData: null, seed: 'c2VlZA==' },
  nics: [nic('a'), nic('b')],
  power: 'on',
  powerOns: 1,
  hardReboots: 0,
  softReboots: 0,
};

/** Drivers that note what they are asked; the blob `iso` is an ISO. */
function makePorts(fails: string | null = null) {
  const calls: string[] = [];
  let spec: DomainSpec | undefined;
  let files: FileTree | undefined;
  const note = (call: string) => {
    calls.push(call);
    if (call === fails) throw new TroupeError('host/tool-failed', `${call} failed`);
  };
  const disks: DiskStore = {
    ensureDisk: async ({ device, baseBlobId }) => {
      note(`disk ${device}`);
      const media = baseBlobId === 'iso' ? 'cdrom' : 'disk';
      const format = media === 'cdrom' ? 'raw' : 'qcow2';
      return { path: `/${device}`, format, media, virtualSizeBytes: 1 };
    },
    ensureConfigDrive: async (_id, tree) => {
      note('config drive');
      files = tree;
      return { path: '/config', format: 'raw', media: 'disk', virtualSizeBytes: 1 };
    },
    ensureNvramTemplate: async (_id, blobId) => {
      note(`nvram ${blobId}`);
      return `/nvram/${blobId}`;
    },
    removeDisks: async () => note('remove disks'),
  };
  const dataplane: Pick<Dataplane, 'ensureTap' | 'removeTaps'> = {
    ensureTap: async ({ interfaceId }) => {
      note(`tap ${interfaceId}`);
      return { tap: `tap-${interfaceId}`, mtu: 1_450 };
    },
    removeTaps: async (keep) => note(`remove taps but ${keep.join()}`),
  };
  const hypervisor: Pick<Hypervisor, 'ensureDomain' | 'removeDomain'> = {
    ensureDomain: async (wanted) => {
      note('domain');
      spec = wanted;
      return ON;
    },
    removeDomain: async () => note('remove domain'),
  };
  const ports = { disks, dataplane, hypervisor, zone: 'cloud', upstreamDns: '9.9.9.9' };
  const converger = domainConverger(ports as unknown as DomainPorts);
  return { calls, converger, spec: () => spec, files: () => files };
}

test('taps come first, then disks, the config drive and the domain', async () => {
  const { calls, converger } = makePorts();
  await converger.ensure('vm', WISH, by);
  assert.equal(calls, [
    'tap a',
    'tap b',
    'remove taps but a,b',
    'disk vda',
    'disk vdc',
    'config drive',
    'domain',
  ]);
});

test('removal goes the other way: nothing is taken from under a running domain', async () => {
  const { calls, converger } = makePorts();
  await converger.remove('vm', by);
  assert.equal(calls, ['remove domain', 'remove taps but ', 'remove disks']);
});

test('a step that fails ends it there, and says so', async () => {
  const up = ['tap a', 'remove taps but a,b', 'disk vda', 'config drive', 'domain'];
  for (const call of up) {
    const { calls, converger } = makePorts(call);
    await rejects(converger.ensure('vm', WISH, by), { message: `${call} failed` });
    assert.is(calls.at(-1), call);
  }
  for (const call of ['remove domain', 'remove taps but ', 'remove disks']) {
    const { calls, converger } = makePorts(call);
    await rejects(converger.remove('vm', by), { message: `${call} failed` });
    assert.is(calls.at(-1), call);
  }
});

test('the config drive is the second disk, read-only, with the MTU of the taps', async () => {
  const { converger, spec, files } = makePorts();
  const report = await converger.ensure('vm', WISH, by);
  const shown = spec()?.disks.map(({ device, readonly }) => `${device} ${readonly}`);
  assert.equal(shown, ['vda false', 'vdb true', 'vdc false']);
  const { builtDisks } = report as { readonly builtDisks: readonly Record<string, unknown>[] };
  assert.equal(builtDisks[1], {
    device: 'vdb',
    bus: 'virtio',
    sizeGiB: null,
    blobId: null,
    snapshotIgnores: true,
  });
  const networkData = files()?.['openstack/latest/network_data.json'];
  assert.match(String(networkData), /1450/);
});

test('without a config drive the disks follow each other', async () => {
  const { calls, converger, spec } = makePorts();
  const disks = [disk({}), disk({ device: 'vdb', position: 1 })];
  await converger.ensure('vm', { ...WISH, disks, configDrive: null }, by);
  assert.equal(
    spec()?.disks.map(({ device }) => device),
    ['vda', 'vdb'],
  );
  assert.not(calls.includes('config drive'));
});

test('an ISO is a read-only CD-ROM, on usb where it was to be virtio', async () => {
  const rows: readonly (readonly [Disk['bus'], string, string])[] = [
    ['virtio', 'usb', 'sdc'],
    ['sata', 'sata', 'sdc'],
    ['usb', 'usb', 'sdc'],
  ];
  for (const [asked, bus, device] of rows) {
    const { converger, spec } = makePorts();
    const named = asked === 'virtio' ? 'vdc' : 'sdc';
    const second = disk({ device: named, position: 2, baseBlobId: 'iso', bus: asked });
    await converger.ensure('vm', { ...WISH, disks: [disk({}), second] }, by);
    const made = spec()?.disks[2];
    assert.equal(
      [made?.media, made?.bus, made?.device, made?.readonly, made?.format],
      ['cdrom', bus, device, true, 'raw'],
      asked,
    );
  }
});

test('each NIC gets its own tap, in order, with its MTU', async () => {
  const { converger, spec } = makePorts();
  await converger.ensure('vm', WISH, by);
  const taps = spec()?.nics.map(({ tap, mac, mtu }) => `${tap} ${mac} ${mtu}`);
  assert.equal(taps, ['tap-a 02:a 1450', 'tap-b 02:b 1450']);
});

test('a wish that is not one is refused before anything is done', async () => {
  const { calls, converger } = makePorts();
  for (const wish of [null, {}, { ...WISH, cpus: 'two' }])
    await rejects(converger.ensure('vm', wish, by), { code: 'actor/bad-message' });
  assert.equal(calls, []);
});

test.run();

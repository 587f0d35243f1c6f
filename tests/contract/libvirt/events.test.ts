// Event kinds that need no guest operating system, each made to happen for real.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectLibvirt, type Libvirt } from '../../../src/drivers/libvirt/client.ts';
import { buildDiskXml } from '../../../src/drivers/libvirt/domain-device-xml.ts';
import type { DomainEvent } from '../../../src/drivers/libvirt/events.ts';
import type { LibvirtEvent } from '../../../src/drivers/libvirt/link.ts';
import type { DomainRef } from '../../../src/drivers/libvirt/wire.ts';
import { startLibvirtd, type TestLibvirtd } from '../../support/libvirtd.ts';
import { until } from '../../unit/drivers/libvirt/until.ts';
import { withDomain } from './domains.ts';

const test = suite('libvirt events on a real libvirtd');
const DEADLINE_MS = 30_000;
let daemon: TestLibvirtd;
let libvirt: Libvirt;

test.before(async () => {
  daemon = await startLibvirtd();
  libvirt = await connectLibvirt({ socketPath: daemon.socketPath });
});

test.after(async () => {
  await libvirt?.close();
  await daemon?.stop();
});

/** Runs a domain and hands over what is told of it, as it comes, without the reference itself. */
async function watched(
  spec: Parameters<typeof withDomain>[1],
  body: (domain: DomainRef, seen: Omit<DomainEvent, 'domain'>[]) => Promise<void>,
): Promise<void> {
  const seen: Omit<DomainEvent, 'domain'>[] = [];
  const stop = libvirt.subscribe((event: LibvirtEvent) => {
    if (!('domain' in event)) return;
    const { domain: _about, ...rest } = event;
    seen.push(rest);
  });
  try {
    await withDomain(libvirt, spec, (domain) => body(domain, seen));
  } finally {
    stop();
  }
}

async function happens(seen: Omit<DomainEvent, 'domain'>[], expected: object): Promise<void> {
  const wanted = JSON.stringify(expected);
  try {
    await until(() => seen.some((event) => JSON.stringify(event) === wanted), DEADLINE_MS);
  } catch {
    assert.unreachable(`${wanted} did not happen; seen: ${JSON.stringify(seen)}`);
  }
}

test('a reset is a reboot', async () => {
  await watched({}, async (domain, seen) => {
    await libvirt.domains.reset(domain);
    await happens(seen, { kind: 'reboot' });
  });
});

test('a watchdog that bites, and a guest that panics', async () => {
  // libvirt 9.0 crashes when a watchdog bites that it does not know: not by qemuArguments.
  const spec = { panicNotifier: true, devices: `<watchdog model='ib700' action='reset'/>` };
  await watched(spec, async (domain, seen) => {
    // What a guest's driver would write to the ports of the ib700 and pvpanic devices.
    await libvirt.guest.humanMonitor(domain, 'o /b 0x443 0xf');
    await happens(seen, { kind: 'watchdog', action: 'reset' });
    await libvirt.guest.humanMonitor(domain, 'o /b 0x505 0x1');
    await happens(seen, { kind: 'lifecycle', event: 'crashed', detail: 'panicked' });
    await until(async () => (await libvirt.domains.state(domain)).reason === 'crashed');
  });
});

test('a disk that cannot be read stops the guest and says so', async () => {
  const inject = { event: 'none', iotype: 'read', errno: 5, once: false };
  const image = { driver: 'null-co', size: 1_048_576 };
  const file = { driver: 'blkdebug', image, 'inject-error': [inject] };
  const words = [
    '-blockdev',
    JSON.stringify({ driver: 'raw', 'node-name': 'bad', file }),
    '-device',
    JSON.stringify({ driver: 'virtio-blk', drive: 'bad', bootindex: 1, rerror: 'stop' }),
  ];
  await watched({ qemuArguments: words }, async (domain, seen) => {
    // The firmware tries to boot from it. libvirt does not know this disk, hence no names.
    const expected = { kind: 'io-error', path: '', device: '', action: 'pause', reason: '' };
    await happens(seen, expected);
    await happens(seen, { kind: 'lifecycle', event: 'suspended', detail: 'io-error' });
    const { state, reason } = await libvirt.domains.state(domain);
    assert.equal({ state, reason }, { state: 'paused', reason: 'io-error' });
  });
});

test('devices that come and go', async () => {
  const path = join(daemon.directory, 'usb.raw');
  execFileSync('qemu-img', ['create', '-q', '-f', 'raw', path, '1M']);
  const disk = (target: string, bus: 'usb' | 'virtio') =>
    buildDiskXml({ path, format: 'raw', bus, target, readonly: true });
  await watched({ hotplugPorts: 2 }, async (domain, seen) => {
    await libvirt.domains.attachDevice(domain, disk('sda', 'usb'));
    const alias = { alias: 'usb-disk0' };
    await happens(seen, { kind: 'device-added', ...alias });
    await libvirt.domains.detachDevice(domain, disk('sda', 'usb'));
    await happens(seen, { kind: 'device-removed', ...alias });
  });
});

test('a block job that is ready, and one that is done', async () => {
  const path = join(daemon.directory, 'a.qcow2');
  const copy = join(daemon.directory, 'b.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M']);
  await watched({ disks: [{ path, format: 'qcow2', bus: 'virtio' }] }, async (domain, seen) => {
    const disk = { domain, disk: 'vda' };
    const destinationXml = `<disk type='file'><source file='${copy}'/><driver type='qcow2'/></disk>`;
    await libvirt.block.copy(disk, { destinationXml, transientJob: true });
    const job = { kind: 'block-job', disk: 'vda', type: 'copy' };
    await happens(seen, { ...job, status: 'ready' });
    await libvirt.block.endJob(disk, 'pivot');
    await happens(seen, { ...job, status: 'completed' });
  });
});

test.run();

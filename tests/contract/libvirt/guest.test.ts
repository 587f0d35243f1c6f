// What takes a guest operating system: its agent, its power button, its giving up of devices. The guest
// is the small Linux of deploy/guest; building it needs Debian's packages once, which are cached.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectLibvirt, type Libvirt } from '../../../src/drivers/libvirt/client.ts';
import { buildDiskXml } from '../../../src/drivers/libvirt/domain-device-xml.ts';
import { buildDomainXml, readDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import type { LibvirtEvent } from '../../../src/drivers/libvirt/link.ts';
import type { DomainRef } from '../../../src/drivers/libvirt/wire.ts';
import { startLibvirtd, type TestLibvirtd } from '../../support/libvirtd.ts';
import { until } from '../../unit/drivers/libvirt/until.ts';
import { tinySpec } from './domains.ts';

const test = suite('libvirt with a Linux guest');
/** The guest is up in some seconds under TCG; this machine may be busy. */
const BOOT_DEADLINE_MS = 100_000;
let daemon: TestLibvirtd;
let libvirt: Libvirt;
let domain: DomainRef;
const seen: LibvirtEvent[] = [];

const happened = (match: Partial<Record<string, string>>) =>
  until(
    () =>
      seen.some((event) =>
        Object.entries(match).every(([key, value]) => Reflect.get(event, key) === value),
      ),
    BOOT_DEADLINE_MS,
  );

test.before(async () => {
  daemon = await startLibvirtd();
  libvirt = await connectLibvirt({ socketPath: daemon.socketPath });
  libvirt.subscribe((event) => seen.push(event));
  const path = join(daemon.directory, 'guest.qcow2');
  const build = join(import.meta.dirname, '../../../deploy/guest/build.sh');
  execFileSync('sh', [build, path], { stdio: ['ignore', 'ignore', 'inherit'] });
  const spec = tinySpec({
    memoryMiB: 256,
    disks: [{ path, format: 'qcow2', bus: 'virtio' }],
    channels: [{ name: 'org.qemu.guest_agent.0' }],
    hotplugPorts: 2,
    balloon: true,
  });
  domain = await libvirt.domains.start(await libvirt.domains.define(buildDomainXml(spec)));
  await happened({ kind: 'agent', state: 'connected' });
});

test.after(async () => {
  await libvirt?.close();
  await daemon?.stop();
});

test('its agent has said that it is there, and answers', async () => {
  const { channels } = readDomainXml(await libvirt.domains.xml(domain));
  assert.is(channels[0]?.connected, true);
  assert.equal(await libvirt.guest.agent(domain, { execute: 'guest-ping' }), {});
  const osInfo = await libvirt.guest.agent(domain, { execute: 'guest-get-host-name' });
  assert.match(JSON.stringify(osInfo), 'host-name');
});

test('its file systems freeze and thaw', async () => {
  const frozen = await libvirt.guest.freeze(domain);
  assert.ok(frozen >= 1, `${frozen} frozen`);
  assert.is(await libvirt.guest.thaw(domain), frozen);
});

test('it gives up a disk when asked', async () => {
  const path = join(daemon.directory, 'second.raw');
  execFileSync('qemu-img', ['create', '-q', '-f', 'raw', path, '1M']);
  const xml = buildDiskXml({ path, format: 'raw', bus: 'virtio', target: 'vdb' });
  await libvirt.domains.attachDevice(domain, xml, { target: 'live' });
  await happened({ kind: 'device-added', alias: 'virtio-disk1' });
  // A guest that has not yet taken note of a device does not give it up: asked until it does.
  const isGone = () => seen.some(({ kind }) => kind === 'device-removed');
  await until(async () => {
    if (!isGone()) await libvirt.domains.detachDevice(domain, xml).catch(() => undefined);
    return isGone();
  }, BOOT_DEADLINE_MS);
  assert.not.match(daemon.virsh('domblklist', domain.uuid), 'vdb');
});

test('its balloon reports', async () => {
  const stats = await libvirt.domains.memoryStats(domain);
  assert.is(stats.get('actual-balloon'), 256n * 1024n);
  assert.ok((stats.get('rss') ?? 0n) > 0n);
});

test('a reboot is its own, and a shutdown by the power button ends it', async () => {
  await libvirt.domains.reboot(domain, { by: 'agent' });
  await happened({ kind: 'agent', state: 'disconnected' });
  await happened({ kind: 'reboot' });
  seen.length = 0;
  await happened({ kind: 'agent', state: 'connected' });
  await libvirt.domains.shutdown(domain, { by: 'acpi' });
  await happened({ kind: 'lifecycle', event: 'stopped', detail: 'shutdown' });
  assert.equal(await libvirt.domains.state(domain), { state: 'shutoff', reason: 'shutdown' });
});

test.run();

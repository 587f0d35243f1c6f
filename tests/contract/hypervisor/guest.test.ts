// The real driver with a real guest: Linux from deploy/guest, which has ACPI, an agent and firmware that
// takes its time. Building it needs Debian's packages once; they are cached.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainReport, DomainSpec } from '../../../actors/instance/ports.ts';
import { Changes, consoleText, countOf, until, wantedBy } from './lab.ts';
import { LibvirtLab } from './libvirt-lab.ts';

const run = promisify(execFile);
const test = suite('hypervisor over libvirt: a Linux guest');
const folder = mkdtempSync(join(tmpdir(), `troupe-hyp-${process.pid}-`));
const image = join(folder, 'guest.qcow2');
const BOOT_TIMEOUT_MS = 100_000;
let lab: LibvirtLab;
let changes: Changes;

let generation = 0;
const ensure = (spec: DomainSpec): Promise<DomainReport> =>
  lab.hypervisor.ensureDomain(spec, wantedBy(spec.instanceId, ++generation));
const remove = ({ instanceId }: DomainSpec): Promise<void> =>
  lab.hypervisor.removeDomain(instanceId, wantedBy(instanceId, ++generation));
const says = (spec: DomainSpec, text: string, times = 1) =>
  until(
    `the guest to say '${text}'`,
    async () => countOf(await consoleText(lab, spec.instanceId), text) >= times,
    BOOT_TIMEOUT_MS,
  );

async function linux(change: Partial<DomainSpec> = {}): Promise<DomainSpec> {
  const spec = await lab.newSpec({ memoryMiB: 192, ...change });
  const disks = spec.disks.map((disk) => ({ ...disk, path: `${disk.path}.linux` }));
  for (const { path } of disks) {
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image, '-F', 'qcow2', path]);
  }
  return { ...spec, disks };
}

test.before(async () => {
  await run('sh', [join(import.meta.dirname, '../../../deploy/guest/build.sh'), image]);
  lab = await LibvirtLab.open();
  changes = new Changes(lab.hypervisor);
});
test.after(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

test('it boots, its agent answers, a soft reboot and a shutdown are its own', async () => {
  const spec = await linux();
  await ensure(spec);
  await says(spec, 'troupe-guest: ready');
  const { instanceId } = spec;
  await until('the agent to answer', () => {
    try {
      return (
        lab.libvirtd.virsh('qemu-agent-command', instanceId, '{"execute":"guest-ping"}') !== ''
      );
    } catch {
      return false;
    }
  });
  await ensure({ ...spec, softReboots: 1 });
  await says(spec, 'power button pressed');
  await says(spec, 'troupe-guest: ready', 2);
  assert.is((await ensure({ ...spec, softReboots: 1 })).power, 'on');
  await lab.type(instanceId, '\npoweroff\n', 'troupe-guest: stopping');
  const report = await changes.next(instanceId, ({ power }) => power === 'off');
  assert.is(report.offReason, 'guest');
  await remove(spec);
});

test('it finds a NIC that is plugged in while it runs, and has it after power off and on', async () => {
  const tap = `hyp${process.pid}g`.slice(-15);
  const mac = '02:00:00:4e:91:0e';
  const spec = await linux();
  const plugged = { ...spec, nics: [{ tap, mac, model: 'virtio', mtu: 1450 }] };
  // What is typed, and echoed, is not the whole of what is looked for.
  const look = '\nuntil cat /sys/class/net/*/address | grep 4e:91:0e; do sleep 0.2; done\n';
  await run('ip', ['tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr']);
  try {
    await ensure(spec);
    await says(spec, 'troupe-guest: ready');
    await ensure(plugged);
    await lab.type(spec.instanceId, look, mac);
    await ensure({ ...plugged, power: 'off' });
    await ensure({ ...plugged, powerOns: 2 });
    await says(spec, 'troupe-guest: ready', 2);
    await lab.type(spec.instanceId, look, mac);
    await remove(spec);
  } finally {
    await run('ip', ['link', 'del', tap]);
  }
});

test('it boots from UEFI firmware', async () => {
  const spec = await linux({ uefi: true, memoryMiB: 256 });
  await ensure(spec);
  await says(spec, 'troupe-guest: ready');
  await remove(spec);
});

test('it boots from UEFI firmware with secure boot', async () => {
  const spec = await linux({ uefi: true, secureBoot: true, memoryMiB: 512 });
  await ensure(spec);
  await says(spec, 'troupe-guest: ready');
  await remove(spec);
});

test.run();

// The real driver with a real guest: Linux from deploy/guest, which has ACPI, an agent and firmware that
// takes its time. Building it needs Debian's packages once; they are cached.
import { rejects } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainReport, DomainSpec } from '../../../actors/instance/ports.ts';
import { encodePacket } from '../../../src/drivers/guest/sf-frame.ts';
import { Changes, consoleText, copiesOf, countOf, until, wantedBy } from './lab.ts';
import { LibvirtLab } from './libvirt-lab.ts';

const run = promisify(execFile);
const test = suite('hypervisor over libvirt: a Linux guest');
const folder = mkdtempSync(join(tmpdir(), `troupe-hyp-${process.pid}-`));
const image = join(folder, 'guest.qcow2');
const BOOT_TIMEOUT_MS = 100_000;
const never = new AbortController().signal;
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
  const isReady = ({ agent }: DomainReport) => agent?.state === 'ready';
  const { agent } = await changes.next(instanceId, isReady);
  const bootedAtMs = agent?.bootedAtMs ?? 0;
  assert.ok(Math.abs(Date.now() - bootedAtMs) < 600_000, `booted at ${bootedAtMs}`);
  await carriesOut(instanceId);
  await speaksForItself(spec);
  await ensure({ ...spec, softReboots: 1 });
  await says(spec, 'power button pressed');
  await says(spec, 'troupe-guest: ready', 2);
  assert.is((await ensure({ ...spec, softReboots: 1 })).power, 'on');
  await lab.type(instanceId, '\npoweroff\n', 'troupe-guest: stopping');
  const report = await changes.next(instanceId, ({ power }) => power === 'off');
  assert.is(report.offReason, 'guest');
  assert.is(report.agent, null);
  assert.throws(() => lab.hypervisor.agentOf(instanceId), /does not run/);
  await rejects(lab.hypervisor.screenshot(instanceId), /Invalid lifecycle state/);
  await remove(spec);
});

/** What the agent in the guest is asked for. */
async function carriesOut(instanceId: string): Promise<void> {
  const guest = lab.hypervisor.agentOf(instanceId);
  const run = await guest.execute("echo 'to stdout'; echo 'to stderr' >&2; exit 3", never);
  const [stdout, stderr] = [run.stdout, run.stderr].map((bytes) => Buffer.from(bytes).toString());
  assert.equal([run.returnCode, stdout, stderr], [3, 'to stdout\n', 'to stderr\n']);
  assert.is((await guest.execute('yes | head -c 300000', never)).stdout.length, 300_000);

  const bytes = randomBytes(700_001);
  const path = "/root/-it's $(odd)\n.bin";
  await guest.writeFile(path, piecesOf(bytes), never);
  await guest.changeMode(path, 0o100_640, never);
  const file = await guest.readFile(path, never);
  assert.is(file.stat.mode, 0o100_640);
  assert.is(file.stat.size, bytes.length);
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.chunks) chunks.push(chunk);
  assert.ok(Buffer.concat(chunks).equals(bytes), 'the file came back as it went');
  await guest.changeMode(path, 'u+x,g=', never);
  assert.is((await guest.readFile(path, never)).stat.mode, 0o100_700);
  await rejects(guest.readFile('/nowhere', never), /path does not exist/);
  await rejects(guest.readFile('/root', never), /path is not a file/);
  await rejects(guest.writeFile('/nowhere/x', piecesOf(bytes), never), /No such file/);
  const { mime, image: picture } = await lab.hypervisor.screenshot(instanceId);
  assert.match(mime, /^image\//);
  assert.ok(picture.length > 1_000, `${picture.length} bytes`);
}

async function* piecesOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 300_000) yield bytes.subarray(at, at + 300_000);
}

/** Frames of the other agent, written by the guest into its own port: that one is ready from then on. */
async function speaksForItself({ instanceId }: DomainSpec): Promise<void> {
  const about = { command: 'is-system-running-response', result: true, message: 'running' };
  const frame = encodePacket({ ...about, system_boot_time: 1_000_000_007 }).toString('base64');
  const port = '$(grep -lx sf-agent /sys/class/virtio-ports/*/name | cut -d/ -f5)';
  const line = `echo ${frame} | base64 -d >/dev/${port}`;
  const written = await lab.hypervisor.agentOf(instanceId).execute(line, never);
  assert.is(written.returnCode, 0, Buffer.from(written.stderr).toString());
  await changes.next(instanceId, ({ agent }) => agent?.bootedAtMs === 1_000_000_007_000);
}
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

test('a copy of its disk, made while it runs, boots and has what was written before', async () => {
  const spec = await linux();
  const { instanceId } = spec;
  await ensure(spec);
  await says(spec, 'troupe-guest: ready');
  await changes.next(instanceId, ({ agent }) => agent?.state === 'ready');
  const frozen = () => lab.lines.filter(({ fields }) => fields['isFrozen'] === true).length;
  const guest = lab.hypervisor.agentOf(instanceId);
  // Not synced: it is the freeze that brings it to the disk.
  await guest.execute('echo written-before >/root/marker', never);
  const path = lab.copyPath('linux');
  let progress = 0;
  const onProgress = () => void progress++;
  await lab.hypervisor.copyDisks(copiesOf(instanceId, { vda: path }, { onProgress }));
  assert.is(frozen(), 1, 'the agent has frozen it');
  await guest.execute('echo written-after >/root/marker', never);
  assert.equal(lab.ledger.list({ resource: 'disk-copies' }), []);
  await thawedByTheNext(instanceId);
  await remove(spec);
  const copy = await lab.newSpec({ memoryMiB: 192 });
  const booted = { ...copy, disks: copy.disks.map((disk) => ({ ...disk, path })) };
  await ensure(booted);
  await says(booted, 'troupe-guest: ready');
  await lab.type(booted.instanceId, '\ncat /root/marker\n', 'written-before');
  await remove(booted);
});

/** A daemon that was killed between freezing and thawing. */
async function thawedByTheNext(instanceId: string): Promise<void> {
  const status = () =>
    lab.libvirtd.virsh('qemu-agent-command', instanceId, '{"execute":"guest-fsfreeze-status"}');
  const about = { owner: 'disksnapshot/x', epoch: 0, generation: 0, trace: 't', detail: {} };
  lab.ledger.record({ resource: 'disk-copies', name: instanceId, ...about });
  lab.libvirtd.virsh('domfsfreeze', instanceId);
  assert.match(status(), /frozen/);
  await lab.restartDaemon();
  changes = new Changes(lab.hypervisor);
  assert.match(status(), /thawed/);
  assert.equal(lab.ledger.list({ resource: 'disk-copies' }), []);
}

test('it boots from UEFI firmware, whose variables are copied with the disks', async () => {
  const spec = await linux({ uefi: true, memoryMiB: 256 });
  await ensure(spec);
  await says(spec, 'troupe-guest: ready');
  const { instanceId } = spec;
  const [path, nvram] = [lab.copyPath('uefi'), lab.copyPath('nvram')];
  await lab.hypervisor.copyDisks(copiesOf(instanceId, { vda: path }, { nvram }));
  const variables = readFileSync(join(lab.folder, 'instances', instanceId, 'nvram.fd'));
  assert.ok(lab.hasCopy(path));
  assert.is(readFileSync(nvram).length, variables.length);
  await remove(spec);
});

test('it boots from UEFI firmware with secure boot', async () => {
  const spec = await linux({ uefi: true, secureBoot: true, memoryMiB: 512 });
  await ensure(spec);
  await says(spec, 'troupe-guest: ready');
  await remove(spec);
});

test.run();

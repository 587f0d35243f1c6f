// The embedded libvirtd with a real QEMU: what survives whom, and what is left.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectLibvirt, type Libvirt } from '../../../src/drivers/libvirt/client.ts';
import { startEmbedded, type EmbeddedServices } from '../../../src/embedded/embedded.ts';
import { readRecord } from '../../../src/embedded/launch.ts';
import { findLeftovers, removeLeftovers } from '../../../src/embedded/leftovers.ts';
import { ownedProcesses, processesInNamespacesOf } from '../../../src/embedded/owned-process.ts';
import { spawnDaemon } from '../../support/embedded-daemon.ts';
import { makeInstallation, type TestInstallation } from '../../support/installation.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('embedded libvirtd');

// No disk, no kernel: its firmware looks for one for ever, which is enough of a process.
const TINY = `<domain type='qemu'><name>tiny</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>`;

let installation: TestInstallation;
test.before.each(async () => {
  installation = await makeInstallation();
});
test.after.each(async () => {
  // Else they would start again what remove() ends.
  for (const services of started.splice(0)) await services.release();
  await installation.remove();
});

const started: EmbeddedServices[] = [];
async function start(): Promise<EmbeddedServices> {
  const services = await startEmbedded(installation, 'test', installation.log);
  started.push(services);
  return services;
}
const socketPath = () => join(installation.runDir, 'libvirt/libvirt-sock');

async function withLibvirt<T>(use: (libvirt: Libvirt) => Promise<T>): Promise<T> {
  const libvirt = await connectLibvirt({ socketPath: socketPath() });
  try {
    return await use(libvirt);
  } finally {
    await libvirt.close();
  }
}

/** virsh, to look at it as another program would. */
function virsh(...words: string[]): string {
  const uri = `qemu+unix:///system?socket=${socketPath()}`;
  return execFileSync('virsh', ['-q', '-c', uri, ...words], { encoding: 'utf8' }).trim();
}

async function startTiny(): Promise<number> {
  await withLibvirt(async ({ domains }) => domains.start(await domains.define(TINY)));
  return qemuPid();
}

function qemuPid(): number {
  const found = processesInNamespacesOf(installation.dataDir).filter(({ program }) =>
    program.startsWith('qemu-system'),
  );
  assert.is(found.length, 1, 'exactly one QEMU');
  return found[0]?.pid ?? 0;
}

/** Kills libvirtd and resolves when its successor is up. */
async function crashLibvirtd(): Promise<void> {
  const record = readRecord(join(installation.runDir, 'libvirtd.service'));
  process.kill(record?.pid ?? 0, 'SIGKILL');
  const starts = () => installation.lines.filter((line) => line === 'info libvirtd is up').length;
  await waitUntil('libvirtd is up again', () => starts() === 2);
}

/** What a libvirtd is known to add to a host's mounts, links and rules; other tests add others. */
function hostView(): string[] {
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { encoding: 'utf8' });
  const { dataDir, runDir } = installation;
  const marks = [dataDir, runDir, 'libvirt', 'LIBVIRT', 'virbr', 'vnet'];
  return [
    readFileSync('/proc/self/mountinfo', 'utf8'),
    run('ip', '-o', 'link'),
    run('nft', 'list', 'ruleset'),
  ]
    .flatMap((text) => text.split('\n'))
    .filter((line) => marks.some((mark) => line.includes(mark)));
}

test('a libvirtd that is killed comes back and has its QEMU still', async () => {
  await start();
  const qemu = await startTiny();
  await crashLibvirtd();
  assert.is(virsh('list', '--name'), 'tiny');
  assert.is(qemuPid(), qemu);
});

test('a daemon that is killed leaves all running, and the next one adopts it', async () => {
  const daemon = await spawnDaemon(installation.dataDir);
  const qemu = await startTiny();
  const before = ownedProcesses(installation);
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
  const services = await start();
  assert.equal(installation.lines, [
    'info etcd of an earlier run goes on',
    'info libvirtd of an earlier run goes on',
  ]);
  assert.equal(ownedProcesses(installation), before);
  assert.is(qemuPid(), qemu);
  await services.stop();
});

test('a machine that is destroyed is gone at once, though its first libvirtd was killed', async () => {
  await start();
  await startTiny();
  await crashLibvirtd();
  // A new libvirtd answers before it has found its machines again.
  await waitUntil('tiny is found again', () => virsh('domstate', 'tiny') === 'running');
  const startedAtMono = performance.now();
  virsh('destroy', 'tiny');
  // Without the reaper QEMU stays a zombie, and libvirt waits 15 s for it.
  assert.ok(performance.now() - startedAtMono < 5000);
});

test('a stop ends everything, also a running machine, and leaves only the data directory', async () => {
  const before = hostView();
  const services = await start();
  await startTiny();
  assert.equal(hostView(), before, 'running, it shows nothing outside its own namespaces');
  await services.stop();
  assert.equal(ownedProcesses(installation), []);
  assert.not.ok(existsSync(installation.runDir));
  assert.equal(hostView(), before);
  // The machine is still defined: it can be started again.
  await start();
  assert.is(virsh('list', '--all', '--name'), 'tiny');
});

test('what a killed daemon left is found and removed', async () => {
  const daemon = await spawnDaemon(installation.dataDir);
  await startTiny();
  const { hostTag } = installation;
  const namespace = `troupe-${hostTag}-0000a1`;
  execFileSync('ip', ['netns', 'add', namespace]);
  execFileSync('ip', ['link', 'add', `br-${hostTag}-0000a1`, 'type', 'bridge']);
  execFileSync('nft', ['add', 'table', 'ip', `troupe_${hostTag}`]);
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
  const found = await findLeftovers(installation);
  const programs = new Set(found.processes.map(({ program }) => program));
  assert.equal([...programs].sort(), ['etcd', 'libvirtd', 'perl', 'qemu-system-x86_64']);
  assert.equal(found.namespaces, [namespace]);
  assert.equal(found.links, [`br-${hostTag}-0000a1`]);
  assert.equal(found.tables, [`ip troupe_${hostTag}`]);
  await removeLeftovers(installation);
  assert.equal(await findLeftovers(installation), {
    processes: [],
    mounts: [],
    namespaces: [],
    links: [],
    tables: [],
    hasRunDirectory: false,
  });
});

test.run();

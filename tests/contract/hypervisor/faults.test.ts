// What the real driver does when libvirtd, a port or a disk fails it.
import { rejects } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainReport, DomainSpec } from '../../../actors/instance/ports.ts';
import { codeOf } from '../../../actors/kernel/errors.ts';
import { removeStillborn } from '../../../src/drivers/hypervisor/stillborn.ts';
import { withCode } from './conformance.ts';
import { boots, copiesOf, until, wantedBy } from './lab.ts';
import { LibvirtLab, qemuPids } from './libvirt-lab.ts';

const test = suite('hypervisor over libvirt: faults');
let lab: LibvirtLab;

const ensure = (spec: DomainSpec): Promise<DomainReport> =>
  lab.hypervisor.ensureDomain(spec, wantedBy(spec.instanceId));
const remove = ({ instanceId }: DomainSpec): Promise<void> =>
  lab.hypervisor.removeDomain(instanceId, wantedBy(instanceId));

/** As an executor does it: again while libvirt is away. */
async function persist<T>(work: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + 60_000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (codeOf(error) !== 'hypervisor/unavailable' || performance.now() > giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function listen(port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

test.before(async () => {
  lab = await LibvirtLab.open();
});
test.after(() => lab.close());

/** libvirtd is killed, and started again as our own supervision does it. */
async function crashAndRestart(): Promise<void> {
  lab.libvirtd.crash({ hold: true });
  await lab.libvirtGone();
  await removeStillborn(lab.statusDir);
  lab.libvirtd.resume();
}

// From before libvirt hears of it until after QEMU runs; a start takes about 300 ms here.
for (const delayMs of [0, 10, 13, 16, 20, 30, 50, 100, 200, 300]) {
  test(`libvirtd killed ${delayMs} ms into a start: the next try converges, and one QEMU runs`, async () => {
    const spec = await lab.newSpec();
    // A late kill may come after the reply.
    const first = ensure(spec).then(() => 'done', codeOf);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await crashAndRestart();
    assert.ok(['done', 'hypervisor/unavailable'].includes(await first));
    const report = await persist(() => ensure(spec));
    assert.is(report.power, 'on');
    assert.is(qemuPids(`guest=troupe-${spec.instanceId}`).length, 1);
    await until('the guest to boot', async () => (await boots(lab, spec.instanceId)) > 0);
    await persist(() => remove(spec));
    assert.is(qemuPids(`guest=troupe-${spec.instanceId}`).length, 0);
  });
}

test('the status file of a domain that never got its QEMU is removed, others stay, and it starts', async () => {
  const spec = await lab.newSpec({ power: 'off', powerOns: 0 });
  await ensure(spec);
  lab.libvirtd.crash({ hold: true });
  await lab.libvirtGone();
  const file = join(lab.statusDir, `troupe-${spec.instanceId}.xml`);
  const inactive = readFileSync(join(lab.libvirtd.directory, 'etc/qemu', basename(file)), 'utf8');
  const domain = /<domain .*<\/domain>/s.exec(inactive)?.[0] ?? '';
  const status = "<domstatus state='paused' reason='starting up' pid='0'>";
  const monitor = "<monitor path='/var/lib/libvirt/qemu/nobody/monitor.sock' type='unix'/>";
  writeFileSync(file, `${status}\n${monitor}\n${domain}\n</domstatus>\n`);
  const other = join(lab.statusDir, 'other.xml');
  writeFileSync(other, "<domstatus state='running' reason='booted' pid='17'></domstatus>");
  assert.equal(await removeStillborn(lab.statusDir), [`troupe-${spec.instanceId}`]);
  rmSync(other);
  lab.libvirtd.resume();
  const on = { ...spec, power: 'on', powerOns: 1 } as const;
  assert.is((await persist(() => ensure(on))).power, 'on');
  await remove(spec);
});

test('libvirtd killed while a domain is removed: the next try removes the rest', async () => {
  const spec = await lab.newSpec();
  await ensure(spec);
  const first = remove(spec).catch(codeOf);
  await crashAndRestart();
  await first;
  await persist(() => remove(spec));
  assert.equal(lab.ledgerOf(spec.instanceId), []);
  assert.equal(await lab.hypervisor.domains(), []);
  assert.is(qemuPids(`guest=troupe-${spec.instanceId}`).length, 0);
});

for (const which of ['consolePort', 'vdiPort'] as const) {
  test(`a ${which} that somebody took since is chosen again`, async () => {
    const spec = await lab.newSpec({ power: 'off', powerOns: 0 });
    await ensure(spec);
    const taken = Number(lab.portsOf(spec.instanceId)[which]);
    const server = await listen(taken);
    try {
      const report = await ensure({ ...spec, power: 'on', powerOns: 1 });
      assert.is(report.power, 'on');
      assert.is.not(report[which], taken);
      assert.ok(lab.lines.some(({ message }) => message.includes('port was taken')));
      await until('the guest to boot', async () => (await boots(lab, spec.instanceId)) === 1);
    } finally {
      server.close();
    }
    await remove(spec);
  });
}

test('without a free port in the range the reason says so', async () => {
  const spec = await lab.newSpec();
  const server = await listen(23_999);
  const narrow = lab.newDaemon({ portRange: { first: 23_999, last: 23_999 } });
  try {
    await narrow.start();
    const wish = narrow.ensureDomain(spec, wantedBy(spec.instanceId));
    await rejects(wish, withCode('host/port-in-use', /widen the range/));
  } finally {
    server.close();
    await narrow.close();
  }
  await remove(spec);
});

test('a second QEMU on the same disk is refused by the lock that the first one holds (H3)', async () => {
  const spec = await lab.newSpec();
  await ensure(spec);
  const thief = { ...(await lab.newSpec()), disks: spec.disks };
  await rejects(ensure(thief), withCode('hypervisor/refused', /Failed to get "write" lock/));
  assert.is((await ensure(spec)).power, 'on');
  await remove(thief);
  await remove(spec);
});

test('libvirt says in its own words why it refuses a definition', async () => {
  const spec = await lab.newSpec({ video: { model: 'holograph', memoryKiB: 1024, vdi: 'vnc' } });
  await rejects(ensure(spec), withCode('hypervisor/refused', /holograph/));
  await remove(spec);
  assert.equal(lab.ledgerOf(spec.instanceId), []);
});

test('an id that is no UUID never becomes a path', async () => {
  const spec = { ...(await lab.newSpec()), instanceId: '../../etc' };
  await rejects(ensure(spec), withCode('hypervisor/refused', /UUID/));
  await rejects(lab.hypervisor.readConsole('../x', -1), withCode('hypervisor/refused', /UUID/));
});

test('a daemon that finds no libvirtd says so in time', async () => {
  const startedAt = performance.now();
  const lost = lab.newDaemon({ socketPath: `${lab.folder}/nobody`, startTimeoutMs: 600 });
  await rejects(lost.start(), withCode('hypervisor/unavailable', /libvirtd/));
  assert.ok(performance.now() - startedAt < 10_000);
  await rejects(lost.domains(), withCode('hypervisor/unavailable', /not started/));
  await lost.close();
});

/** With a second disk that takes a while to copy. */
async function slowToCopy(): Promise<DomainSpec> {
  const spec = await lab.newSpec();
  const path = join(lab.folder, `${spec.instanceId}-large.qcow2`);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '768M']);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -q -P 9 0 768M', path]);
  const about = { format: 'qcow2', media: 'disk', bus: 'virtio', readonly: false } as const;
  return { ...spec, disks: [...spec.disks, { device: 'vdb', path, ...about }] };
}

const jobOf = ({ instanceId }: DomainSpec) => lab.libvirtd.virsh('domjobinfo', instanceId);
const left = () => lab.ledger.list({ resource: 'disk-copies' });

test('a copy under way is ended when it is called off, when its guest goes off, and by the next daemon', async () => {
  const spec = await slowToCopy();
  const { instanceId } = spec;
  await ensure(spec);
  const abort = new AbortController();
  const seen = Promise.withResolvers<void>();
  const paths = (name: string) => ({ vda: lab.copyPath(`${name}-a`), vdb: lab.copyPath(name) });
  const watched = { signal: abort.signal, onProgress: () => seen.resolve() };
  const first = lab.hypervisor.copyDisks(copiesOf(instanceId, paths('first'), watched));
  const calledOff = rejects(first, withCode('actor/stopped'));
  await seen.promise;
  abort.abort();
  await calledOff;
  assert.match(jobOf(spec), /None/);
  assert.equal(left(), []);

  const second = lab.hypervisor.copyDisks(copiesOf(instanceId, paths('second')));
  const wentOff = rejects(second, withCode('object/not-ready', /went off/));
  await until('it is begun', () => lab.hasCopy(paths('second').vdb));
  await lab.killQEMU(instanceId);
  await wentOff;
  assert.equal(left(), []);

  await ensure(spec);
  const third = lab.hypervisor.copyDisks(copiesOf(instanceId, paths('third')));
  const cut = rejects(third);
  await until('it is begun', () => lab.hasCopy(paths('third').vdb));
  await lab.restartDaemon();
  await cut;
  assert.match(jobOf(spec), /None/);
  assert.equal(left(), []);
  const fourth = paths('fourth');
  await lab.hypervisor.copyDisks(copiesOf(instanceId, fourth));
  const [, large = spec.disks[0]] = spec.disks;
  const files = [large?.path ?? '', fourth.vdb];
  assert.match(
    execFileSync('qemu-img', ['compare', '-U', ...files], { encoding: 'utf8' }),
    /identical/,
  );
  await remove(spec);
});

test.run();

// Whose domains the real driver touches, and what its audit finds.
import { rejects } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainReport, DomainSpec } from '../../../actors/instance/ports.ts';
import { buildDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import { withCode } from './conformance.ts';
import { boots, Changes, until, wantedBy } from './lab.ts';
import { LibvirtLab, qemuPids } from './libvirt-lab.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const test = suite('hypervisor over libvirt: whose domains');
let lab: LibvirtLab;

const ensure = (spec: DomainSpec): Promise<DomainReport> =>
  lab.hypervisor.ensureDomain(spec, wantedBy(spec.instanceId));
const remove = ({ instanceId }: DomainSpec): Promise<void> =>
  lab.hypervisor.removeDomain(instanceId, wantedBy(instanceId));
const booted = (spec: DomainSpec, times: number) =>
  until(`boot ${times}`, async () => (await boots(lab, spec.instanceId)) === times);

test.before(async () => {
  lab = await LibvirtLab.open();
});
test.after(() => lab.close());

test("somebody else's domain is neither listed, nor changed, nor removed", async () => {
  const spec = await lab.newSpec();
  const name = `troupe-${spec.instanceId}`;
  const uuid = spec.instanceId;
  const xml = buildDomainXml({ name, uuid, type: 'qemu', memoryMiB: 32, vcpus: 1 });
  await writeFile(join(lab.folder, 'foreign.xml'), xml);
  lab.libvirtd.virsh('define', join(lab.folder, 'foreign.xml'));
  assert.not((await lab.hypervisor.domains()).includes(uuid));
  await rejects(ensure(spec), withCode('hypervisor/refused', /did not make/));
  await rejects(remove(spec), withCode('hypervisor/refused', /did not make/));
  assert.is(lab.libvirtd.virsh('domname', uuid).trim(), name);
  lab.libvirtd.virsh('undefine', name);
});

test("a domain of another daemon on the same libvirt is that daemon's", async () => {
  const spec = await lab.newSpec();
  await ensure(spec);
  const other = lab.newDaemon({ hostTag: 'another' });
  await other.start();
  try {
    assert.equal(await other.domains(), []);
    const wish = other.removeDomain(spec.instanceId, wantedBy(spec.instanceId));
    await rejects(wish, withCode('hypervisor/refused', /did not make/));
  } finally {
    await other.close();
  }
  assert.equal(await lab.hypervisor.domains(), [spec.instanceId]);
  await remove(spec);
});

test('a domain whose ledger entry was lost is reported, adopted when wanted, and never started twice', async () => {
  const spec = await lab.newSpec({ hardReboots: 2, softReboots: 2 });
  await ensure(spec);
  await booted(spec, 1);
  lab.ledger.forget('domain', `troupe-${spec.instanceId}`);
  const drifts = await lab.hypervisor.audit(() => false, 'audit');
  assert.equal(
    drifts.map(({ problem, name, repaired }) => ({ problem, name, repaired })),
    [{ problem: 'unknown', name: `troupe-${spec.instanceId}`, repaired: false }],
  );
  assert.is((await ensure(spec)).power, 'on');
  assert.is(qemuPids(`guest=troupe-${spec.instanceId}`).length, 1);
  assert.is(await boots(lab, spec.instanceId), 1);
  assert.equal(await lab.hypervisor.audit(() => true, 'audit'), []);
  await remove(spec);
});

test('a domain whose definition was removed while it ran is given one again', async () => {
  const spec = await lab.newSpec();
  const before = await ensure(spec);
  await booted(spec, 1);
  lab.libvirtd.virsh('undefine', `troupe-${spec.instanceId}`);
  const [drift] = await lab.hypervisor.audit(() => true, 'audit');
  assert.is(drift?.problem, 'different');
  assert.equal(await ensure(spec), before);
  assert.equal(await lab.hypervisor.audit(() => true, 'audit'), []);
  assert.is(await boots(lab, spec.instanceId), 1);
  await remove(spec);
});

test('a running domain without definition is removed', async () => {
  const spec = await lab.newSpec();
  await ensure(spec);
  lab.libvirtd.virsh('undefine', `troupe-${spec.instanceId}`);
  await remove(spec);
  assert.equal(await lab.hypervisor.domains(), []);
  assert.is(qemuPids(`guest=troupe-${spec.instanceId}`).length, 0);
});

test('the audit removes what nobody wants, waits where it does not know, and tells what is missing', async () => {
  const [unwanted, unknown, missing] = [
    await lab.newSpec(),
    await lab.newSpec({ power: 'off' }),
    await lab.newSpec({ power: 'off' }),
  ];
  for (const spec of [unwanted, unknown, missing]) await ensure(spec);
  lab.libvirtd.virsh('undefine', `troupe-${missing.instanceId}`);
  const isWanted = (owner: string) => {
    if (owner === `instance/${unwanted.instanceId}`) return false;
    return owner === `instance/${missing.instanceId}` ? true : undefined;
  };
  const drifts = await lab.hypervisor.audit(isWanted, 'audit');
  const found = new Map(
    drifts.map(({ owner, problem, repaired }) => [owner, { problem, repaired }]),
  );
  assert.is(found.size, 2);
  assert.equal(found.get(`instance/${unwanted.instanceId}`), {
    problem: 'unknown',
    repaired: true,
  });
  assert.equal(found.get(`instance/${missing.instanceId}`), {
    problem: 'missing',
    repaired: false,
  });
  assert.equal(await lab.hypervisor.domains(), [unknown.instanceId]);
  assert.equal(lab.ledgerOf(unwanted.instanceId), []);
  for (const spec of [unknown, missing]) await remove(spec);
});

test('the audit cuts a console log that grew too long', async () => {
  const spec = await lab.newSpec();
  await ensure(spec);
  await booted(spec, 1);
  const log = join(lab.folder, 'instances', spec.instanceId, 'console.log');
  await writeFile(log, Buffer.alloc(17 * 1024 * 1024, 'x'), { flag: 'a' });
  await lab.hypervisor.audit(() => true, 'audit');
  assert.is((await lab.hypervisor.readConsole(spec.instanceId, -1)).length, 4 * 1024 * 1024);
  await ensure({ ...spec, hardReboots: 1 });
  await booted(spec, 1);
  await remove(spec);
});

test('what an operator does at libvirt is told', async () => {
  const spec = await lab.newSpec();
  const changes = new Changes(lab.hypervisor);
  await ensure(spec);
  await booted(spec, 1);
  const name = `troupe-${spec.instanceId}`;
  lab.libvirtd.virsh('suspend', name);
  await changes.next(spec.instanceId, ({ power }) => power === 'paused');
  assert.is((await ensure(spec)).power, 'on');
  lab.libvirtd.virsh('destroy', name);
  const off = await changes.next(spec.instanceId, ({ power }) => power === 'off');
  assert.is(off.offReason, 'requested');
  assert.is((await ensure(spec)).power, 'off', 'a stop on request is not undone');
  changes.stop();
  await remove(spec);
});

test('a QEMU that somebody on the host ends by SIGTERM is lost, not shut down by its guest', async () => {
  const spec = await lab.newSpec();
  const changes = new Changes(lab.hypervisor);
  await ensure(spec);
  await booted(spec, 1);
  process.kill(lab.pidOf(spec.instanceId), 'SIGTERM');
  const off = await changes.next(spec.instanceId, ({ power }) => power === 'off');
  assert.is(off.offReason, 'lost');
  assert.is((await ensure(spec)).power, 'on');
  await booted(spec, 2);
  changes.stop();
  await remove(spec);
});

test('our own doing is no news', async () => {
  const spec = await lab.newSpec();
  const changes = new Changes(lab.hypervisor);
  await ensure(spec);
  await ensure({ ...spec, power: 'paused' });
  await ensure(spec);
  await ensure({ ...spec, power: 'off' });
  // An event of another instance that comes later: all earlier ones are through then.
  const later = await lab.newSpec();
  await ensure(later);
  await booted(later, 1);
  await lab.guestPowersOff(later.instanceId);
  await changes.next(later.instanceId);
  assert.equal(
    changes.seen.filter(({ instanceId }) => instanceId === spec.instanceId),
    [],
  );
  changes.stop();
  await remove(spec);
  await remove(later);
});

test('an instance that was never wanted here is removed quietly', async () => {
  const instanceId = randomUUID();
  await lab.hypervisor.removeDomain(instanceId, wantedBy(instanceId));
});

test.run();

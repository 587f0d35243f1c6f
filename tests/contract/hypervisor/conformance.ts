// What every Hypervisor does, real or simulated (actors/instance/ports.ts, H1 to H3). Each test has its
// own instances on the one machine of the suite.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainReport, DomainSpec } from '../../../actors/instance/ports.ts';
import { TroupeError, type ErrorCode } from '../../../actors/kernel/errors.ts';
import { boots, Changes, consoleText, copiesOf, countOf, until, wantedBy } from './lab.ts';
import type { HypervisorLab } from './lab.ts';

/** Runs the suite against the machine that `open` makes. */
export function conformance(name: string, open: () => Promise<HypervisorLab>): void {
  const test = suite(name);
  let lab: HypervisorLab;
  let changes: Changes;
  let generation = 0;

  const ensure = (spec: DomainSpec): Promise<DomainReport> =>
    lab.hypervisor.ensureDomain(spec, wantedBy(spec.instanceId, ++generation));
  const remove = (spec: DomainSpec): Promise<void> =>
    lab.hypervisor.removeDomain(spec.instanceId, wantedBy(spec.instanceId, ++generation));
  const booted = (spec: DomainSpec, times: number) =>
    until(`boot ${times} of the guest`, async () => (await boots(lab, spec.instanceId)) === times);
  /** An instance that is up. */
  const running = async (change: Partial<DomainSpec> = {}): Promise<DomainSpec> => {
    const spec = await lab.newSpec(change);
    await ensure(spec);
    await booted(spec, 1);
    return spec;
  };

  test.before(async () => {
    lab = await open();
    changes = new Changes(lab.hypervisor);
  });
  test.after(async () => {
    await lab.close();
  });

  test('a wanted instance is started, and tells its console ports', async () => {
    const spec = await lab.newSpec();
    const report = await ensure(spec);
    assert.is(report.power, 'on');
    assert.is(report.offReason, null);
    for (const port of [report.consolePort, report.vdiPort]) {
      assert.ok(port !== null && port >= lab.ports.first && port <= lab.ports.last, `port ${port}`);
    }
    assert.is.not(report.consolePort, report.vdiPort);
    await booted(spec, 1);
    assert.ok((await lab.hypervisor.domains()).includes(spec.instanceId));
    assert.ok(lab.ledgerOf(spec.instanceId).length > 0);
    await remove(spec);
  });

  test('the same wish again changes nothing', async () => {
    const spec = await running();
    const first = await ensure(spec);
    assert.equal(await ensure(spec), first);
    assert.is(await boots(lab, spec.instanceId), 1);
    await remove(spec);
  });

  test('an instance that is wanted off is defined and not started', async () => {
    const spec = await lab.newSpec({ power: 'off', powerOns: 0 });
    const report = await ensure(spec);
    assert.is(report.power, 'off');
    assert.is(report.offReason, null);
    assert.is(report.consolePort, null);
    assert.ok((await lab.hypervisor.domains()).includes(spec.instanceId));
    assert.is((await ensure({ ...spec, power: 'on', powerOns: 1 })).power, 'on');
    await remove(spec);
  });

  test('a guest that powers itself off stays off until power on is asked for again (H2)', async () => {
    const spec = await running();
    await lab.guestPowersOff(spec.instanceId);
    const told = await changes.next(spec.instanceId, ({ power }) => power === 'off');
    assert.is(told.offReason, 'guest');
    assert.is(told.consolePort, null);
    assert.is(told.vdiPort, null);
    assert.is((await ensure(spec)).power, 'off');
    assert.is((await ensure(spec)).offReason, 'guest');
    const again = await ensure({ ...spec, powerOns: 2 });
    assert.is(again.power, 'on');
    assert.is(again.offReason, null);
    await booted(spec, 2);
    await remove(spec);
  });

  test('a guest whose QEMU was killed is told as lost and started again (H2)', async () => {
    const spec = await running();
    await lab.killQEMU(spec.instanceId);
    const told = await changes.next(spec.instanceId, ({ power }) => power === 'off');
    assert.is(told.offReason, 'lost');
    assert.is((await ensure(spec)).power, 'on');
    await booted(spec, 2);
    await remove(spec);
  });

  test('power off stops the guest at once, and it stays off', async () => {
    const spec = await running();
    const off = { ...spec, power: 'off' } as const;
    const report = await ensure(off);
    assert.is(report.power, 'off');
    assert.is(report.offReason, 'requested');
    assert.is(report.consolePort, null);
    assert.is((await ensure(off)).offReason, 'requested');
    assert.is((await ensure({ ...spec, powerOns: 2 })).power, 'on');
    await booted(spec, 2);
    await remove(spec);
  });

  test('a pause stops the guest where it is, and on lets it go on', async () => {
    const spec = await running();
    assert.is((await ensure({ ...spec, power: 'paused' })).power, 'paused');
    assert.is((await ensure({ ...spec, power: 'paused' })).power, 'paused');
    const report = await ensure(spec);
    assert.is(report.power, 'on');
    assert.is.not(report.consolePort, null);
    assert.is(await boots(lab, spec.instanceId), 1);
    await lab.guestPowersOff(spec.instanceId);
    await changes.next(spec.instanceId, ({ offReason }) => offReason === 'guest');
    await remove(spec);
  });

  test('each hard reboot is done once', async () => {
    const spec = await running();
    const once = { ...spec, hardReboots: 1 };
    assert.is((await ensure(once)).power, 'on');
    await booted(spec, 2);
    await ensure(once);
    // A second reset would come before the third boot that is asked for here.
    await ensure({ ...spec, hardReboots: 2 });
    await booted(spec, 3);
    await remove(spec);
  });

  test('each soft reboot presses the power button once, and the guest comes up again', async () => {
    const spec = await running();
    const once = { ...spec, softReboots: 1 };
    await ensure(once);
    await booted(spec, 2);
    await ensure(once);
    await lab.guestPowersOff(spec.instanceId);
    await changes.next(spec.instanceId, ({ offReason }) => offReason === 'guest');
    const text = await consoleText(lab, spec.instanceId);
    assert.is(countOf(text, 'power button'), 1);
    assert.is(countOf(text, 'guest ready'), 2);
    await remove(spec);
  });

  test('a start makes the reboots moot that were asked for while it was off', async () => {
    const spec = await running();
    await lab.guestPowersOff(spec.instanceId);
    await changes.next(spec.instanceId, ({ power }) => power === 'off');
    await ensure({ ...spec, powerOns: 2, hardReboots: 3, softReboots: 2 });
    await booted(spec, 2);
    await ensure({ ...spec, powerOns: 2, hardReboots: 3, softReboots: 2 });
    await lab.guestPowersOff(spec.instanceId);
    await changes.next(spec.instanceId, ({ offReason }) => offReason === 'guest');
    assert.is(await boots(lab, spec.instanceId), 2);
    await remove(spec);
  });

  test('a changed definition leaves a running guest alone (H1)', async () => {
    const spec = await running();
    const report = await ensure(spec);
    assert.equal(await ensure({ ...spec, memoryMiB: spec.memoryMiB + 16 }), report);
    assert.is(await boots(lab, spec.instanceId), 1);
    await remove(spec);
  });

  test('remove leaves nothing of it, also twice and of what never was', async () => {
    const spec = await running();
    await remove(spec);
    assert.not((await lab.hypervisor.domains()).includes(spec.instanceId));
    assert.equal(lab.ledgerOf(spec.instanceId), []);
    await remove(spec);
    await remove(await lab.newSpec());
  });

  test('wishes for one instance at the same time start it once', async () => {
    const spec = await lab.newSpec();
    const reports = await Promise.all([ensure(spec), ensure(spec), ensure(spec)]);
    for (const report of reports) assert.equal(report, reports[0]);
    await booted(spec, 1);
    await remove(spec);
    assert.is(await boots(lab, spec.instanceId), 1);
  });

  test('several instances start in parallel, each with ports of its own', async () => {
    const specs = await Promise.all([lab.newSpec(), lab.newSpec(), lab.newSpec()]);
    const reports = await Promise.all(specs.map(ensure));
    const ports = reports.flatMap(({ consolePort, vdiPort }) => [consolePort, vdiPort]);
    assert.is(new Set(ports).size, 6);
    await Promise.all(specs.map((spec) => booted(spec, 1)));
    await Promise.all(specs.map(remove));
  });

  test('an older generation is refused, and changes nothing', async () => {
    const spec = await running();
    const stale = wantedBy(spec.instanceId, generation - 1);
    await rejects(
      lab.hypervisor.ensureDomain({ ...spec, power: 'off' }, stale),
      withCode('executor/stale-epoch'),
    );
    await rejects(
      lab.hypervisor.removeDomain(spec.instanceId, stale),
      withCode('executor/stale-epoch'),
    );
    assert.is((await ensure(spec)).power, 'on');
    await remove(spec);
  });

  test('a wish that was called off makes nothing', async () => {
    const spec = await lab.newSpec();
    const by = wantedBy(spec.instanceId, ++generation, AbortSignal.abort());
    await rejects(lab.hypervisor.ensureDomain(spec, by), withCode('actor/stopped'));
    assert.not((await lab.hypervisor.domains()).includes(spec.instanceId));
    assert.equal(lab.ledgerOf(spec.instanceId), []);
  });

  test('a disk that cannot be opened is refused with the reason, and starts when it is mended', async () => {
    const spec = await lab.newSpec();
    await lab.breakDisk(spec, true);
    await rejects(ensure(spec), withCode('hypervisor/refused', /storage file/));
    await lab.breakDisk(spec, false);
    assert.is((await ensure(spec)).power, 'on');
    await booted(spec, 1);
    await remove(spec);
  });

  test('the console is read from its end, and emptied while the guest runs', async () => {
    const spec = await running();
    const all = await consoleText(lab, spec.instanceId);
    const tail = await lab.hypervisor.readConsole(spec.instanceId, 7);
    assert.is(Buffer.from(tail).toString('latin1'), all.slice(-7));
    assert.is((await lab.hypervisor.readConsole(spec.instanceId, 0)).length, 0);
    await lab.hypervisor.clearConsole(spec.instanceId);
    assert.is(await consoleText(lab, spec.instanceId), '');
    await ensure({ ...spec, hardReboots: 1 });
    await booted(spec, 1);
    assert.not((await consoleText(lab, spec.instanceId)).includes('\0'), 'a hole where it was cut');
    await remove(spec);
  });

  test('an instance without a console log reads as empty', async () => {
    const { instanceId } = await lab.newSpec();
    assert.is((await lab.hypervisor.readConsole(instanceId, -1)).length, 0);
    await lab.hypervisor.clearConsole(instanceId);
  });

  test('the console log survives a power off', async () => {
    const spec = await running();
    await ensure({ ...spec, power: 'off' });
    await ensure({ ...spec, powerOns: 2 });
    await booted(spec, 2);
    await remove(spec);
  });

  test('without libvirt every call fails at once, guests run on, and all are told after it is back', async () => {
    const [one, two] = [await running(), await running()];
    await lab.loseControl();
    const startedAt = performance.now();
    await rejects(ensure(one), withCode('hypervisor/unavailable'));
    await rejects(remove(one), withCode('hypervisor/unavailable'));
    await rejects(lab.hypervisor.domains(), withCode('hypervisor/unavailable'));
    assert.ok(performance.now() - startedAt < 5000, 'it must not wait for libvirt');
    changes.seen.length = 0;
    await lab.returnControl();
    for (const { instanceId } of [one, two]) {
      assert.is((await changes.next(instanceId)).power, 'on');
      assert.is(await boots(lab, instanceId), 1);
    }
    assert.is((await ensure(one)).power, 'on');
    await Promise.all([remove(one), remove(two)]);
  });

  test('a guest that powered itself off while libvirt was away is told as such', async () => {
    const spec = await running();
    await lab.loseControl();
    await lab.guestPowersOff(spec.instanceId);
    await lab.returnControl();
    const told = await changes.next(spec.instanceId, ({ power }) => power === 'off');
    assert.is(told.offReason, 'guest');
    await remove(spec);
  });

  test('a guest whose QEMU was killed while libvirt was away is told as lost', async () => {
    const spec = await running();
    await lab.loseControl();
    await lab.killQEMU(spec.instanceId);
    await lab.returnControl();
    const told = await changes.next(spec.instanceId, ({ power }) => power === 'off');
    assert.is(told.offReason, 'lost');
    assert.is((await ensure(spec)).power, 'on');
    await remove(spec);
  });

  test('the disks of a running guest are copied while it runs on, as often as asked for', async () => {
    const spec = await running();
    const { instanceId } = spec;
    for (const name of ['first', 'second']) {
      const path = lab.copyPath(name);
      await lab.hypervisor.copyDisks(copiesOf(instanceId, { vda: path }));
      assert.ok(lab.hasCopy(path), name);
    }
    assert.is(await boots(lab, instanceId), 1);
    assert.is((await ensure(spec)).power, 'on');
    await remove(spec);
  });

  test('the disks of a guest that is off are copied by who wants them, and it stays off meanwhile', async () => {
    const spec = await lab.newSpec({ power: 'off', powerOns: 0 });
    const { instanceId } = spec;
    await ensure(spec);
    const steps: string[] = [];
    let started: Promise<unknown> | undefined;
    const whileOff = async () => {
      started = ensure({ ...spec, power: 'on', powerOns: 1 }).then(() => steps.push('started'));
      await new Promise((resolve) => setTimeout(resolve, 50));
      steps.push('copied');
    };
    await lab.hypervisor.copyDisks(
      copiesOf(instanceId, { vda: lab.copyPath('off') }, { whileOff }),
    );
    await started;
    assert.equal(steps, ['copied', 'started']);
    await remove(spec);
  });

  test('a copy that is called off ends, and the next one is made', async () => {
    const spec = await running();
    const { instanceId } = spec;
    const abort = new AbortController();
    abort.abort();
    const { signal } = abort;
    const [path, next] = [lab.copyPath('called-off'), lab.copyPath('next')];
    const copies = copiesOf(instanceId, { vda: path }, { signal });
    await rejects(lab.hypervisor.copyDisks(copies), withCode('actor/stopped'));
    await lab.hypervisor.copyDisks(copiesOf(instanceId, { vda: next }));
    assert.ok(lab.hasCopy(next));
    await remove(spec);
  });

  test('a daemon that starts again adopts what runs, with its ports and counters', async () => {
    const spec = await running();
    const wish = { ...spec, hardReboots: 1 };
    const before = await ensure(wish);
    await booted(spec, 2);
    await lab.restartDaemon();
    changes = new Changes(lab.hypervisor);
    assert.equal(await ensure(wish), before);
    assert.is(await boots(lab, spec.instanceId), 2);
    await remove(spec);
  });

  test('after a reboot of the host what ran is lost and started, what was off stays off', async () => {
    const [ran, off] = [await running(), await running()];
    await lab.guestPowersOff(off.instanceId);
    await changes.next(off.instanceId, ({ power }) => power === 'off');
    await lab.rebootHost();
    changes = new Changes(lab.hypervisor);
    assert.is((await ensure(off)).offReason, 'guest');
    assert.is((await ensure(ran)).power, 'on');
    await booted(ran, 2);
    assert.is(await boots(lab, off.instanceId), 1);
    await Promise.all([remove(ran), remove(off)]);
  });

  test.run();
}

/** For rejects(): a TroupeError with this code, and a message that fits. */
export function withCode(code: ErrorCode, message = /./) {
  return (error: unknown): boolean => {
    assert.instance(error, TroupeError);
    if (!(error instanceof TroupeError)) return false;
    assert.is(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

// Measuring on a clock turned by hand: the store hears of what matters to the scheduler, and of nothing else.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { initial as noInstance } from '../../../actors/instance/instance.ts';
import { instanceRef, type Observed } from '../../../actors/instance/state.ts';
import { localRouter } from '../../../actors/kernel/router.ts';
import { nodePerformers } from '../../../actors/node/effects.ts';
import { node } from '../../../actors/node/node.ts';
import { nodeRef, type Gauges, type NodeState } from '../../../actors/node/state.ts';
import { Measuring } from '../../../src/daemon/gauges.ts';
import { makeWorld } from '../../support/kernel.ts';
import { GAUGES, MACHINE } from '../../support/machine-facts.ts';
import { recordsOf } from '../../support/records.ts';

const test = suite('gauges');
const LOOK_MS = 5_000;
const QUIET_MS = 15_000;

/** A registered node that reserves for `vm`, and a machine that shows what it is set to. */
async function world() {
  const kernel = makeWorld();
  const { runtime, clock, random, journal } = kernel;
  runtime.register(node, nodePerformers({ carry: () => Promise.resolve() }));
  const router = localRouter(runtime, {});
  runtime.connect(router);
  const trace = { trace: 't' };
  const register = { kind: 'register', bootId: 'b1', machine: MACHINE, gauges: GAUGES } as const;
  await router.ask(nodeRef('n1'), register, trace);
  const amount = { cpus: 1, memoryMiB: 512, diskGiB: 8 };
  await router.ask(nodeRef('n1'), { kind: 'reserve', instanceId: 'vm', ...amount }, trace);
  let now: Gauges | Error = GAUGES;
  const gauges = () => {
    if (now instanceof Error) throw now;
    return now;
  };
  const read = recordsOf(journal);
  const log = () => {};
  const measuring = new Measuring({ node: 'n1', read, router, clock, random, log, gauges });
  return {
    ...kernel,
    measuring,
    show: (shown: Partial<Gauges> | Error) =>
      void (now = shown instanceof Error ? shown : { ...GAUGES, ...shown }),
    state: () => journal.stateOf(nodeRef('n1')) as NodeState,
    power: (power: Observed['power']) => {
      const ports = { consolePort: null, vdiPort: null, vdiTlsPort: null };
      const observed = { power, offReason: null, accelerator: 'tcg', ...ports };
      const state = { ...noInstance, phase: 'created', node: 'n1', observed };
      journal.put(instanceRef('vm'), 1, state);
    },
  };
}

test('a machine that idles, and wavers a little, costs the store nothing', async () => {
  const { clock, journal, show, measuring } = await world();
  const { length } = journal.writes;
  for (let look = 0; look < 200; look++) {
    const wavering = { availableMemoryMiB: 12_000 + ((look * 37) % 250), load: (look % 5) / 12 };
    show({ ...wavering, freeDiskGiB: 100 - (look % 2) });
    await clock.advance(LOOK_MS);
  }
  assert.is(journal.writes.length, length);
  await measuring.stop();
});

test('what matters to the scheduler is recorded at the next look', async () => {
  for (const change of [{ availableMemoryMiB: 11_700 }, { freeDiskGiB: 98 }, { load: 0.5 }]) {
    const { clock, show, state, measuring } = await world();
    show(change);
    await clock.advance(LOOK_MS);
    assert.equal(state().gauges, { ...GAUGES, ...change });
    await measuring.stop();
  }
});

test('a machine under ever changing load is recorded at most four times a minute', async () => {
  const { clock, journal, show, measuring } = await world();
  const { length } = journal.writes;
  for (let look = 0; look < 120; look++) {
    show({ load: look % 2 === 0 ? 9 : 1, availableMemoryMiB: 12_000 - (look % 3) * 1_000 });
    await clock.advance(LOOK_MS);
  }
  const perMinute = (journal.writes.length - length) / 10;
  assert.ok(perMinute > 1 && perMinute <= 60_000 / QUIET_MS, `${perMinute} a minute`);
  await measuring.stop();
});

test('a guest that starts or ends is recorded with gauges of the same look', async () => {
  const { clock, show, state, power, measuring } = await world();
  const seen = () => [state().reservations['vm']?.isRunning, state().reservations['vm']?.isBuilt];
  assert.equal(seen(), [false, false]);
  power('on');
  show({ availableMemoryMiB: 11_900 });
  await clock.advance(LOOK_MS);
  assert.equal([...seen(), state().gauges?.availableMemoryMiB], [true, true, 11_900]);
  power('off');
  show({ availableMemoryMiB: 11_990 });
  await clock.advance(LOOK_MS);
  assert.equal([...seen(), state().gauges?.availableMemoryMiB], [false, true, 11_990]);
  await measuring.stop();
});

test('a look that fails is made again, and none after stop()', async () => {
  const { clock, show, state, measuring } = await world();
  show(new Error('no /proc'));
  await clock.advance(LOOK_MS);
  show({ load: 3 });
  await clock.advance(LOOK_MS);
  assert.is(state().gauges?.load, 3);
  await measuring.stop();
  show({ load: 9 });
  await clock.advance(10 * QUIET_MS);
  assert.is(state().gauges?.load, 3);
});

test.run();

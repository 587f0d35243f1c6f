// Crashes and what follows; numbers are those of supervisor.ts and activation.ts.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CrashDecision } from '../../../actors/kernel/kind.ts';
import type { RuntimeOptions } from '../../../actors/kernel/runtime.ts';
import { makeWorld, settle } from '../../support/kernel.ts';
import { job, jobKind, type JobKind, type JobMessage, type JobState } from './toy.ts';

const test = suite('kernel supervision');
const trace = { trace: 't1' };
const idleWork = { work: () => new Promise<undefined>(() => {}) };

/** A job called a whose effect ends when told to. */
async function makeJob(parts: Partial<JobKind> = {}, options: Partial<RuntimeOptions> = {}) {
  const world = makeWorld(options);
  const signals: AbortSignal[] = [];
  world.runtime.register(jobKind(parts), {
    work: (_state, { signal }) => {
      signals.push(signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')));
      });
    },
  });
  await world.runtime.ask(job('a'), { kind: 'create', name: 'first' }, trace);
  await settle();
  const send = (message: JobMessage) => world.runtime.ask(job('a'), message, trace);
  const crash = () => rejects(send({ kind: 'crash' }), { code: 'actor/crashed' });
  const stateOf = () => world.journal.stateOf(job('a')) as JobState;
  return { ...world, send, crash, stateOf, signals };
}

test('A5: the asker of a crashed message learns it, and the actor starts again from its snapshot', async () => {
  const { crash, send, clock, runtime, signals, lines } = await makeJob();
  const before = runtime.inspect(job('a'))?.activation ?? 0;
  await crash();
  assert.ok(signals[0]?.aborted, 'the effects of the crashed life end');
  assert.is(runtime.inspect(job('a'))?.status, 'restarting');
  await clock.advance(100);
  const after = runtime.inspect(job('a'));
  assert.is(after?.status, 'active');
  assert.ok((after?.activation ?? 0) > before);
  assert.is(after?.restarts, 1);
  assert.is(signals.length, 2, 'the effects of the snapshot run again');
  assert.equal((await send({ kind: 'read' })).value, { phase: 'working', notes: 0 });
  const [crashLine] = lines.filter(({ level }) => level === 'error');
  assert.is(crashLine?.fields['trace'], 't1');
  assert.is(lines.filter(({ level }) => level === 'error').length, 1, 'logged once');
});

test('V2: what others sent waits for the next life, in order; the poison message does not come back', async () => {
  const { send, clock, stateOf } = await makeJob();
  const crashed = rejects(send({ kind: 'crash' }), { code: 'actor/crashed' });
  const kept = [send({ kind: 'note', text: 'one' }), send({ kind: 'note', text: 'two' })];
  await crashed;
  kept.push(send({ kind: 'note', text: 'three' }));
  await settle();
  assert.equal(stateOf().notes, []);
  await clock.advance(100);
  await Promise.all(kept);
  assert.equal(stateOf().notes, ['one', 'two', 'three']);
});

test('V2: restarts wait longer each time, and after the budget the object is parked with the reason', async () => {
  const { crash, clock, stateOf, journal, runtime, send } = await makeJob();
  for (let restart = 1; restart <= 5; restart++) {
    await crash();
    const pauseMs = (runtime.inspect(job('a'))?.retryAtMs ?? 0) - clock.nowMs();
    const ceiling = 100 * 2 ** (restart - 1);
    assert.ok(pauseMs >= ceiling / 2 && pauseMs <= ceiling, `pause ${restart}: ${pauseMs}`);
    await clock.advance(pauseMs);
    assert.is(runtime.inspect(job('a'))?.status, 'active');
  }
  await crash();
  await clock.advance(10_000);
  assert.is(stateOf().phase, 'error');
  assert.is(stateOf().reason, 'crashed: a bug in the transition');
  assert.equal(journal.messagesOf(job('a')), [
    'created',
    'parked: crashed: a bug in the transition',
  ]);
  assert.is(journal.events.get('job/a')?.[1]?.type, 'status');
  assert.equal((await send({ kind: 'read' })).value, { phase: 'error', notes: 0 });
  assert.is(runtime.stats().parks, 1);
});

test('crashes further back than the window are forgiven', async () => {
  const { crash, clock, runtime, stateOf } = await makeJob();
  for (let restart = 0; restart < 12; restart++) {
    await crash();
    await clock.advance(150_000);
  }
  assert.is(stateOf().phase, 'error', 'given up by its effect, not parked');
  assert.is(runtime.stats().parks, 0);
});

test('a crash while reconciling, after the write, leads to restarts and then to parking', async () => {
  const { send, clock, stateOf, runtime } = await makeJob();
  await send({ kind: 'poison' });
  await clock.advance(60_000);
  assert.is(runtime.stats().restarts, 6);
  assert.is(stateOf().phase, 'error');
  assert.is(stateOf().reason, 'crashed: a bug in effects()');
  assert.is(runtime.inspect(job('a'))?.status, 'active');
});

test('D3: a state that its own decoder refuses is a crash, and is not written', async () => {
  const { send, clock, stateOf } = await makeJob();
  await rejects(send({ kind: 'garble' }), { code: 'actor/crashed' });
  await clock.advance(100);
  assert.is(stateOf().generation, 1);
});

test('an object that crashes even when parked becomes unusable, and says why', async () => {
  const parked = (state: JobState, reason: string) => ({ ...state, reason });
  const { send, clock, runtime, journal } = await makeJob({ parked });
  await send({ kind: 'poison' });
  await clock.advance(60_000);
  const inspection = runtime.inspect(job('a'));
  assert.is(inspection?.status, 'unusable');
  assert.match(inspection?.lastError?.reason ?? '', /crashes even when parked/);
  await rejects(send({ kind: 'read' }), { code: 'actor/crashed' });
  const writes = journal.writes.length;
  await clock.advance(3_600_000);
  assert.is(journal.writes.length, writes);
  assert.is(runtime.stuck(clock.nowMs()).length, 1);
});

test('an object whose parked() throws becomes unusable', async () => {
  const parked = () => {
    throw new Error('a bug in parked()');
  };
  const { crash, clock, runtime } = await makeJob({ parked, onCrash: () => 'park' });
  await crash();
  await clock.advance(1_000);
  assert.match(runtime.inspect(job('a'))?.lastError?.reason ?? '', /a bug in parked\(\)/);
});

test('an object too large to be parked becomes unusable instead of crashing for ever', async () => {
  const { crash, clock, runtime, journal } = await makeJob({ onCrash: () => 'park' });
  journal.fault = (call) => (call === 'commit' ? 'too-large' : null);
  await crash();
  await clock.advance(600_000);
  assert.is(runtime.inspect(job('a'))?.status, 'unusable');
  assert.is(runtime.stats().crashes, 1);
});

test('parking waits for a store that is away', async () => {
  const { crash, clock, journal, stateOf } = await makeJob({ onCrash: () => 'park' });
  journal.fault = () => 'unavailable';
  await crash();
  await clock.advance(30_000);
  assert.is(stateOf().phase, 'working');
  journal.fault = () => null;
  await clock.advance(30_000);
  assert.is(stateOf().phase, 'error');
  assert.is(journal.messagesOf(job('a')).length, 2);
});

test('V2: an onCrash that throws parks the object', async () => {
  const onCrash = (): CrashDecision => {
    throw new Error('a bug in onCrash()');
  };
  const { crash, clock, stateOf } = await makeJob({ onCrash });
  await crash();
  await clock.advance(1_000);
  assert.is(stateOf().phase, 'error');
});

test('a crash may stop the daemon', async () => {
  const fatal: unknown[] = [];
  const onFatal = (error: unknown, address: object) => fatal.push(error, address);
  const { crash, runtime, clock } = await makeJob({ onCrash: () => 'stop-daemon' }, { onFatal });
  await crash();
  await clock.advance(1_000);
  assert.instance(fatal[0], Error);
  assert.equal(fatal[1], job('a'));
  assert.is(runtime.inspect(job('a')), null);
});

test('a bug in the journal is a crash as well', async () => {
  const { send, clock, journal } = await makeJob();
  journal.fault = (call) => (call === 'commit' ? 'broken' : null);
  await rejects(send({ kind: 'note', text: 'x' }), { code: 'actor/crashed' });
  journal.fault = () => null;
  await clock.advance(100);
  await send({ kind: 'note', text: 'y' });
});

test('crashes on something that does not exist create nothing, not even in error', async () => {
  const world = makeWorld();
  world.runtime.register(jobKind({ onCrash: () => 'park' }), idleWork);
  await rejects(world.runtime.ask(job('a'), { kind: 'crash' }, trace), { code: 'actor/crashed' });
  await world.clock.advance(1_000);
  assert.is(world.journal.writes.length, 0);
  assert.is(world.runtime.stats().actors, 0);
});

test('V1: the next life begins after the effects of the last have ended', async () => {
  const world = makeWorld();
  let ends: (() => void)[] = [];
  let running = 0;
  world.runtime.register(jobKind(), {
    work: async () => {
      assert.is(++running, 1);
      await new Promise<void>((resolve) => ends.push(resolve));
      running--;
      return undefined;
    },
  });
  await world.runtime.ask(job('a'), { kind: 'create', name: 'first' }, trace);
  await settle();
  await rejects(world.runtime.ask(job('a'), { kind: 'crash' }, trace), { code: 'actor/crashed' });
  await world.clock.advance(5_000);
  assert.is(world.runtime.inspect(job('a'))?.status, 'restarting');
  assert.is(ends.length, 1);
  ends.forEach((end) => end());
  ends = [];
  await settle();
  assert.is(world.runtime.inspect(job('a'))?.status, 'active');
  assert.is(ends.length, 1);
});

test('V3: a stop during the pause before a restart answers what waits', async () => {
  const { crash, send, runtime, clock } = await makeJob();
  await crash();
  const waiting = rejects(send({ kind: 'read' }), { code: 'actor/stopped' });
  await runtime.stop();
  await waiting;
  await clock.advance(60_000);
  assert.is(runtime.stats().actors, 0);
});

test.run();

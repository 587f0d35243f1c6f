// Effects as the runtime runs them; numbers are those of effects.ts and effect-run.ts.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { EffectContext } from '../../../actors/kernel/ports.ts';
import { makeWorld, settle, type World } from '../../support/kernel.ts';
import { job, jobKind, type JobKind, type JobMessage, type JobState } from './toy.ts';

const test = suite('kernel effects');
const trace = { trace: 't1' };
type Context = EffectContext<JobMessage>;

/** A world with one kind whose work is done by `perform`, and a job called a. */
async function withWork(
  perform: (state: JobState, context: Context) => Promise<JobMessage | undefined>,
  parts: Partial<JobKind> = {},
  start: (world: World) => void = () => {},
) {
  const world = makeWorld();
  world.runtime.register(jobKind(parts), { work: perform });
  start(world);
  await world.runtime.ask(job('a'), { kind: 'create', name: 'first' }, trace);
  await settle();
  const stateOf = () => world.journal.stateOf(job('a')) as JobState;
  const send = (message: JobMessage) => world.runtime.ask(job('a'), message, trace);
  const inspect = () => world.runtime.inspect(job('a'));
  return { ...world, stateOf, send, inspect };
}

/** A performer whose runs end when told to; ignores its signal unless told otherwise. */
function manualWork(endsOnAbort = true) {
  const runs: {
    readonly generation: number;
    readonly context: Context;
    readonly succeed: () => void;
    readonly fail: (error: unknown) => void;
  }[] = [];
  const perform = (state: JobState, context: Context) => {
    const { promise, resolve, reject } = Promise.withResolvers<JobMessage | undefined>();
    const { generation } = state;
    const succeed = () => resolve({ kind: 'worked', generation });
    runs.push({ generation, context, succeed, fail: reject });
    if (endsOnAbort)
      context.signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
    return promise;
  };
  return { runs, perform };
}

const unreachable = () => new TroupeError('image/unreachable', 'connection refused');

test('an effect knows its actor, trace, epoch and attempt', async () => {
  const { runs, perform } = manualWork();
  await withWork(perform);
  const [run] = runs;
  assert.equal(run?.context.self, job('a'));
  assert.is(run?.context.trace, 't1');
  assert.is(run?.context.epoch, 1);
  assert.is(run?.context.attempt, 1);
});

test('keys of one name run one by one, those of different lanes side by side (E1)', async () => {
  const { runs, perform } = manualWork();
  const keysOf = () => runs.map(({ context }) => context.key);
  const wanted = (lanes: boolean) => ({
    effects: ({ generation }: JobState) =>
      generation === 0
        ? []
        : ['a 1', 'b 1', 'b 2'].map((key) => ({
            name: 'work' as const,
            key,
            ...(lanes ? { lane: key.slice(0, 1) } : {}),
          })),
  });
  await withWork(perform, wanted(false));
  assert.equal(keysOf(), ['a 1']);
  runs.length = 0;
  const { inspect } = await withWork(perform, wanted(true));
  assert.equal(keysOf(), ['a 1', 'b 1']);
  assert.equal(
    inspect()?.effects.map(({ key, phase }) => [key, phase]),
    [
      ['a 1', 'performing'],
      ['b 1', 'performing'],
      ['b 2', 'queued'],
    ],
  );
  runs[1]?.succeed();
  await settle();
  assert.equal(keysOf(), ['a 1', 'b 1', 'b 2']);
});

test('a failing effect is tried again with growing pauses until it succeeds', async () => {
  const { runs, perform } = manualWork();
  const { clock, stateOf, runtime, inspect } = await withWork(perform);
  const triedAt: number[] = [];
  for (let attempt = 1; attempt <= 5; attempt++) {
    triedAt.push(clock.monoMs());
    assert.is(runs.at(-1)?.context.attempt, attempt);
    runs.at(-1)?.fail(unreachable());
    await settle();
    const [effect] = inspect()?.effects ?? [];
    assert.is(effect?.phase, 'pausing');
    assert.is(effect?.lastError?.code, 'image/unreachable');
    const pauseMs = (effect?.nextAttemptAtMs ?? 0) - clock.nowMs();
    const ceiling = 100 * 2 ** (attempt - 1);
    assert.ok(pauseMs >= ceiling / 2 && pauseMs <= ceiling, `pause ${attempt}: ${pauseMs}`);
    await clock.advance(pauseMs);
  }
  runs.at(-1)?.succeed();
  await settle();
  assert.is(stateOf().phase, 'done');
  const stats = runtime.stats().effects['job/work'];
  assert.equal([stats?.started, stats?.retries, stats?.succeeded], [1, 5, 1]);
  assert.ok((stats?.totalMs ?? 0) > 0);
});

test('R5: a performer that throws instead of rejecting is tried again like any other', async () => {
  let attempts = 0;
  const { clock, stateOf } = await withWork((state) => {
    if (++attempts < 3) throw new TypeError('a bug outside of the promise');
    return Promise.resolve({ kind: 'worked', generation: state.generation });
  });
  await clock.advance(1_000);
  assert.is(attempts, 3);
  assert.is(stateOf().phase, 'done');
});

test('R2: an error that no retry mends is given up at once, and the state learns why', async () => {
  const { runs, perform } = manualWork();
  const { stateOf, journal, clock } = await withWork(perform);
  runs[0]?.fail(new TroupeError('image/refused', 'has a backing file'));
  await settle();
  assert.equal(journal.messagesOf(job('a')), ['created', 'failed: image/refused']);
  assert.match(stateOf().reason, /^has a backing file$/);
  await clock.advance(600_000);
  assert.is(runs.length, 1);
});

test('R2: an effect that still fails at its deadline is given up with its last error', async () => {
  const { stateOf, clock, journal } = await withWork(() => Promise.reject(unreachable()));
  await clock.advance(59_000);
  assert.is(stateOf().phase, 'working');
  await clock.advance(2_000);
  assert.equal(journal.messagesOf(job('a')), ['created', 'failed: image/unreachable']);
  assert.match(stateOf().reason, /^connection refused \(\d+ tries in 60 s\)$/);
});

test('R3: an attempt that hangs is cut at the deadline, and the state learns it though it goes on', async () => {
  const { runs, perform } = manualWork(false);
  const { stateOf, clock, journal, send, lines } = await withWork(perform);
  await clock.advance(60_000);
  assert.equal(journal.messagesOf(job('a')), ['created', 'failed: object/deadline']);
  assert.ok(runs[0]?.context.signal.aborted);
  await send({ kind: 'change' });
  await settle();
  assert.is(runs.length, 1, 'no second run beside the one that does not end');
  await clock.advance(15_000);
  assert.ok(lines.some(({ message }) => message === 'effect work ignores its abort signal'));
  runs[0]?.succeed();
  await settle();
  assert.is(runs.length, 2);
  assert.is(stateOf().phase, 'working', 'the late success is no news');
  runs[1]?.succeed();
  await settle();
  assert.is(stateOf().phase, 'done');
});

test('E1: a changed key aborts the older run, waits for its end, then starts', async () => {
  const { runs, perform } = manualWork(false);
  const { send, stateOf, inspect } = await withWork(perform);
  await send({ kind: 'change' });
  await settle();
  assert.ok(runs[0]?.context.signal.aborted);
  assert.is(runs.length, 1);
  const phases = () => inspect()?.effects.map(({ key, phase }) => `${key} ${phase}`);
  assert.equal(phases(), ['1 aborting', '2 queued']);
  runs[0]?.succeed();
  await settle();
  assert.is(runs.length, 2);
  assert.is(stateOf().phase, 'working', 'the outcome of an unwanted run is dropped');
  runs[1]?.succeed();
  await settle();
  assert.is(stateOf().phase, 'done');
});

test('E1: an effect that is no longer wanted is aborted, also while it pauses', async () => {
  const { runs, perform } = manualWork();
  const { send, clock, runtime } = await withWork(perform);
  runs[0]?.fail(unreachable());
  await settle();
  await send({ kind: 'cancel' });
  await clock.advance(100_000);
  assert.is(runs.length, 1);
  assert.is(runtime.stats().effects['job/work']?.aborted, 1);
});

test('E1: several wanted keys of one name run one after another', async () => {
  const running = { now: 0, most: 0, order: [] as string[] };
  const keys = ['x', 'y', 'z'];
  const effects = (state: JobState) => {
    return state.phase === 'working' ? keys.map((key) => ({ name: 'work' as const, key })) : [];
  };
  await withWork(
    async (_state, context) => {
      running.most = Math.max(running.most, ++running.now);
      await settle(1);
      running.now--;
      running.order.push(`${context.attempt}`);
      return undefined;
    },
    { effects },
  );
  await settle();
  assert.is(running.most, 1);
  assert.is(running.order.length, 3);
});

test('E2: what has succeeded is not run again, whatever else changes', async () => {
  let performed = 0;
  const effects = () => [{ name: 'work' as const, key: 'same' }];
  const { send } = await withWork(
    () => {
      performed++;
      return Promise.resolve(undefined);
    },
    { effects },
  );
  await send({ kind: 'note', text: 'something else' });
  await send({ kind: 'change' });
  await settle();
  assert.is(performed, 1);
});

test('E2: what has failed runs again once the state has stopped wanting it in between', async () => {
  let performed = 0;
  const effects = ({ phase, notes }: JobState) => {
    const isWanted = phase === 'error' ? notes.length === 1 : phase === 'working';
    return isWanted ? [{ name: 'work' as const, key: 'same' }] : [];
  };
  const { send } = await withWork(
    () => {
      performed++;
      return Promise.reject(new TroupeError('host/tool-missing', 'no qemu-img'));
    },
    { effects },
  );
  assert.is(performed, 1);
  await send({ kind: 'note', text: 'wanted again' });
  await settle();
  assert.is(performed, 2);
});

test('an outcome is delivered again while the store is away; the effect is not repeated', async () => {
  const { runs, perform } = manualWork();
  const { journal, clock, stateOf } = await withWork(perform);
  journal.fault = () => 'unavailable';
  runs[0]?.succeed();
  await clock.advance(5_000);
  assert.is(stateOf().phase, 'working');
  journal.fault = () => null;
  await clock.advance(20_000);
  assert.is(stateOf().phase, 'done');
  assert.is(runs.length, 1);
});

test('an outcome whose write succeeded without an answer is not delivered twice', async () => {
  const { runs, perform } = manualWork();
  const { journal, clock } = await withWork(perform);
  let faults = 1;
  journal.fault = (call) => (call === 'commit' && faults-- > 0 ? 'lost-answer' : null);
  runs[0]?.succeed();
  await clock.advance(20_000);
  assert.equal(journal.messagesOf(job('a')), ['created', 'worked 1']);
  assert.is(runs.length, 1);
});

test('R1: no attempt is made, and no outcome delivered, after ownership is gone', async () => {
  const { runs, perform } = manualWork();
  const { ownership, clock, journal, runtime } = await withWork(perform);
  runs[0]?.fail(unreachable());
  ownership.epoch = null;
  await clock.advance(60_000);
  assert.is(runs.length, 1);
  assert.is(runtime.stats().actors, 0);

  const second = manualWork();
  const other = await withWork(second.perform);
  other.ownership.epoch = 2;
  second.runs[0]?.succeed();
  await settle();
  assert.equal(other.journal.messagesOf(job('a')), ['created']);
  assert.is(other.runtime.inspect(job('a')), null);
  assert.equal(journal.messagesOf(job('a')), ['created']);
});

test('a report reaches the actor while the effect goes on, and not after it was called off', async () => {
  const { runs, perform } = manualWork();
  const { stateOf, send } = await withWork(perform);
  runs[0]?.context.report({ kind: 'note', text: '50 %' });
  await settle();
  assert.equal(stateOf().notes, ['50 %']);
  await send({ kind: 'cancel' });
  runs[0]?.context.report({ kind: 'note', text: 'too late' });
  await settle();
  assert.equal(stateOf().notes, ['50 %']);
});

test('a tell goes out while the effect is wanted, and not after it was called off', async () => {
  const { runs, perform } = manualWork();
  const { send, runtime } = await withWork(perform);
  const told: string[] = [];
  runtime.connect({
    ask: () => Promise.reject(new Error('unused')),
    tell: (to, { kind }, { trace: by }) => told.push(`${to.id} ${kind} ${by}`),
  });
  runs[0]?.context.tell(job('b'), { kind: 'read' });
  await send({ kind: 'cancel' });
  runs[0]?.context.tell(job('b'), { kind: 'note' });
  assert.equal(told, ['b read t1']);
});

test('an ask by an effect ends when the effect is called off, not at its timeout', async () => {
  let error: unknown;
  const { send, runtime } = await withWork(
    async (_state, context) => {
      await context.ask({ kind: 'silent', id: 'x' }, { kind: 'anything' }).catch((reason) => {
        error = reason;
      });
      return undefined;
    },
    {},
    ({ runtime: target }) =>
      target.connect({ ask: () => new Promise(() => {}), tell: () => assert.unreachable() }),
  );
  await send({ kind: 'cancel' });
  await settle();
  assert.is(error instanceof TroupeError && error.code, 'actor/stopped');
  await runtime.stop();
});

test('an effect runs again after a restart of the daemon, from the snapshot alone', async () => {
  const { runs, perform } = manualWork();
  const first = makeWorld();
  first.runtime.register(jobKind(), { work: () => new Promise(() => {}) });
  await first.runtime.ask(job('a'), { kind: 'create', name: 'first' }, trace);
  const second = first.restart();
  second.register(jobKind(), { work: perform });
  assert.is(await second.resume(() => first.journal.read()), 1);
  await settle();
  assert.is(runs.length, 1);
  runs[0]?.succeed();
  await settle();
  assert.equal(first.journal.messagesOf(job('a')), ['created', 'worked 1']);
});

test.run();

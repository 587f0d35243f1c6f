// Delivery, stopping, resuming and looking in; numbers are those of runtime.ts.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { localRouter } from '../../../actors/kernel/router.ts';
import type { RuntimeOptions } from '../../../actors/kernel/runtime.ts';
import { makeWorld, settle } from '../../support/kernel.ts';
import { job, jobKind, type JobMessage, type JobState } from './toy.ts';

const test = suite('kernel runtime');
const trace = { trace: 't1' };

function makeJobs(options: Partial<RuntimeOptions> = {}) {
  const world = makeWorld(options);
  const signals: AbortSignal[] = [];
  const work = (_state: JobState, { signal }: { readonly signal: AbortSignal }) => {
    signals.push(signal);
    return new Promise<undefined>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
  };
  world.runtime.register(jobKind(), { work });
  const ask = (id: string, message: JobMessage) => world.runtime.ask(job(id), message, trace);
  const create = (id: string) => ask(id, { kind: 'create', name: id });
  return { ...world, signals, ask, create, work };
}

/** Holds commits until released. */
function holdCommits({ journal }: ReturnType<typeof makeJobs>): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  const commit = journal.commit.bind(journal);
  journal.commit = (write) => promise.then(() => commit(write));
  return resolve;
}

test('what can’t be delivered is refused with its reason, or counted as a dead letter', async () => {
  const { runtime, ownership, create } = makeJobs();
  await create('a');
  await settle();
  const message = { kind: 'read' };
  await rejects(runtime.ask({ kind: 'nothing', id: 'x' }, message, trace), {
    code: 'actor/unknown-kind',
  });
  await rejects(runtime.ask(job('a'), { kind: 'dance' }, trace), { code: 'actor/bad-message' });
  await rejects(runtime.ask(job('a'), null, trace), { code: 'actor/bad-message' });
  runtime.tell({ kind: 'nothing', id: 'x' }, message, trace);
  runtime.tell(job('a'), { kind: 'dance' }, trace);
  ownership.epoch = null;
  await rejects(runtime.ask(job('b'), message, trace), { code: 'shard/not-owner' });
  runtime.tell(job('b'), message, trace);
  runtime.tell(job('a'), message, trace);
  await settle();
  assert.equal(runtime.stats().deadLetters, {
    '? ? actor/unknown-kind': 1,
    'job ? actor/bad-message': 1,
    'job ? shard/not-owner': 1,
    'job read shard/not-owner': 1,
  });
});

test('nobody but the runtime says that an effect failed or that a time has come', async () => {
  const { runtime, create } = makeJobs();
  await create('a');
  for (const kind of ['effect-failed', 'time-reached'])
    await rejects(runtime.ask(job('a'), { kind }, trace), { code: 'actor/bad-message' });
});

test('an overloaded actor refuses asks and counts tells, and loses no outcome of its own', async () => {
  const world = makeJobs({ limits: { mailbox: 3 } });
  const { runtime, ask, create } = world;
  await create('a');
  await settle();
  const release = holdCommits(world);
  const first = ask('a', { kind: 'note', text: 'in hand' });
  await settle();
  const waiting = [1, 2, 3].map(() => ask('a', { kind: 'read' }));
  await rejects(ask('a', { kind: 'read' }), { code: 'actor/overloaded' });
  runtime.tell(job('a'), { kind: 'read' }, trace);
  assert.equal(runtime.stats().deadLetters, { 'job read actor/overloaded': 1 });
  assert.equal(runtime.stats().mailbox, { total: 3, deepest: 3 });
  release();
  await Promise.all([first, ...waiting]);
});

test('a silent actor is a timeout, however long the timeout', async () => {
  // Without its sweep for idle actors the clock gets there in one step.
  const world = makeJobs({ limits: { idleMs: 1e12 } });
  holdCommits(world);
  const asked = world.runtime.ask(
    job('a'),
    { kind: 'create', name: 'a' },
    { ...trace, timeoutMs: 3_000_000_000 },
  );
  let isOver = false;
  void asked.catch(() => (isOver = true));
  await world.clock.advance(2_999_999_999);
  assert.not(isOver);
  await world.clock.advance(1);
  await rejects(asked, { code: 'actor/timeout', message: /no reply within 3000000000 ms: job\/a/ });
});

test('V3: a stop finishes the turn in hand, ends effects, and answers what waits', async () => {
  const world = makeJobs();
  const { runtime, ask, create, journal, signals } = world;
  await create('a');
  await settle();
  const release = holdCommits(world);
  const inHand = ask('a', { kind: 'note', text: 'in hand' });
  await settle();
  const waiting = rejects(ask('a', { kind: 'note', text: 'waiting' }), { code: 'actor/stopped' });
  let isStopped = false;
  const stopped = runtime.stop().then(() => (isStopped = true));
  await waiting;
  await rejects(ask('a', { kind: 'read' }), { code: 'actor/stopped' });
  await rejects(ask('new', { kind: 'read' }), { code: 'actor/stopped' });
  await settle();
  assert.ok(signals[0]?.aborted);
  assert.not(isStopped, 'a turn is still in hand');
  release();
  assert.is((await inHand).revision, 2);
  await stopped;
  assert.equal((journal.stateOf(job('a')) as JobState).notes, ['in hand']);
  assert.is(world.clock.pending, 0, 'no timer is left');
});

test('V3: a stop waits for effects, but not beyond its deadline', async () => {
  const { runtime, clock, lines } = makeWorld();
  runtime.register(jobKind(), { work: () => new Promise(() => {}) });
  await runtime.ask(job('a'), { kind: 'create', name: 'a' }, trace);
  await settle();
  let isStopped = false;
  void runtime.stop().then(() => (isStopped = true));
  await clock.advance(14_999);
  assert.not(isStopped);
  await clock.advance(1);
  assert.ok(isStopped);
  assert.ok(lines.some(({ message }) => /still busy 15000 ms after/.test(message)));
});

// It was told `actor/stopped`, which nobody sends on: a client got an error from a hand-over, and a daemon that joined
// beside others could fail to start.
test('a message whose object is being loaded when its shard is drained is sent on', async () => {
  const { runtime, ask, create, journal } = makeJobs();
  await create('a');
  await runtime.stop(() => true);
  const { promise, resolve } = Promise.withResolvers<void>();
  const load = journal.load.bind(journal);
  journal.load = (address) => promise.then(() => load(address));
  const asked = rejects(ask('a', { kind: 'read' }), { code: 'shard/not-owner' });
  await settle();
  const drained = runtime.stop(() => true);
  resolve();
  await Promise.all([asked, drained]);
});

test('draining stops the matching actors only, and refuses their addresses meanwhile', async () => {
  const world = makeJobs();
  const { runtime, ask, create } = world;
  await Promise.all(['a1', 'a2', 'b1'].map(create));
  await settle();
  const release = holdCommits(world);
  const inHand = ask('a1', { kind: 'note', text: 'x' });
  await settle();
  const waits = rejects(ask('a1', { kind: 'read' }), { code: 'shard/not-owner' });
  const drained = runtime.stop(({ id }) => id.startsWith('a'));
  await settle();
  await waits;
  assert.is(runtime.inspect(job('a1'))?.status, 'stopping');
  await rejects(ask('a2', { kind: 'read' }), { code: 'shard/not-owner' });
  assert.equal((await ask('b1', { kind: 'read' })).value, { phase: 'working', notes: 0 });
  release();
  await inHand;
  await drained;
  assert.equal([runtime.inspect(job('a1')), runtime.inspect(job('a2'))], [null, null]);
  assert.is(runtime.inspect(job('b1'))?.status, 'active');
  await ask('a1', { kind: 'read' });
});

test('resume starts what has something to do, and leaves the rest asleep', async () => {
  const { runtime, journal, signals, clock } = makeJobs();
  const { initial } = jobKind();
  const done = { ...initial, phase: 'done', generation: 1 } as const;
  journal.put(job('done'), 1, done);
  journal.put(job('working'), 1, { ...done, phase: 'working' });
  journal.put(job('timer'), 1, { ...done, callAtMs: clock.nowMs() + 1_000 });
  journal.put(job('garbage'), 1, 'garbage');
  assert.is(await runtime.resume(() => journal.read()), 3);
  await settle();
  assert.is(signals.length, 1);
  assert.is(runtime.inspect(job('done')), null);
  assert.is(runtime.inspect(job('garbage'))?.status, 'unusable');
  assert.is(journal.loads, 0, 'what was read is not read again');
  await clock.advance(1_000);
  assert.equal((journal.stateOf(job('timer')) as JobState).notes, ['called']);
});

test('X3: a snapshot read before its actor was active is not resumed from', async () => {
  const { runtime, journal, ask, create } = makeJobs();
  const { initial } = jobKind();
  journal.put(job('deleted'), 1, { ...initial, phase: 'working', generation: 1 });
  await create('active');
  const started = await runtime.resume(async function* () {
    const entries = [...journal.read()];
    await ask('deleted', { kind: 'delete' });
    await ask('active', { kind: 'note', text: 'newer' });
    await settle();
    yield* entries;
  });
  assert.is(started, 0);
  assert.is(journal.stateOf(job('deleted')), undefined);
  await ask('active', { kind: 'note', text: 'newest' });
  assert.equal((journal.stateOf(job('active')) as JobState).notes, ['newer', 'newest']);
});

test('inspect tells what an actor does, since when, and what it waits for', async () => {
  const world = makeJobs();
  const { runtime, create, clock, ask } = world;
  assert.is(runtime.inspect(job('a')), null);
  await create('a');
  await clock.advance(1_000);
  const release = holdCommits(world);
  const inHand = runtime.ask(job('a'), { kind: 'note', text: 'x' }, { trace: 't2' });
  await settle();
  const waiting = ask('a', { kind: 'read' });
  assert.equal(runtime.inspect(job('a')), {
    address: 'job/a',
    status: 'active',
    activation: 1,
    epoch: 1,
    activeSinceMs: 1_000_000,
    exists: true,
    revision: 1,
    mailboxDepth: 1,
    turn: { message: 'note', trace: 't2', sinceMs: 1_001_000 },
    effects: [
      {
        name: 'work',
        key: '1',
        trace: 't1',
        phase: 'performing',
        attempt: 1,
        startedAtMs: 1_000_000,
        nextAttemptAtMs: null,
        lastError: null,
      },
    ],
    alarmAtMs: 1_600_000,
    retryAtMs: null,
    waitsFor: {
      reason: 'working',
      sinceMs: 1_000_000,
      deadlineAtMs: 1_600_000,
      cancel: 'cancel',
    },
    restarts: 0,
    lastError: null,
    trace: 't1',
  });
  release();
  await Promise.all([inHand, waiting]);
});

test('stuck lists what is past its deadline, with the message that calls it off', async () => {
  const { runtime, create, clock } = makeJobs();
  await create('a');
  const deadlineAtMs = runtime.inspect(job('a'))?.waitsFor?.deadlineAtMs ?? 0;
  assert.equal(runtime.stuck(deadlineAtMs - 1), []);
  assert.equal(runtime.stuck(deadlineAtMs), [
    { address: 'job/a', reason: 'working', sinceMs: clock.nowMs(), deadlineAtMs, cancel: 'cancel' },
  ]);
});

test('wake makes an actor carry on without a message', async () => {
  const { runtime, journal, signals } = makeJobs();
  const { initial } = jobKind();
  journal.put(job('a'), 1, { ...initial, phase: 'working', generation: 1 });
  runtime.wake(job('a'), 't9');
  await settle();
  assert.is(signals.length, 1);
  assert.is(runtime.inspect(job('a'))?.effects[0]?.trace, 't9');
});

test('a kind is registered once', () => {
  const { runtime, work } = makeJobs();
  assert.throws(() => runtime.register(jobKind(), { work }), /registered already/);
});

test('the local router reaches actors and services, and a service’s failures have a code', async () => {
  const { runtime, create, clock } = makeJobs();
  await create('a');
  const lost: unknown[] = [];
  const services = {
    executor: (to: { readonly id: string }, message: { readonly kind: string }, by: string) => {
      if (message.kind === 'throw') throw new TypeError('a bug');
      if (message.kind === 'refuse')
        return Promise.reject(new TroupeError('executor/stale-epoch', 'epoch 1 is over'));
      if (message.kind === 'hang') return new Promise<never>(() => {});
      return Promise.resolve(`${to.id} ${message.kind} ${by}`);
    },
  };
  const router = localRouter(runtime, services, (_to, _message, error) => lost.push(error));
  const executor = { kind: 'executor', id: 'n1/domain/x' };
  const ask = (kind: string) => router.ask(executor, { kind }, { ...trace, timeoutMs: 50 });
  assert.equal(await ask('ensure'), { value: 'n1/domain/x ensure t1', revision: 0 });
  await rejects(ask('throw'), { code: 'actor/crashed' });
  await rejects(ask('refuse'), { code: 'executor/stale-epoch' });
  const hanging = rejects(ask('hang'), { code: 'actor/timeout' });
  await clock.advance(50);
  await hanging;
  const { value } = await router.ask(job('a'), { kind: 'read' }, trace);
  assert.equal(value, { phase: 'working', notes: 0 });
  router.tell(executor, { kind: 'throw' }, trace);
  const note: JobMessage = { kind: 'note', text: 'told' };
  router.tell(job('a'), note, trace);
  await settle();
  assert.is(lost.length, 1);
  assert.is(runtime.inspect(job('a'))?.revision, 2);
});

test.run();

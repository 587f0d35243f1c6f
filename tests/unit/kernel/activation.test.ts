// Loading, the store's faults, ownership, and the ends of a life; numbers are those of activation.ts.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RuntimeOptions } from '../../../actors/kernel/runtime.ts';
import { makeWorld, settle } from '../../support/kernel.ts';
import { decodeJob, job, jobKind, type JobKind, type JobMessage, type JobState } from './toy.ts';

const test = suite('kernel activation');
const trace = { trace: 't1' };

function makeJobs(parts: Partial<JobKind> = {}, options: Partial<RuntimeOptions> = {}) {
  const world = makeWorld(options);
  let performed = 0;
  world.runtime.register(jobKind(parts), {
    work: (_state, { signal }) => {
      performed++;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')));
      });
    },
  });
  const send = (message: JobMessage, id = 'a') => world.runtime.ask(job(id), message, trace);
  const create = (id = 'a') => send({ kind: 'create', name: id }, id);
  const inspect = (id = 'a') => world.runtime.inspect(job(id));
  return { ...world, send, create, inspect, performed: () => performed };
}

const stored = (parts: Partial<JobState> = {}): JobState => {
  const { initial } = jobKind();
  return { ...initial, phase: 'done', name: 'old', generation: 3, ...parts };
};

test('a stored object is loaded once and goes on from its state', async () => {
  const { journal, send } = makeJobs();
  journal.put(job('a'), 1, stored());
  assert.equal((await send({ kind: 'read' })).value, { phase: 'done', notes: 0 });
  await send({ kind: 'note', text: 'x' });
  assert.is(journal.loads, 1);
});

test('an old snapshot is migrated step by step, and written in the current schema', async () => {
  const { journal, send } = makeJobs({
    snapshot: {
      schema: 3,
      decode: decodeJob,
      migrations: {
        1: (old) => ({ ...(old as JobState), notes: ['from 1'] }),
        2: (old) => {
          const { notes, ...rest } = old as JobState;
          return { ...rest, notes: [...notes, 'from 2'] };
        },
      },
    },
  });
  journal.put(job('a'), 1, stored());
  journal.put(job('b'), 2, stored());
  assert.equal((await send({ kind: 'read' })).value, { phase: 'done', notes: 2 });
  await send({ kind: 'note', text: 'x' }, 'b');
  assert.equal((journal.stateOf(job('b')) as JobState).notes, ['from 2', 'x']);
  assert.is(journal.objects.get('job/b')?.snapshot.schema, 3);
});

test('A4: an unreadable snapshot is refused with its reason, and stays as it is', async () => {
  const cases: readonly (readonly [string, number, unknown, RegExp])[] = [
    ['garbage', 1, 'garbage', /not a job/],
    ['newer', 2, stored(), /schema 2 is newer than 1/],
    ['zero', 0, stored(), /expected a schema number from 1/],
    ['wrong', 1, stored({ generation: -1 }), /expected a generation from 0/],
  ];
  const { journal, send, inspect, clock, runtime, lines } = makeJobs();
  for (const [id, schema, state, reason] of cases) {
    journal.put(job(id), schema, state);
    await rejects(send({ kind: 'read' }, id), { code: 'actor/bad-snapshot', message: reason });
    await rejects(send({ kind: 'create', name: 'again' }, id), { code: 'actor/bad-snapshot' });
    assert.is(inspect(id)?.status, 'unusable');
    assert.is(inspect(id)?.lastError?.code, 'actor/bad-snapshot');
    assert.equal(journal.stateOf(job(id)), state);
  }
  await clock.advance(3_600_000);
  assert.is(journal.writes.length, 0);
  assert.is(
    lines.filter(({ level }) => level === 'error').length,
    cases.length,
    'logged once each',
  );
  const stuck = runtime.stuck(clock.nowMs()).map(({ address }) => address);
  assert.equal(
    stuck,
    cases.map(([id]) => `job/${id}`),
  );
});

test('a snapshot without a migration is unreadable, not empty', async () => {
  const { journal, send } = makeJobs({
    snapshot: { schema: 3, decode: decodeJob, migrations: { 2: (old) => old } },
  });
  journal.put(job('a'), 1, stored());
  await rejects(send({ kind: 'read' }), { message: /no migration from schema 1 to 2/ });
});

test('D2: a turn that changes nothing writes nothing and replies revision 0', async () => {
  const { journal, send, create } = makeJobs();
  await create();
  const { revision } = await send({ kind: 'read' });
  assert.is(revision, 0);
  assert.is(journal.writes.length, 1);
});

test('D1: a refusal answers its code and leaves everything as it was', async () => {
  const { journal, create, performed } = makeJobs();
  await create();
  await settle();
  const before = journal.stateOf(job('a'));
  await rejects(create(), { code: 'object/exists' });
  await settle();
  assert.equal(journal.stateOf(job('a')), before);
  assert.is(journal.writes.length, 1);
  assert.is(performed(), 1);
});

test('A3: a write of unknown outcome is read again before the next turn', async () => {
  const { journal, send, create } = makeJobs();
  await create();
  for (const fault of ['unavailable', 'lost-answer'] as const) {
    let faults = 1;
    journal.fault = (call) => (call === 'commit' && faults-- > 0 ? fault : null);
    const loads = journal.loads;
    await rejects(send({ kind: 'note', text: fault }), { code: 'store/unavailable' });
    const { value } = await send({ kind: 'read' });
    assert.is(journal.loads, loads + 1);
    assert.equal(value, { phase: 'working', notes: fault === 'unavailable' ? 0 : 1 });
  }
});

test('A3: effects go on while the store is away, and the object is read again by itself', async () => {
  const { journal, send, create, inspect, clock, performed } = makeJobs();
  await create();
  await settle();
  journal.fault = () => 'unavailable';
  await rejects(send({ kind: 'change' }), { code: 'store/unavailable' });
  assert.is(inspect()?.status, 'loading');
  assert.ok((inspect()?.retryAtMs ?? 0) > clock.nowMs());
  assert.is(inspect()?.effects[0]?.phase, 'performing');
  await clock.advance(30_000);
  assert.ok(journal.loads < 15, `${journal.loads} loads: pauses grow`);
  journal.fault = () => null;
  await clock.advance(10_000);
  assert.is(inspect()?.status, 'active');
  assert.is(inspect()?.retryAtMs, null);
  assert.is(performed(), 1);
});

test('A3: a change that was written without an answer takes effect after the reload', async () => {
  const { journal, send, create, clock, performed } = makeJobs();
  await create();
  await settle();
  let faults = 1;
  journal.fault = (call) => (call === 'commit' && faults-- > 0 ? 'lost-answer' : null);
  await rejects(send({ kind: 'change' }), { code: 'store/unavailable' });
  await settle();
  assert.is(performed(), 1);
  await clock.advance(100);
  assert.is(performed(), 2);
});

test('an object that can be read only later is refused until then', async () => {
  const { journal, send } = makeJobs();
  journal.put(job('a'), 1, stored());
  journal.fault = () => 'unavailable';
  await rejects(send({ kind: 'read' }), { code: 'store/unavailable' });
  journal.fault = () => null;
  assert.equal((await send({ kind: 'read' })).value, { phase: 'done', notes: 0 });
});

test('more than can be stored is the asker’s error, not a crash', async () => {
  const { journal, send, create, runtime } = makeJobs();
  await create();
  journal.fault = (call) => (call === 'commit' ? 'too-large' : null);
  await rejects(send({ kind: 'note', text: 'huge' }), { code: 'store/too-large' });
  journal.fault = () => null;
  assert.equal((await send({ kind: 'read' })).value, { phase: 'working', notes: 0 });
  assert.is(runtime.stats().crashes, 0);
});

test('A2: a write refused by the epoch stops the actor at once, and everybody is told', async () => {
  const { journal, send, create, inspect, runtime } = makeJobs();
  await create();
  await settle();
  journal.epoch = 2;
  const notOwner = { code: 'shard/not-owner' };
  const refused = [
    rejects(send({ kind: 'note', text: 'x' }), notOwner),
    rejects(send({ kind: 'note', text: 'y' }), notOwner),
  ];
  await Promise.all(refused);
  await settle();
  assert.is(inspect(), null);
  assert.is(runtime.stats().effects['job/work']?.aborted, 1);
  assert.equal((journal.stateOf(job('a')) as JobState).notes, []);
});

test('A2: ownership is checked before each turn, and a new epoch means a new life', async () => {
  const { journal, ownership, send, create, inspect } = makeJobs();
  await create();
  await settle();
  const before = inspect()?.activation ?? 0;
  journal.put(job('a'), 1, stored({ notes: ['by another owner'] }));
  [ownership.epoch, journal.epoch] = [2, 2];
  await rejects(send({ kind: 'read' }), { code: 'shard/not-owner' });
  await settle();
  assert.equal((await send({ kind: 'read' })).value, { phase: 'done', notes: 1 });
  assert.ok((inspect()?.activation ?? 0) > before);
  assert.is(inspect()?.epoch, 2);
});

test('A2: ownership lost while loading is noticed before the turn', async () => {
  const { journal, ownership, send } = makeJobs();
  journal.put(job('a'), 1, stored());
  journal.fault = () => {
    ownership.epoch = null;
    return null;
  };
  await rejects(send({ kind: 'note', text: 'x' }), { code: 'shard/not-owner' });
  assert.is(journal.writes.length, 0);
});

test('an ask whose asker has given up is not carried out', async () => {
  const { journal, send, create, runtime, clock } = makeJobs({}, { limits: { askTimeoutMs: 50 } });
  await create();
  const { promise, resolve } = Promise.withResolvers<number>();
  const commit = journal.commit.bind(journal);
  journal.commit = () => promise;
  const slow = rejects(send({ kind: 'note', text: 'slow' }), { code: 'actor/timeout' });
  const late = rejects(send({ kind: 'note', text: 'late' }), { code: 'actor/timeout' });
  await clock.advance(50);
  await Promise.all([slow, late]);
  journal.commit = commit;
  resolve(7);
  await settle();
  runtime.tell(job('a'), { kind: 'note', text: 'next' }, trace);
  await settle();
  assert.equal((journal.stateOf(job('a')) as JobState).notes, ['slow', 'next']);
});

test('an alarm tells the time once, and only the time that the state still names', async () => {
  const { journal, send, create, clock, inspect } = makeJobs();
  await create();
  const notes = () => (journal.stateOf(job('a')) as JobState).notes;
  const at = clock.nowMs() + 5_000;
  await send({ kind: 'call-at', atMs: at });
  assert.is(inspect()?.alarmAtMs, at);
  await send({ kind: 'call-at', atMs: at + 5_000 });
  await clock.advance(9_999);
  assert.equal(notes(), []);
  await clock.advance(1);
  assert.equal(notes(), ['called']);
  await clock.advance(500_000);
  assert.equal(notes(), ['called']);
});

test('an alarm that waits in the mailbox while its time is changed is not delivered', async () => {
  const { journal, send, create, clock } = makeJobs();
  await create();
  const at = clock.nowMs() + 1_000;
  await send({ kind: 'call-at', atMs: at });
  const { promise, resolve } = Promise.withResolvers<void>();
  const commit = journal.commit.bind(journal);
  journal.commit = (write) => promise.then(() => commit(write));
  const changed = send({ kind: 'call-at', atMs: at + 50_000 });
  await clock.advance(2_000);
  resolve();
  await changed;
  await settle();
  assert.equal((journal.stateOf(job('a')) as JobState).notes, []);
  await clock.advance(50_000);
  assert.equal((journal.stateOf(job('a')) as JobState).notes, ['called']);
});

test('a store that is away is logged once per outage, not per attempt', async () => {
  const { journal, send, create, clock, lines } = makeJobs();
  await create();
  for (let outage = 1; outage <= 2; outage++) {
    journal.fault = () => 'unavailable';
    await rejects(send({ kind: 'change' }), { code: 'store/unavailable' });
    await clock.advance(30_000);
    journal.fault = () => null;
    await clock.advance(30_000);
    const warnings = lines.filter(({ message }) => message === 'the store did not answer');
    assert.is(warnings.length, outage);
    assert.equal(
      [warnings[0]?.fields['id'], warnings[0]?.fields['code']],
      ['a', 'store/unavailable'],
    );
  }
});

test('an alarm whose turn the store could not take rings again once it is back', async () => {
  const { journal, send, create, clock } = makeJobs();
  await create();
  await send({ kind: 'call-at', atMs: clock.nowMs() + 1_000 });
  journal.fault = () => 'unavailable';
  await clock.advance(20_000);
  journal.fault = () => null;
  await clock.advance(10_000);
  assert.equal((journal.stateOf(job('a')) as JobState).notes, ['called']);
});

test('a kind that ignores its time is told again every minute, and does not spin', async () => {
  const { initial } = jobKind();
  let told = 0;
  const base = jobKind();
  const { send, create, clock } = makeJobs({
    transition: (state, message, turn) => {
      if (message.kind !== 'time-reached') return base.transition(state, message, turn);
      told++;
      return { state, events: [], reply: null, refusal: null };
    },
  });
  assert.is(initial.callAtMs, null);
  await create();
  await send({ kind: 'call-at', atMs: clock.nowMs() + 1_000 });
  await clock.advance(181_000);
  assert.is(told, 4);
});

test('a deleted object leaves store, index and memory', async () => {
  const { journal, send, create, inspect } = makeJobs();
  await create();
  assert.equal([...(journal.index.get('test/job/a') ?? [])], ['a']);
  assert.is((await send({ kind: 'delete' })).value, 'gone');
  await settle();
  assert.is(journal.objects.size + journal.events.size + journal.index.size, 0);
  assert.is(inspect(), null);
  await rejects(send({ kind: 'read' }), { code: 'object/not-found' });
});

test('ids that do not exist do not fill the memory', async () => {
  const { send, runtime } = makeJobs();
  for (let id = 0; id < 50; id++)
    await rejects(send({ kind: 'read' }, `unknown-${id}`), { code: 'object/not-found' });
  await settle();
  assert.is(runtime.stats().actors, 0);
});

test('a refusal on nothing and a create right behind it both get their answer', async () => {
  const { send, create } = makeJobs();
  for (let round = 0; round < 20; round++) {
    const id = `r${round}`;
    await rejects(send({ kind: 'read' }, id), { code: 'object/not-found' });
    await create(id);
  }
});

test('an idle actor leaves memory and comes back with the next message', async () => {
  const { journal, send, runtime, clock } = makeJobs();
  journal.put(job('a'), 1, stored());
  await send({ kind: 'note', text: 'x' });
  await clock.advance(500_000);
  assert.is(runtime.stats().actors, 1);
  await clock.advance(400_000);
  assert.is(runtime.stats().actors, 0);
  assert.equal((await send({ kind: 'read' })).value, { phase: 'done', notes: 1 });
  assert.is(journal.loads, 2);
});

test('an actor with an effect or a time to wait for stays', async () => {
  const { journal, send, create, runtime, clock } = makeJobs({ effects: () => [] });
  journal.put(job('timer'), 1, stored({ callAtMs: clock.nowMs() + 10_000_000 }));
  await send({ kind: 'read' }, 'timer');
  await create('passing');
  await clock.advance(5_000_000);
  assert.is(runtime.stats().actors, 2);
});

test.run();

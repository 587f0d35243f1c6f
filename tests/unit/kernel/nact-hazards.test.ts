// One test per hazard of nact that the kernel has to keep out (the numbers are those of system.ts).
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { start, stop, type Ref } from 'nact';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ActorCell } from '../../../actors/kernel/cell.ts';
import { ActorSystem } from '../../../actors/kernel/system.ts';
import { settle } from '../../support/kernel.ts';

const test = suite('kernel on nact');
const KERNEL = new URL('../../../actors/kernel/', import.meta.url);
const OPTIONS = { limit: 100 };

function makeSystem() {
  const bugs: unknown[] = [];
  const system = new ActorSystem('n1', String(Math.random()), (error) => bugs.push(error));
  return { system, bugs };
}

/** A handler that records what it gets, and waits where `hold` says so. */
function recorder() {
  const seen: string[] = [];
  const holds = new Map<string, Promise<void>>();
  const handler = async (entry: string) => {
    seen.push(entry);
    await holds.get(entry);
    seen.push(`${entry} done`);
  };
  const hold = (entry: string) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    holds.set(entry, promise);
    return resolve;
  };
  return { seen, handler, hold };
}

test('S2: a full mailbox says so, where nact takes everything', async () => {
  const { system } = makeSystem();
  const { handler, hold, seen } = recorder();
  const release = hold('first');
  const cell = system.spawn(handler, { limit: 2 });
  assert.is(cell.post('first'), 'accepted');
  await settle();
  assert.equal([cell.post('a'), cell.post('b'), cell.post('c')], ['accepted', 'accepted', 'full']);
  assert.is(cell.force('must'), 'accepted');
  release();
  await settle();
  assert.not(seen.includes('c'));
  assert.is(seen.at(-1), 'must done');
  await system.stop();
});

test('S2: one turn at a time, in order, however long one takes', async () => {
  const { system } = makeSystem();
  const { handler, hold, seen } = recorder();
  const release = hold('b');
  const cell = system.spawn(handler, OPTIONS);
  for (const entry of ['a', 'b', 'c']) cell.post(entry);
  await settle();
  assert.equal(seen, ['a', 'a done', 'b']);
  release();
  await settle();
  assert.equal(seen, ['a', 'a done', 'b', 'b done', 'c', 'c done']);
  await system.stop();
});

test('S2: an actor with endless work lets others in', async () => {
  const { system } = makeSystem();
  let turns = 0;
  const busy = system.spawn<number>((left) => {
    turns++;
    if (left > 0) busy.post(left - 1);
  }, OPTIONS);
  let turnsBefore = 0;
  const other = system.spawn<null>(() => {
    turnsBefore = turns;
  }, OPTIONS);
  busy.post(100_000);
  other.post(null);
  await settle();
  assert.ok(turnsBefore > 0 && turnsBefore < 200, `the other waited for ${turnsBefore} turns`);
  await system.stop();
});

test('S3: a handler that throws, rejects, or throws nothing at all loses one message only', async () => {
  const { system, bugs } = makeSystem();
  const seen: string[] = [];
  const cell = system.spawn<string>((entry) => {
    if (entry === 'throw') throw new Error('thrown');
    if (entry === 'reject') return Promise.reject(new Error('rejected'));
    // oxlint-disable-next-line typescript/only-throw-error -- what foreign code may do
    if (entry === 'undefined') throw undefined;
    seen.push(entry);
    return undefined;
  }, OPTIONS);
  for (const entry of ['throw', 'a', 'reject', 'b', 'undefined', 'c']) cell.post(entry);
  await settle();
  assert.equal(seen, ['a', 'b', 'c']);
  assert.is(bugs.length, 3);
  await system.stop();
});

test('S3: a reporter of bugs that throws itself does not wedge the actor', async () => {
  const warned = Promise.withResolvers<void>();
  process.once('warning', () => warned.resolve());
  const system = new ActorSystem('n1', 'reporter', () => {
    throw new Error('the log is broken');
  });
  const seen: string[] = [];
  const cell = system.spawn<string>((entry) => {
    if (entry === 'throw') throw new Error('thrown');
    seen.push(entry);
  }, OPTIONS);
  cell.post('throw');
  cell.post('after');
  await warned.promise;
  await settle();
  assert.equal(seen, ['after']);
  await system.stop();
});

test('S4: a reference to a stopped actor is refused, and never reaches a later one', async () => {
  const { system } = makeSystem();
  const seen: string[] = [];
  const earlier = system.spawn<string>((entry) => void seen.push(`earlier ${entry}`), OPTIONS);
  earlier.close();
  const later = system.spawn<string>((entry) => void seen.push(`later ${entry}`), OPTIONS);
  assert.ok(later.activation > earlier.activation);
  assert.is(earlier.post('x'), 'stopped');
  assert.is(earlier.force('y'), 'stopped');
  later.post('z');
  await settle();
  assert.equal(seen, ['later z']);
  await system.stop();
});

test('S5: a close hands back what waited and ends after the running turn, not before', async () => {
  const { system } = makeSystem();
  const { handler, hold, seen } = recorder();
  const release = hold('a');
  const cell = system.spawn(handler, OPTIONS);
  for (const entry of ['a', 'b', 'c']) cell.post(entry);
  await settle();
  let isEnded = false;
  void cell.ended.then(() => (isEnded = true));
  assert.equal(cell.close(), ['b', 'c']);
  assert.equal(cell.close(), [], 'only once');
  await settle();
  assert.not(isEnded);
  release();
  await cell.ended;
  assert.equal(seen, ['a', 'a done']);
  assert.is(system.size, 0);
  await system.stop();
});

test('S5: a message accepted just before the stop is handed back, where nact drops it', async () => {
  const { system } = makeSystem();
  const { handler, seen } = recorder();
  const cell = system.spawn(handler, OPTIONS);
  cell.post('a');
  assert.equal(cell.close(), ['a']);
  await cell.ended;
  await settle();
  assert.equal(seen, []);
  await system.stop();
});

test('S5: an actor may stop itself in its own turn', async () => {
  const { system } = makeSystem();
  const seen: string[] = [];
  const cell: ActorCell<string> = system.spawn<string>((entry) => {
    seen.push(entry);
    seen.push(...cell.close().map((rest) => `handed back ${rest}`));
  }, OPTIONS);
  cell.post('a');
  cell.post('b');
  await cell.ended;
  assert.equal(seen, ['a', 'handed back b']);
  await system.stop();
});

test('S5: stopping the system stops its actors and waits for their turns', async () => {
  const { system } = makeSystem();
  const { handler, hold, seen } = recorder();
  const release = hold('a');
  const cell = system.spawn(handler, OPTIONS);
  cell.post('a');
  cell.post('b');
  await settle();
  const stopped = system.stop();
  assert.is(cell.post('c'), 'stopped');
  assert.throws(() => system.spawn(handler, OPTIONS), /is stopped/);
  release();
  await stopped;
  await settle();
  assert.equal(seen, ['a', 'a done']);
});

test('S6: nact ignores a string as system name, so ours is given as an object', () => {
  const byString = start('given') as Ref<never> & { readonly name: string };
  assert.is.not(byString.name, 'given');
  stop(byString);
});

test('S6: two systems of one node in one process do not reach into each other', async () => {
  const seen: string[] = [];
  const [one, other] = ['i1', 'i2'].map((incarnation) => {
    return new ActorSystem('n1', incarnation, (error) => seen.push(String(error)));
  });
  assert.is.not(one?.name, other?.name);
  const first = one?.spawn<string>((entry) => void seen.push(`one ${entry}`), OPTIONS);
  const second = other?.spawn<string>((entry) => void seen.push(`other ${entry}`), OPTIONS);
  assert.is(first?.activation, second?.activation, 'the same nact path in both');
  second?.post('x');
  await one?.stop();
  second?.post('y');
  await settle();
  assert.equal(seen, ['other x', 'other y']);
  await other?.stop();
});

test('references are typed, in what they accept and in what they can stand for', async () => {
  const { system } = makeSystem();
  const cell = system.spawn<{ readonly n: number }>(() => {}, OPTIONS);
  const wrong = () => {
    // @ts-expect-error -- nact's dispatch(ref, 'anything') compiles
    cell.post('anything');
    // @ts-expect-error -- nact's Ref<A> can be assigned to Ref<B>
    const other: ActorCell<{ readonly n: string }> = cell;
    // @ts-expect-error -- and so can {}
    const empty: ActorCell<string> = {};
    return [other, empty];
  };
  assert.type(wrong, 'function');
  await system.stop();
});

test('only system.ts imports nact, and only its four safe functions', () => {
  const importing = readdirSync(KERNEL).filter((file) => {
    return readFileSync(new URL(file, KERNEL), 'utf8').includes("from 'nact'");
  });
  assert.equal(importing, ['system.ts']);
  const source = readFileSync(new URL('system.ts', KERNEL), 'utf8');
  const [, names] = /import \{([^}]*)\} from 'nact'/.exec(source) ?? [];
  assert.is(names?.trim(), 'dispatch, spawn, start, stop, type Ref');
});

test('an idle actor, a pending ask and an armed timer do not keep the process alive', async () => {
  const script = `
    import { Runtime } from '${new URL('runtime.ts', KERNEL).href}';
    import { systemClock } from '${new URL('clock.ts', KERNEL).href}';
    import { jobKind } from '${new URL('toy.ts', import.meta.url).href}';
    const runtime = new Runtime({
      node: 'n1', clock: systemClock, log: () => {},
      random: { number: Math.random, uuid: () => crypto.randomUUID() },
      journal: { load: async () => null, commit: () => new Promise(() => {}) },
      ownership: { epochOf: () => 1 },
    });
    runtime.register(jobKind(), { work: async () => undefined });
    void runtime.ask({ kind: 'job', id: 'a' }, { kind: 'create', name: 'n' },
      { trace: 't', timeoutMs: 3_000_000_000 }).catch((error) => console.log(error.code));
    runtime.timers.after(3_000_000_000, () => console.log('fired'));`;
  const args = ['--input-type=module-typescript', '--eval', script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  assert.is(stdout, '');
});

test.run();

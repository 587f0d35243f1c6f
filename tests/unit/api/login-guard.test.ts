// The guard of logins on a clock turned by hand.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LoginGuard } from '../../../src/api/identity/login-guard.ts';
import { ManualClock, settle } from '../../support/kernel.ts';

const test = suite('login guard');

const wrong = () => Promise.resolve(null);
const right = () => Promise.resolve('key');

/** When, on the manual clock, the attempt is decided. */
async function decidedAt(clock: ManualClock, attempt: Promise<unknown>): Promise<number> {
  let at: number | undefined;
  attempt.then(
    () => (at = clock.monoMs()),
    () => (at = clock.monoMs()),
  );
  await settle();
  while (at === undefined) await clock.advance(50);
  return at;
}

test('who is wrong again and again waits longer each time, up to eight seconds', async () => {
  const clock = new ManualClock();
  const guard = new LoginGuard(clock);
  const pauses: number[] = [];
  for (let attempt = 0; attempt < 11; attempt++) {
    const before = clock.monoMs();
    pauses.push((await decidedAt(clock, guard.attempt('a', wrong))) - before);
  }
  assert.equal(pauses, [0, 0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 8_000, 8_000]);
});

test('somebody else does not wait, and a right secret is forgiven all', async () => {
  const clock = new ManualClock();
  const guard = new LoginGuard(clock);
  for (let attempt = 0; attempt < 6; attempt++) await decidedAt(clock, guard.attempt('a', wrong));
  const before = clock.monoMs();
  assert.is(await guard.attempt('b', right), 'key');
  assert.is(clock.monoMs(), before);
  await decidedAt(clock, guard.attempt('a', right));
  const after = clock.monoMs();
  assert.is((await decidedAt(clock, guard.attempt('a', wrong))) - after, 0);
});

test('a quiet minute is forgiveness enough', async () => {
  const clock = new ManualClock();
  const guard = new LoginGuard(clock);
  for (let attempt = 0; attempt < 8; attempt++) await decidedAt(clock, guard.attempt('a', wrong));
  await clock.advance(60_001);
  const before = clock.monoMs();
  assert.is((await decidedAt(clock, guard.attempt('a', wrong))) - before, 0);
});

test('two checks run at a time, in the order they came', async () => {
  const guard = new LoginGuard(new ManualClock());
  let [running, most] = [0, 0];
  const order: number[] = [];
  const check = (at: number) => async () => {
    most = Math.max(most, ++running);
    await settle(2);
    running--;
    order.push(at);
    return 'key';
  };
  await Promise.all(
    Array.from({ length: 20 }, (_, at) => guard.attempt(`client-${at}`, check(at))),
  );
  assert.is(most, 2);
  assert.equal(
    order,
    order.toSorted((a, b) => a - b),
  );
});

test('more than four tries at once from one place are turned away', async () => {
  const guard = new LoginGuard(new ManualClock());
  const held = Promise.withResolvers<string>();
  const waiting = Array.from({ length: 4 }, () => guard.attempt('a', () => held.promise));
  await rejects(guard.attempt('a', right), { code: 'actor/overloaded' });
  held.resolve('key');
  assert.equal(await Promise.all(waiting), ['key', 'key', 'key', 'key']);
  assert.is(await guard.attempt('a', right), 'key');
});

test('the queue of all clients is bounded', async () => {
  const guard = new LoginGuard(new ManualClock());
  const held = Promise.withResolvers<string>();
  const waiting = Array.from({ length: 66 }, (_, at) =>
    guard.attempt(`c-${at}`, () => held.promise),
  );
  await rejects(guard.attempt('late', right), { code: 'actor/overloaded' });
  held.resolve('key');
  await Promise.all(waiting);
});

test('a check that throws frees its place', async () => {
  const guard = new LoginGuard(new ManualClock());
  for (let attempt = 0; attempt < 5; attempt++) {
    await rejects(
      guard.attempt('a', () => Promise.reject(new Error('broken'))),
      /broken/,
    );
  }
  assert.is(await guard.attempt('a', right), 'key');
});

test('ever new clients do not fill the memory', async () => {
  const guard = new LoginGuard(new ManualClock());
  for (let client = 0; client < 10_100; client++) await guard.attempt(`c-${client}`, wrong);
  assert.ok(guard.clients <= 10_000);
});

test.run();

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock, type Timer } from '../../../actors/kernel/clock.ts';
import { Timers } from '../../../actors/kernel/timers.ts';
import { within } from '../../../actors/kernel/within.ts';
import { ManualClock, seededRandom } from '../../support/kernel.ts';

const test = suite('kernel timers');

function makeTimers() {
  const clock = new ManualClock();
  const errors: unknown[] = [];
  return { clock, errors, timers: new Timers(clock, (error) => errors.push(error)) };
}

test('a thousand timers use one of the clock', async () => {
  const { clock, timers } = makeTimers();
  let fired = 0;
  for (let at = 0; at < 1_000; at++) timers.after(1_000 + at, () => fired++);
  assert.is(clock.pending, 1);
  assert.is(timers.size, 1_000);
  await clock.advance(1_499);
  assert.is(fired, 500);
  await clock.advance(500);
  assert.is(fired, 1_000);
  assert.is(clock.pending, 0);
});

test('timers fire in order of time, whatever was armed and cancelled in between', async () => {
  const random = seededRandom(7);
  for (let round = 0; round < 20; round++) {
    const { clock, timers } = makeTimers();
    const armed: { readonly at: number; readonly timer: Timer; isCancelled: boolean }[] = [];
    const fired: number[] = [];
    for (let step = 0; step < 60; step++) {
      const at = Math.floor(random.number() * 50);
      armed.push({ at, timer: timers.after(at, () => fired.push(at)), isCancelled: false });
      const victim = armed[Math.floor(random.number() * armed.length)];
      if (victim === undefined || random.number() < 0.5) continue;
      victim.timer.cancel();
      victim.timer.cancel();
      victim.isCancelled = true;
    }
    const expected = armed.filter(({ isCancelled }) => !isCancelled).map(({ at }) => at);
    await clock.advance(50);
    assert.equal(
      fired,
      expected.toSorted((a, b) => a - b),
    );
    assert.is(timers.size, 0);
  }
});

test('W1: a delay does not follow a wall clock that is set; a wall time does, within a minute', async () => {
  const { clock, timers } = makeTimers();
  const fired: string[] = [];
  timers.after(600_000, () => fired.push('delay'));
  timers.atWall(clock.nowMs() + 600_000, () => fired.push('wall'));
  clock.jumpWall(600_000);
  await clock.advance(60_000);
  assert.equal(fired, ['wall']);
  await clock.advance(540_000);
  assert.equal(fired, ['wall', 'delay']);
});

test('W1: a wall clock set back delays a wall time', async () => {
  const { clock, timers } = makeTimers();
  let isFired = false;
  timers.atWall(clock.nowMs() + 30_000, () => (isFired = true));
  clock.jumpWall(-600_000);
  await clock.advance(600_000);
  assert.not(isFired);
  await clock.advance(60_000);
  assert.ok(isFired);
});

test('W2: a callback that throws does not stop the others due with it', async () => {
  const { clock, timers, errors } = makeTimers();
  let isFired = false;
  timers.after(10, () => {
    throw new Error('a bug');
  });
  timers.after(10, () => (isFired = true));
  await clock.advance(10);
  assert.ok(isFired);
  assert.is(errors.length, 1);
});

test('a callback may cancel another that is due at the same time, and arm itself again', async () => {
  const { clock, timers } = makeTimers();
  const fired: string[] = [];
  let rounds = 0;
  const again = () => {
    fired.push(`round ${++rounds}`);
    if (rounds < 3) timers.after(0, again);
  };
  timers.after(10, () => other.cancel());
  const other = timers.after(10, () => fired.push('cancelled one'));
  timers.after(10, again);
  await clock.advance(10);
  assert.equal(fired, ['round 1', 'round 2', 'round 3']);
});

test('W3: after close nothing fires and nothing can be armed', async () => {
  const { clock, timers } = makeTimers();
  const before = timers.after(10, () => assert.unreachable());
  timers.close();
  timers.after(10, () => assert.unreachable());
  before.cancel();
  await clock.advance(100);
  assert.is(clock.pending, 0);
});

test('a delay beyond 31 bits does not fire at once on the real clock', async () => {
  const timers = new Timers(systemClock, () => {});
  let isFired = false;
  timers.after(3_000_000_000, () => (isFired = true));
  const { promise, resolve } = Promise.withResolvers<void>();
  // A timer of node's own, to keep the process alive meanwhile.
  setTimeout(resolve, 20);
  await promise;
  assert.not(isFired);
  timers.close();
});

test('within() tells work that ended from work that did not', async () => {
  const { clock, timers } = makeTimers();
  assert.is(await within(timers, 10, Promise.reject(new Error('failed'))), true);
  const late = within(timers, 10, new Promise(() => {}));
  await clock.advance(10);
  assert.is(await late, false);
});

test.run();

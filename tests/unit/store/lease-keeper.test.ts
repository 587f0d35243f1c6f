import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LeaseKeeper, leaseMarginMs } from '../../../transport/store/lease-keeper.ts';
import { ManualClock } from '../../support/kernel.ts';

const test = suite('lease keeper');
const TTL = 10_000;
const MARGIN = leaseMarginMs(TTL);

/** A keeper whose renewals the test answers by hand. */
function setUp(revoke: () => Promise<void> = () => Promise.resolve()) {
  const clock = new ManualClock();
  const renewals: PromiseWithResolvers<boolean>[] = [];
  const calls: string[] = [];
  const ends: string[] = [];
  const keeper = new LeaseKeeper(
    { id: '7', ttlMs: TTL, sentAtMono: clock.monoMs() },
    {
      clock,
      random: () => 0.5,
      onEnd: () => void calls.push('end'),
      link: {
        renew() {
          const renewal = Promise.withResolvers<boolean>();
          renewals.push(renewal);
          return renewal.promise;
        },
        reset: () => void calls.push('reset'),
        close: () => void calls.push('close'),
        revoke,
      },
    },
  );
  keeper.onLost((end) => ends.push(end));
  return { clock, keeper, renewals, calls, ends };
}

test('the deadline counts from the sending of the last answered renewal, not from its answer', async () => {
  const { clock, keeper, renewals } = setUp();
  assert.is(keeper.validUntilMono(), TTL - MARGIN);
  await clock.advance(TTL / 3);
  const sentAt = clock.monoMs();
  await clock.advance(1_000);
  assert.is(keeper.validUntilMono(), TTL - MARGIN);
  renewals[0]?.resolve(true);
  await clock.advance(0);
  assert.is(keeper.validUntilMono(), sentAt + TTL - MARGIN);
});

test('without answers the lease is lost at its deadline, once, and before the server can end it', async () => {
  const { clock, keeper, ends, calls } = setUp();
  await clock.advance(TTL - MARGIN - 1);
  assert.equal(ends, []);
  await clock.advance(1);
  assert.equal(ends, ['deadline']);
  assert.is(keeper.validUntilMono(), -Infinity);
  await clock.advance(10 * TTL);
  assert.equal(ends, ['deadline']);
  assert.is(calls.filter((call) => call === 'end').length, 1);
  assert.is(clock.pending, 0);
});

test('an unanswered renewal costs the connection, not the lease', async () => {
  const { clock, keeper, renewals, calls, ends } = setUp();
  await clock.advance(TTL / 3 + TTL / 4);
  assert.equal(calls, ['reset']);
  await clock.advance(100);
  assert.is(renewals.length, 2);
  const sentAt = TTL / 3 + TTL / 4 + 37.5;
  renewals[1]?.resolve(true);
  await clock.advance(0);
  assert.is(Math.round(keeper.validUntilMono()), Math.round(sentAt + TTL - MARGIN));
  assert.equal(ends, []);
});

test('the answer to a renewal that was given up does not count as the answer to a later one', async () => {
  const { clock, keeper, renewals } = setUp();
  await clock.advance(TTL / 3 + TTL / 4);
  await clock.advance(100);
  const before = keeper.validUntilMono();
  renewals[0]?.resolve(true);
  await clock.advance(0);
  assert.is(keeper.validUntilMono(), before);
});

test('a link that fails at once is tried again with pauses, not in a loop', async () => {
  const { clock, renewals } = setUp();
  await clock.advance(TTL / 3);
  for (let i = 0; i < 200; i++) {
    renewals.at(-1)?.reject(new Error('refused'));
    await clock.advance(10);
  }
  assert.ok(renewals.length < 12, String(renewals.length));
});

test('an answer that comes after the deadline revives nothing', async () => {
  const { clock, keeper, renewals, ends } = setUp();
  await clock.advance(TTL / 3);
  // The process was paused: time passed and no timer fired.
  Object.assign(clock, { monoMs: () => TTL });
  renewals[0]?.resolve(true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ends, ['deadline']);
  assert.is(keeper.validUntilMono(), -Infinity);
});

test('a lease that the server does not know is over at once', async () => {
  const { clock, renewals, ends } = setUp();
  await clock.advance(TTL / 3);
  renewals[0]?.resolve(false);
  await clock.advance(0);
  assert.equal(ends, ['gone']);
});

test('a revoked lease is over and not lost; a closed one is lost', async () => {
  const revoked = setUp();
  await revoked.keeper.revoke();
  await revoked.clock.advance(10 * TTL);
  assert.equal(revoked.ends, []);
  assert.is(revoked.keeper.validUntilMono(), -Infinity);
  const closed = setUp();
  closed.keeper.close();
  assert.equal(closed.ends, ['closed']);
});

test('who asks after the loss is told at once', async () => {
  const { clock, keeper } = setUp();
  await clock.advance(TTL);
  const late: string[] = [];
  keeper.onLost((end) => late.push(end));
  assert.equal(late, ['deadline']);
});

test('a revoke that cannot be sent still ends the lease here', async () => {
  const { keeper, calls } = setUp(() => Promise.reject(new Error('no link')));
  await rejects(keeper.revoke(), /no link/);
  assert.equal(calls, ['close', 'end']);
  assert.is(keeper.validUntilMono(), -Infinity);
});

test.run();

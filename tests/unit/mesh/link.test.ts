// One link as a state machine, on a clock turned by hand and a wire in memory.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError, type ErrorCode } from '../../../actors/kernel/errors.ts';
import type { AskReply } from '../../../actors/kernel/ports.ts';
import { encodeItem, joinItems, type Item } from '../../../transport/mesh/frame.ts';
import {
  CLOSE,
  MAX_BUFFERED_BYTES,
  MAX_IN_FLIGHT,
  type LinkOptions,
} from '../../../transport/mesh/link.ts';
import { ManualClock, settle } from '../../support/kernel.ts';
import { exchange, meshEnd, meshHello, type End } from '../../support/mesh-pair.ts';

const test = suite('mesh link');
const to = { kind: 'instance', id: 'one' };
const options = { trace: 't', timeoutMs: 10_000 };

const frame = (...items: Item[]) => joinItems(items.map(encodeItem));
const code = (wanted: ErrorCode) => (error: unknown) =>
  error instanceof TroupeError && error.code === wanted;

/** Two ends that have greeted each other. */
async function openPair(ofB: Partial<LinkOptions> = {}) {
  const clock = new ManualClock();
  const a = meshEnd(clock);
  const b = meshEnd(clock, { own: meshHello('b'), name: 'a', isDialler: false, ...ofB });
  await exchange(a, b);
  return { clock, a, b };
}

/** One end that is open; the test plays the other. */
async function openAlone(
  changes: Partial<LinkOptions> = {},
): Promise<End & { clock: ManualClock }> {
  const clock = new ManualClock();
  const end = meshEnd(clock, changes);
  end.link.received(frame(meshHello('b')));
  await settle(3);
  end.wire.take();
  return { ...end, clock };
}

/** Depth of `levels` arrays around a number. */
function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

test('both ends open once both hellos have come, and ask each other', async () => {
  const { a, b } = await openPair();
  assert.equal([a.link.state, b.link.state], ['open', 'open']);
  const [one, two] = [a.link.ask(to, 'from a', options), b.link.ask(to, 'from b', options)];
  await exchange(a, b);
  assert.is((await one).value, 'from a');
  assert.is((await two).value, 'from b');
});

test('nothing but hello is sent before the hello of the other', async () => {
  const { link, wire } = meshEnd(new ManualClock());
  await rejects(link.ask(to, 1, options), code('mesh/unreachable'));
  assert.equal(
    wire.take().map(({ kind }) => kind),
    ['hello'],
  );
});

test('a link without a hello ends after five seconds', async () => {
  const clock = new ManualClock();
  const { link, wire, endings } = meshEnd(clock);
  await clock.advance(4_999);
  assert.is(link.state, 'greeting');
  await clock.advance(1);
  assert.is(wire.closed?.code, CLOSE.silent);
  assert.equal(endings, ['no hello in time']);
});

test('a silent peer is pinged every five seconds, and lost after fifteen', async () => {
  const { link, wire, clock } = await openAlone();
  await clock.advance(14_999);
  assert.equal(wire.take(), [
    { kind: 'ping', count: 1 },
    { kind: 'ping', count: 2 },
  ]);
  const waiting = rejects(link.ask(to, 1, options), (error: TroupeError) => {
    assert.is(error.detail['ambiguous'], true);
    return code('mesh/unreachable')(error);
  });
  await clock.advance(1);
  await waiting;
  assert.is(wire.closed?.code, CLOSE.silent);
  assert.is(clock.pending, 0);
});

test('any sign of life keeps a link', async () => {
  const { link, clock } = await openAlone();
  for (let round = 0; round < 10; round++) {
    await clock.advance(9_000);
    link.received(frame({ kind: 'pong', count: round }));
  }
  assert.is(link.state, 'open');
});

test('draining waits for both directions, and ends both sides', async () => {
  const gate = Promise.withResolvers<AskReply>();
  const { a, b, clock } = await openPair({ handle: () => gate.promise });
  const answer = a.link.ask(to, 1, options);
  await exchange(a, b);
  b.link.drain();
  await exchange(a, b);
  assert.equal([a.link.state, b.link.state], ['draining', 'draining']);
  await rejects(a.link.ask(to, 2, options), code('mesh/unreachable'));
  gate.resolve({ value: 'late', revision: 4 });
  await exchange(a, b);
  assert.equal(await answer, { value: 'late', revision: 4 });
  assert.equal([a.link.state, b.link.state], ['closed', 'closed']);
  assert.is(clock.pending, 0);
});

test('a misfit whose name is long and foreign is refused, with a reason that fits a close', async () => {
  const { link, wire, endings } = meshEnd(new ManualClock());
  link.received(frame(meshHello('b', { cluster: '集'.repeat(10_000) })));
  assert.is(wire.closed?.code, CLOSE.refused);
  assert.match(wire.closed?.reason ?? '', /this is cluster lab/);
  assert.ok((endings[0]?.length ?? 0) < 200, 'nor does it fill the log');
});

test('an ask whose time is up is not sent', async () => {
  const { a, b } = await openPair();
  for (const timeoutMs of [0, -5, Number.NaN]) {
    await rejects(a.link.ask(to, 1, { ...options, timeoutMs }), code('actor/timeout'));
  }
  const patient = a.link.ask(to, 1, { ...options, timeoutMs: Infinity });
  await exchange(a, b);
  assert.is((await patient).value, 1);
  assert.equal([a.link.state, b.link.state], ['open', 'open']);
});

test('what the sender lets through the receiver takes, to the last level of nesting', async () => {
  const { a, b } = await openPair();
  const deepest = a.link.ask(to, nested(64), options);
  await rejects(a.link.ask(to, nested(65), options), code('actor/bad-message'));
  await exchange(a, b);
  assert.equal((await deepest).value, nested(64));
  assert.is(a.link.state, 'open');
});

test('an answer that cannot be sent fails its own ask and no other', async () => {
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  const odd = [Number.NaN, new Map(), circle, Symbol('s'), 5n, nested(65), 'x'.repeat(2 ** 20)];
  const { a, b } = await openPair({
    handle: (_to, body) => Promise.resolve({ value: odd[body as number] as string, revision: 0 }),
  });
  for (const index of odd.keys()) {
    const failing = rejects(a.link.ask(to, index, options), (error: TroupeError) => {
      const wanted = index === odd.length - 1 ? 'mesh/too-large' : 'actor/crashed';
      return code(wanted)(error);
    });
    await exchange(a, b);
    await failing;
  }
  assert.equal([a.link.state, b.link.state], ['open', 'open']);
});

test('a revision or a detail that is no number of ours fails only its ask', async () => {
  const { a, b } = await openPair({
    handle: (_to, body) => {
      if (body === 'revision') return Promise.resolve({ value: 1, revision: Number.NaN });
      throw new TroupeError('network/in-use', 'in use', { users: Infinity });
    },
  });
  const revision = rejects(a.link.ask(to, 'revision', options), code('actor/crashed'));
  const detail = rejects(a.link.ask(to, 'detail', options), code('network/in-use'));
  await exchange(a, b);
  await Promise.all([revision, detail]);
  assert.equal([a.link.state, b.link.state], ['open', 'open']);
});

test('asks that timed out here and still run there do not cost the link', async () => {
  const gate = Promise.withResolvers<AskReply>();
  const { a, b, clock } = await openPair({ handle: () => gate.promise });
  const first = Array.from({ length: MAX_IN_FLIGHT }, () =>
    rejects(a.link.ask(to, 1, { ...options, timeoutMs: 100 }), code('actor/timeout')),
  );
  await exchange(a, b);
  await clock.advance(100);
  await Promise.all(first);
  const refused = rejects(a.link.ask(to, 2, options), code('mesh/overloaded'));
  await exchange(a, b);
  await refused;
  gate.resolve({ value: 'at last', revision: 0 });
  const again = a.link.ask(to, 3, options);
  await exchange(a, b);
  assert.is((await again).value, 'at last');
});

test('asks are refused while the socket is full, and taken when it has drained', async () => {
  const { link, wire } = await openAlone();
  wire.bufferedBytes = MAX_BUFFERED_BYTES + 1;
  await rejects(link.ask(to, 1, options), code('mesh/overloaded'));
  wire.bufferedBytes = 0;
  const taken = link.ask(to, 2, options);
  link.received(frame({ kind: 'reply', seq: 1, revision: 3, value: null }));
  assert.is((await taken).revision, 3);
});

test('a peer that pings and never reads loses the link', async () => {
  const { link, wire } = await openAlone();
  wire.bufferedBytes = 2 * MAX_BUFFERED_BYTES + 1;
  link.received(frame({ kind: 'ping', count: 1 }));
  assert.is(wire.closed?.code, CLOSE.protocol);
});

test.run();

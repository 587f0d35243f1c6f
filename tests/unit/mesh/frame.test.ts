// What is sent decodes to what it was, and nothing that comes can do harm.
import { Packr } from 'msgpackr';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import {
  decodeFrame,
  encodeItem,
  joinItems,
  MAX_FRAME_BYTES,
  MAX_ITEMS,
  type Item,
} from '../../../transport/mesh/frame.ts';
import { judgeHello } from '../../../transport/mesh/hello.ts';
import { Outbox } from '../../../transport/mesh/outbox.ts';
import { PendingAsks } from '../../../transport/mesh/pending.ts';
import { seededRandom } from '../../support/kernel.ts';

const test = suite('mesh frames');
const rude = new Packr({ useRecords: false, structuredClone: true, moreTypes: true });
const to = { kind: 'instance', id: 'é/"' };

const HELLO = {
  kind: 'hello',
  protocolMin: 1,
  protocolMax: 2,
  cluster: 'lab',
  node: 'n1',
  bootId: 'b1',
  version: '0.1.0',
  features: ['blobs'],
} as const;

const ITEMS: readonly Item[] = [
  HELLO,
  {
    kind: 'ask',
    seq: 1,
    timeoutMs: 10_000.5,
    to,
    trace: 't',
    body: { kind: 'create', n: [1, null, true] },
  },
  { kind: 'reply', seq: 2 ** 40, revision: 2 ** 50, value: null },
  { kind: 'failure', seq: 3, code: 'network/in-use', message: 'no', detail: { users: 2, by: 'x' } },
  { kind: 'ping', count: 0 },
  { kind: 'pong', count: 7 },
  { kind: 'goodbye' },
];

test('every kind of item decodes to what it was, many to a frame', () => {
  const frame = decodeFrame(joinItems(ITEMS.map(encodeItem)));
  assert.equal(frame, { ok: true, items: ITEMS, unknown: 0 });
});

test('unknown kinds are counted and skipped, and appended fields ignored', () => {
  const later = rude.pack([99, 'of a later version']);
  const longer = rude.pack([4, 5, 'appended']);
  const frame = decodeFrame(joinItems([later, longer]));
  assert.equal(frame, { ok: true, items: [{ kind: 'ping', count: 5 }], unknown: 1 });
});

test('what is no frame, or holds more than plain data, is refused', () => {
  const refused: [string, Uint8Array][] = [
    ['nothing', new Uint8Array()],
    ['a map', rude.pack({ a: 1 })],
    ['an item that is no array', rude.pack(['hello'])],
    ['an item without a kind', rude.pack([[]])],
    ['a kind that is no number', rude.pack([['ask']])],
    ['a negative number', rude.pack([[4, -1]])],
    ['a fraction', rude.pack([[4, 1.5]])],
    ['text where a number goes', rude.pack([[2, '1', 1, null]])],
    ['an ask to no address', rude.pack([[1, 1, 1, null, 'id', 't', null]])],
    ['details with objects in them', rude.pack([[3, 1, 'c', 'm', { a: {} }]])],
    ['a regular expression', rude.pack([[2, 1, 1, /(a+)+$/]])],
    ['a date', rude.pack([[2, 1, 1, new Date(0)]])],
    ['a set', rude.pack([[2, 1, 1, new Set([1])]])],
    ['an error', rude.pack([[2, 1, 1, new Error('x')]])],
    ['not a number', rude.pack([[2, 1, 1, NaN]])],
    ['too many items', joinItems(Array.from({ length: MAX_ITEMS + 1 }, () => rude.pack([6])))],
    ['too many bytes', new Uint8Array(MAX_FRAME_BYTES + 1)],
    [
      'deep nesting',
      rude.pack([[2, 1, 1, Array.from({ length: 80 }).reduce((inner) => [inner], 0)]]),
    ],
    ['a claim of four thousand million items', Uint8Array.of(0xdd, 255, 255, 255, 255)],
    ['a truncated frame', joinItems(ITEMS.map(encodeItem)).subarray(0, 40)],
  ];
  for (const [what, bytes] of refused) assert.is(decodeFrame(bytes).ok, false, what);
});

test('no bytes make the decoder throw', () => {
  const random = seededRandom(11);
  const good = joinItems(ITEMS.map(encodeItem));
  for (let round = 0; round < 5_000; round++) {
    const bytes = Uint8Array.from(good);
    const changes = 1 + Math.floor(random.number() * 8);
    for (let change = 0; change < changes; change++) {
      bytes[Math.floor(random.number() * bytes.length)] = Math.floor(random.number() * 256);
    }
    const frame = decodeFrame(bytes.subarray(0, Math.floor(random.number() * bytes.length) + 1));
    assert.type(frame.ok, 'boolean');
  }
});

test('nor do bytes that never were a frame', () => {
  const random = seededRandom(12);
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: Math.floor(random.number() * 64) }, () =>
      Math.floor(random.number() * 256),
    );
    // Half of them begin as a frame of items does.
    if (round % 2 === 0) bytes.set([0xdc, 0, 1, 0x97].slice(0, bytes.length));
    const frame = decodeFrame(bytes);
    if (frame.ok) for (const item of frame.items) assert.type(item.kind, 'string');
  }
});

test('the items of one turn go out together, in frames of bounded size', async () => {
  const frames: Uint8Array[] = [];
  const outbox = new Outbox((frame) => frames.push(frame));
  const sizes = [...Array.from({ length: 300 }, () => 10), 70_000, 30_000, 30_000, 30_000];
  for (const size of sizes)
    outbox.add(encodeItem({ kind: 'reply', seq: 1, revision: 1, value: 'x'.repeat(size) }));
  assert.equal(frames, [], 'nothing before the turn is over');
  await new Promise((resolve) => setImmediate(resolve));
  const counts = frames.map((frame) => {
    const decoded = decodeFrame(frame);
    return decoded.ok ? decoded.items.length : -1;
  });
  assert.equal(counts, [128, 128, 44, 1, 2, 1]);
});

test('two daemons fit together by cluster, name and a protocol that both speak', () => {
  const own = HELLO;
  const peer = { ...HELLO, node: 'n2', bootId: 'b2' };
  assert.equal(judgeHello(own, peer, 'n2'), { ok: true, protocol: 2 });
  assert.equal(judgeHello(own, { ...peer, protocolMax: 1 }, 'n2'), { ok: true, protocol: 1 });
  assert.equal(judgeHello(own, { ...peer, protocolMin: 2, protocolMax: 9 }, 'n2'), {
    ok: true,
    protocol: 2,
  });
  const misfits = [
    judgeHello(own, { ...peer, cluster: 'other' }, 'n2'),
    judgeHello(own, peer, 'n3'),
    judgeHello(own, { ...peer, node: 'n1' }, 'n1'),
    judgeHello(own, { ...peer, protocolMin: 3, protocolMax: 4 }, 'n2'),
    judgeHello({ ...own, protocolMin: 2 }, { ...peer, protocolMax: 1 }, 'n2'),
  ];
  for (const verdict of misfits) assert.is(verdict.ok, false);
});

test('a failure with a code that is not known here can be tried again', async () => {
  const asks = new PendingAsks(systemClock);
  const { seq, answer } = asks.add(1_000, 'x');
  asks.settle({ kind: 'failure', seq, code: 'future/code', message: 'later', detail: {} });
  const error = await answer.catch((caught: unknown) => caught);
  assert.match(String(error), /future\/code: later/);
  assert.is((error as { code: string }).code, 'mesh/foreign-error');
  assert.is((error as { retry: string }).retry, 'backoff');
});

test.run();

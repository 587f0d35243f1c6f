import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Packr } from 'msgpackr';
import { decodeEnvelope, encodeEnvelope, MAX_VALUE_BYTES } from '../../../transport/store/codec.ts';

const test = suite('store codec');
/** What another writer, hostile or of another version, may have stored. */
const foreign = new Packr({ useRecords: false, structuredClone: true, moreTypes: true });
const reasonFor = (bytes: Uint8Array) => {
  const decoded = decodeEnvelope(bytes);
  return decoded.ok ? 'accepted' : decoded.reason;
};

test('plain data comes back as it went in', () => {
  const state = {
    text: 'ü🐟',
    empty: '',
    numbers: [0, -1, 1.5, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER, -(2 ** 53) + 1],
    flags: [true, false, null],
    nested: { list: [{ deep: [[]] }], none: {} },
    proto: { constructor: 'a name', toString: 'another' },
  };
  assert.equal(decodeEnvelope(encodeEnvelope({ schema: 3, state })), {
    ok: true,
    envelope: { schema: 3, state },
  });
});

test('bytes come back as bytes that share no memory with the input', () => {
  const encoded = encodeEnvelope({ schema: 1, state: { digest: Uint8Array.from([1, 2, 3]) } });
  const decoded = decodeEnvelope(encoded);
  encoded.fill(0);
  assert.ok(decoded.ok);
  if (!decoded.ok) return;
  const { digest } = decoded.envelope.state as { digest: Uint8Array };
  assert.equal([...digest], [1, 2, 3]);
});

test('what MessagePack would change on the way is refused', () => {
  class Point {
    readonly x = 1;
  }
  for (const odd of [
    new Map([['a', 1]]),
    new Set([1]),
    new Date(0),
    /x/,
    new Error('x'),
    new Point(),
    () => 1,
    Symbol('x'),
    5n,
    Number.NaN,
    Infinity,
    new Float64Array(1),
  ]) {
    assert.throws(
      () => encodeEnvelope({ schema: 1, state: { deep: [odd] } }),
      (error: { code: string }) => error.code === 'store/bad-value',
    );
  }
});

test('a state that refers to itself is refused, not followed for ever', () => {
  const state: { self?: unknown } = {};
  state.self = state;
  assert.throws(() => encodeEnvelope({ schema: 1, state }), /nesting/);
});

test('a value over 512 KiB is refused when written, and not decoded when read', () => {
  assert.throws(
    () => encodeEnvelope({ schema: 1, state: 'x'.repeat(MAX_VALUE_BYTES) }),
    (error: { code: string }) => error.code === 'store/too-large',
  );
  assert.ok(encodeEnvelope({ schema: 1, state: 'x'.repeat(MAX_VALUE_BYTES - 100) }));
  assert.match(reasonFor(new Uint8Array(MAX_VALUE_BYTES + 1)), 'over the limit');
});

test('hostile types do not get through', () => {
  for (const odd of [/(a+)+$/, new Error('x'), new Set([1]), new Date(0), new Float64Array(1)]) {
    const reason = reasonFor(foreign.pack({ schema: 1, state: { odd } }));
    assert.match(reason, 'not plain data');
  }
});

test('a 64-bit integer of another writer is a number', () => {
  const decoded = decodeEnvelope(foreign.pack({ schema: 1, state: 7n }));
  assert.ok(decoded.ok && decoded.envelope.state === 7);
});

test('records, an extension of one library, decode to plain objects or not at all', () => {
  const records = new Packr({ useRecords: true });
  const decoded = decodeEnvelope(records.pack({ schema: 1, state: { a: 1, b: [{ c: 2 }] } }));
  if (decoded.ok) assert.equal(decoded.envelope.state, { a: 1, b: [{ c: 2 }] });
});

test('what is no envelope has a reason', () => {
  for (const value of [null, 1, 'x', [], {}, { schema: 1 }, { schema: 0, state: 1 }]) {
    assert.match(reasonFor(foreign.pack(value)), 'not an envelope');
  }
  assert.match(reasonFor(foreign.pack({ schema: 1.5, state: 1 })), 'not an envelope');
});

test('truncated, lying and random bytes never throw', () => {
  const whole = encodeEnvelope({ schema: 1, state: { list: [1, 2, 3], name: 'n' } });
  for (let end = 0; end < whole.length; end++) {
    assert.is.not(reasonFor(whole.subarray(0, end)), 'accepted');
  }
  assert.is.not(reasonFor(Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff])), 'accepted');
  assert.is.not(reasonFor(new Uint8Array(100_000).fill(0x91)), 'accepted');
  let seed = 42;
  for (let i = 0; i < 2_000; i++) {
    const random = Uint8Array.from(
      { length: i % 40 },
      () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) >> 8,
    );
    assert.type(reasonFor(random), 'string');
  }
  assert.is(reasonFor(whole), 'accepted');
});

test.run();

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isLibvirtError } from '../../../../src/drivers/libvirt/errors.ts';
import { domain, typedParams, uuid } from '../../../../src/drivers/libvirt/wire.ts';
import type { TypedParam } from '../../../../src/drivers/libvirt/wire.ts';
import * as xdr from '../../../../src/drivers/libvirt/xdr.ts';
import { seeded } from './seeded.ts';

const test = suite('xdr');

const malformed = (error: unknown) => isLibvirtError(error, 'malformed');
const invalid = (error: unknown) => isLibvirtError(error, 'invalid-value');

/** Bytes by the letter of RFC 4506, worked out by hand. */
const TABLE: [string, () => Buffer, string][] = [
  ['i32', () => xdr.encode(xdr.i32, -2), 'fffffffe'],
  ['u32', () => xdr.encode(xdr.u32, 0xdeadbeef), 'deadbeef'],
  ['i64', () => xdr.encode(xdr.i64, -1n), 'ffffffffffffffff'],
  ['u64', () => xdr.encode(xdr.u64, 2n ** 63n), '8000000000000000'],
  ['safe integer', () => xdr.encode(xdr.safeInteger, 2 ** 33 + 1), '0000000200000001'],
  ['f64', () => xdr.encode(xdr.f64, 1.5), '3ff8000000000000'],
  ['bool', () => xdr.encode(xdr.bool, true), '00000001'],
  ['string padded to a word', () => xdr.encode(xdr.string(9), 'hello'), '0000000568656c6c6f000000'],
  ['string of whole words', () => xdr.encode(xdr.string(4), 'hell'), '0000000468656c6c'],
  ['length of a string is in bytes', () => xdr.encode(xdr.string(4), 'ü'), '00000002c3bc0000'],
  ['nothing', () => xdr.encode(xdr.nothing, undefined), ''],
  ['null', () => xdr.encode(xdr.optional(xdr.i32), null), '00000000'],
  ['a value that may be null', () => xdr.encode(xdr.optional(xdr.i32), 7), '0000000100000007'],
  ['list', () => xdr.encode(xdr.list(xdr.u32, 3), [1, 2]), '000000020000000100000002'],
];

for (const [name, bytes, expected] of TABLE) {
  test(`${name} is encoded as the RFC says`, () => assert.is(bytes().toString('hex'), expected));
}

test('struct fields are written in the order of the schema, not of the value', () => {
  const pair = xdr.struct({ first: xdr.u32, second: xdr.u32 });
  assert.is(xdr.encode(pair, { second: 2, first: 1 }).toString('hex'), '0000000100000002');
});

test('a domain reference round-trips with its UUID as text', () => {
  const value = { name: 'vm "1"', uuid: '01234567-89ab-cdef-0123-456789abcdef', id: -1 };
  assert.equal(xdr.decode(domain, xdr.encode(domain, value)), value);
});

test('values that the wire cannot carry are refused before anything is sent', () => {
  const refusals: (() => Buffer)[] = [
    () => xdr.encode(xdr.i32, 2 ** 31),
    () => xdr.encode(xdr.i32, 1.5),
    () => xdr.encode(xdr.u32, -1),
    () => xdr.encode(xdr.u32, Number.NaN),
    () => xdr.encode(xdr.u64, -1n),
    () => xdr.encode(xdr.u64, 2n ** 64n),
    () => xdr.encode(xdr.i64, 2n ** 63n),
    () => xdr.encode(xdr.safeInteger, -1),
    () => xdr.encode(xdr.safeInteger, 2 ** 53),
    () => xdr.encode(xdr.string(3), 'four'),
    () => xdr.encode(xdr.string(9), 'a\0b'),
    () => xdr.encode(xdr.string(9), '\ud800'),
    () => xdr.encode(xdr.list(xdr.u32, 1), [1, 2]),
    () => xdr.encode(xdr.fixedOpaque(2), Buffer.alloc(3)),
    () => xdr.encode(uuid, 'not-a-uuid'),
    () => xdr.encode(uuid, '01234567-89AB-cdef-0123-456789abcdef'),
  ];
  for (const refusal of refusals) assert.throws(refusal, invalid, String(refusal));
});

test('bytes that do not fit the schema are malformed', () => {
  const hex = (text: string) => Buffer.from(text, 'hex');
  const failures: (() => unknown)[] = [
    () => xdr.decode(xdr.u32, hex('0000')),
    () => xdr.decode(xdr.u32, hex('0000000100')),
    () => xdr.decode(xdr.string(10), hex('0000000b6161616161616161616161')),
    () => xdr.decode(xdr.string(10), hex('00000005616161')),
    () => xdr.decode(xdr.safeInteger, hex('0020000000000000')),
    () => xdr.decode(typedParams(9), hex('00000001000000016100000000000009')),
    () => xdr.decode(typedParams(9), hex('00000001000000016100000000000000')),
  ];
  for (const failure of failures) assert.throws(failure, malformed, String(failure));
});

test('a count beyond the bytes at hand allocates nothing and is malformed', () => {
  const bytes = Buffer.from('ffffffff', 'hex');
  assert.throws(() => xdr.decode(xdr.list(xdr.u32, 0xffff_ffff), bytes), malformed);
  assert.throws(() => xdr.decode(xdr.opaque(0xffff_ffff), bytes), malformed);
});

test('random typed parameters survive the way there and back', () => {
  const random = seeded(20_260_731);
  const codec = typedParams(64);
  for (let round = 0; round < 300; round++) {
    const params = Array.from({ length: random.below(20) }, () => randomParam(random));
    assert.equal(xdr.decode(codec, xdr.encode(codec, params)), params, `round ${round}`);
  }
});

test('no prefix of a valid value is a valid value, and none throws anything but malformed', () => {
  const random = seeded(7);
  const codec = typedParams(64);
  const params = Array.from({ length: 8 }, () => randomParam(random));
  const bytes = xdr.encode(codec, params);
  for (let size = 0; size < bytes.length; size++) {
    assert.throws(() => xdr.decode(codec, bytes.subarray(0, size)), malformed, `${size} bytes`);
  }
});

test('random bytes decode or are malformed, and nothing else happens', () => {
  const random = seeded(99);
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(Array.from({ length: random.below(64) }, () => random.below(256)));
    try {
      xdr.decode(typedParams(64), bytes);
    } catch (error) {
      assert.ok(malformed(error), `${bytes.toString('hex')}: ${String(error)}`);
    }
  }
});

function randomParam(random: ReturnType<typeof seeded>): TypedParam {
  const field = random.text(12);
  switch (random.below(7)) {
    case 0:
      return { field, type: 'int', value: random.below(2 ** 32) - 2 ** 31 };
    case 1:
      return { field, type: 'uint', value: random.below(2 ** 32) };
    case 2:
      return { field, type: 'llong', value: BigInt.asIntN(64, random.bits64()) };
    case 3:
      return { field, type: 'ullong', value: random.bits64() };
    case 4:
      return { field, type: 'double', value: random.below(2 ** 32) / 7 };
    case 5:
      return { field, type: 'boolean', value: random.below(2) === 1 };
    default:
      return { field, type: 'string', value: random.text(40) };
  }
}

test.run();

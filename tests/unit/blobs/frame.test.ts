import { randomBytes } from 'node:crypto';
import { pack } from 'msgpackr';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as driver from '../../../src/drivers/image/chunk-digests.ts';
import {
  CHUNK_BYTES,
  chunkCount,
  chunkLength,
  decodeHolder,
  decodeWanter,
  DIGEST_BYTES,
  encodeHolder,
  encodeWanter,
  PART_BYTES,
  type FromHolder,
  type FromWanter,
} from '../../../transport/blobs/frame.ts';

const test = suite('frames of a blob transfer');
const greeting = {
  kind: 'hello',
  protocolMin: 1,
  protocolMax: 2,
  cluster: 'c',
  node: 'n',
} as const;

test('what one side says, the other reads', () => {
  const wanter: FromWanter[] = [
    { ...greeting, blobId: 'b', sha512: 'abc' },
    { kind: 'want', index: 7 },
    { kind: 'want', index: 7, others: [3, 9] },
    { kind: 'seek', index: 7, others: [3, 9] },
    { kind: 'list', first: 1_024 },
    { kind: 'credit', grantedBytes: 2 ** 40 },
  ];
  for (const message of wanter) {
    assert.equal(decodeWanter(encodeWanter(message)), { ok: true, message });
  }
  const holder: FromHolder[] = [
    { ...greeting, sizeBytes: 2 ** 40, chunkBytes: CHUNK_BYTES, offers: 'some' },
    { kind: 'have', first: 32_768, bits: Uint8Array.of(1, 128) },
    { kind: 'list', first: 1_024, digests: Uint8Array.from(randomBytes(64)) },
    { kind: 'elsewhere' },
    { kind: 'listed' },
    { kind: 'waiting' },
    { kind: 'refusal', code: 'image/missing', message: 'not here' },
  ];
  for (const message of holder) {
    assert.equal(decodeHolder(encodeHolder(message)), { ok: true, message });
  }
  const digest = Uint8Array.from(randomBytes(32));
  const chunk = decodeHolder(encodeHolder({ kind: 'chunk', index: 3, digest }));
  assert.equal(chunk, { ok: true, message: { kind: 'chunk', index: 3, digest } });
});

test('fields that a later version appends are ignored', () => {
  assert.equal(decodeWanter(pack([1, 4, 'later'])), {
    ok: true,
    message: { kind: 'want', index: 4 },
  });
});

for (const [what, value] of [
  ['no array', { kind: 1 }],
  ['an unknown kind', [9, 1]],
  ['a negative chunk', [1, -1]],
  ['half a chunk', [1, 0.5]],
  ['a chunk that is no number', [1, 'one']],
  ['credit beyond counting', [2, 2 ** 60]],
  ['hello without a blob', [0, 1, 1, 'c', 'n']],
  ['hello with a number for a name', [0, 1, 1, 'c', 5, 'b', 's']],
] as const) {
  test(`${what} is refused with a reason`, () => {
    assert.is(decodeWanter(pack(value)).ok, false);
  });
}

test('a digest of another length, or none, is refused', () => {
  assert.is(decodeHolder(pack([1, 0, randomBytes(31)])).ok, false);
  assert.is(decodeHolder(pack([1, 0])).ok, false);
});

test('random bytes never throw', () => {
  for (let round = 0; round < 2_000; round++) {
    const bytes = randomBytes(1 + (round % 60));
    decodeWanter(bytes);
    decodeHolder(bytes);
  }
  assert.is(decodeWanter(Buffer.alloc(100_000, 0x91)).ok, false);
});

test('the chunks of a blob have its bytes; the last is shorter', () => {
  const cases = [
    [0, 0, 0],
    [1, 1, 1],
    [CHUNK_BYTES, 1, CHUNK_BYTES],
    [CHUNK_BYTES + 1, 2, 1],
  ] as const;
  for (const [sizeBytes, count, last] of cases) {
    assert.is(chunkCount(sizeBytes), count);
    if (count > 0) assert.is(chunkLength(sizeBytes, count - 1), last);
  }
});

test('the driver cuts replicas as the protocol does', () => {
  assert.is(driver.CHUNK_BYTES, CHUNK_BYTES);
  assert.is(driver.DIGEST_BYTES, DIGEST_BYTES);
  assert.is(CHUNK_BYTES % PART_BYTES, 0);
});

test.run();

// A blob as clients see it: what qemu-img says of it, and when it was used.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob } from '../../../actors/blob/blob.ts';
import type { BlobState } from '../../../actors/blob/state.ts';
import { blobView, sizeText } from '../../../src/api/blobs/blob-view.ts';

const test = suite('blob view');

const CONTENT = {
  sizeBytes: 413_663_232,
  sha512: 'aa',
  sourceSizeBytes: 413_663_232,
  sourceSha256: 'bb',
  sourceFormat: 'qcow2',
  format: 'qcow2',
  mimeType: 'application/octet-stream',
  virtualSizeBytes: 10_737_418_240,
  etag: null,
  lastModified: 'Sat, 26 Oct 2024 13:40:00 GMT',
  facts: {
    sha1: 'cc',
    sha256: 'dd',
    xxh128: 'ee',
    diskBytes: 413_663_232,
    clusterBytes: 2_097_152,
    compat: '1.1',
    compression: 'zlib',
    extendedL2: false,
  },
} as const;
const shown = (change: Partial<BlobState>, nowMs = 9_000) => {
  const known = { phase: 'created', content: CONTENT, sinceMs: 2_000 } as const;
  return blobView(
    { id: 'b', revision: 1, state: { ...blob.initial, ...known, ...change } },
    nowMs,
    null,
  );
};

for (const [bytes, text] of [
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '0.977 KiB'],
  [196_608, '192 KiB'],
  [3_554_041_856, '3.31 GiB'],
  [1_048_575, '1 MiB'],
] as const) {
  test(`${bytes} bytes are ${text}`, () => assert.is(sizeText(bytes), text));
}

test('image details are as qemu-img names them, and the times those of the content', () => {
  const view = shown({ fetchedAtMs: 1_730_000_000_700 });
  assert.is(view['file format'], 'qcow2');
  assert.is(view['virtual size'], 10_737_418_240);
  assert.is(view['disk size'], '395 MiB');
  assert.equal([view['cluster_size'], view['compat']], [2_097_152, 1.1]);
  assert.equal([view['compression type'], view['extended l2']], ['zlib', 'false']);
  assert.equal([view['fetched_at'], view['modified']], [1_730_000_000.7, 1_729_950_000]);
});

test('what is used is last used now; else when somebody ceased to', () => {
  assert.is(shown({ users: ['artifact/a'], usedAtMs: 1_000 })['last_used'], 9);
  assert.is(shown({ usedAtMs: 1_000 })['last_used'], 1);
  assert.is(shown({})['last_used'], null);
});

test('of a blob of an older version only what it takes to use it is known', () => {
  const { facts: _, ...content } = CONTENT;
  assert.is('disk size' in shown({ content }), false);
  assert.is('file format' in shown({ content: null }), false);
});

test.run();

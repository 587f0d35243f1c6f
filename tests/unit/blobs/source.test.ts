// The side that wants a blob, on a clock turned by hand and a wire in memory; the test plays the holder.
import { hash } from 'node:crypto';
import { pack } from 'msgpackr';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CHUNK_BYTES,
  decodeWanter,
  encodeHolder,
  PART_BYTES,
  type FromHolder,
} from '../../../transport/blobs/frame.ts';
import { Source, WINDOW_BYTES, type SourceEnd } from '../../../transport/blobs/source.ts';
import { sampleBytes, wantedOf } from '../../support/blob-lab.ts';
import { ManualClock } from '../../support/kernel.ts';

const test = suite('source of a blob');
const BYTES = sampleBytes(4 * CHUNK_BYTES);
const BLOB = wantedOf(BYTES);

const hello = (changes: object = {}): FromHolder => ({
  kind: 'hello',
  protocolMin: 1,
  protocolMax: 1,
  cluster: 'lab',
  node: 'holder',
  sizeBytes: BLOB.sizeBytes,
  chunkBytes: CHUNK_BYTES,
  offers: 'all',
  ...changes,
});

function begin() {
  const clock = new ManualClock();
  const said: string[] = [];
  const chunks: number[] = [];
  const ends: SourceEnd[] = [];
  let partBytes = 0;
  let grantedBytes = 0;
  const source = new Source({
    self: { cluster: 'lab', node: 'taker' },
    name: 'holder',
    blob: BLOB,
    wire: {
      send: (bytes) => {
        const decoded = decodeWanter(bytes);
        if (!decoded.ok) throw new Error(decoded.reason);
        said.push(decoded.message.kind);
        if (decoded.message.kind === 'credit') grantedBytes = decoded.message.grantedBytes;
      },
      close: (code) => said.push(`close ${code}`),
    },
    clock,
    timing: { greetingMs: 1_000, stallMs: 2_000 },
    onOpen: () => said.push('opened'),
    digestOf: () => null,
    onBegin: () => true,
    onHave: () => true,
    onList: () => true,
    onElsewhere: (index) => said.push(`elsewhere ${index}`),
    onListed: () => said.push('listed'),
    onPart: (_index, _offset, bytes) => (partBytes += bytes.byteLength),
    onChunk: (index) => chunks.push(index),
    onEnd: (end) => ends.push(end),
  });
  const hear = (message: FromHolder) => source.received(encodeHolder(message));
  const announce = (index: number, digest = digestOf(index)) =>
    hear({ kind: 'chunk', index, digest });
  const sendChunk = (index: number) => {
    announce(index);
    for (let at = 0; at < CHUNK_BYTES; at += PART_BYTES) {
      source.received(
        BYTES.subarray(index * CHUNK_BYTES + at, index * CHUNK_BYTES + at + PART_BYTES),
      );
    }
  };
  return {
    clock,
    said,
    chunks,
    ends,
    source,
    hear,
    announce,
    sendChunk,
    partBytes: () => partBytes,
    grantedBytes: () => grantedBytes,
  };
}

function digestOf(index: number): Uint8Array {
  return hash('sha256', BYTES.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES), 'buffer');
}

test('a chunk counts once all its bytes have come and have its digest', () => {
  const { source, said, chunks, ends, hear, sendChunk } = begin();
  hear(hello());
  source.want(2);
  sendChunk(2);
  assert.equal(said.slice(0, 4), ['hello', 'credit', 'opened', 'want']);
  assert.equal([chunks, ends, source.owed], [[2], [], 0]);
});

test('credit never runs more than a window ahead of what was taken in', () => {
  const { source, hear, sendChunk, grantedBytes } = begin();
  hear(hello());
  for (const index of [0, 1, 2, 3]) source.want(index);
  assert.is(grantedBytes(), WINDOW_BYTES);
  for (const index of [0, 1, 2, 3]) {
    sendChunk(index);
    assert.ok(grantedBytes() <= (index + 1) * CHUNK_BYTES + WINDOW_BYTES);
    assert.ok(grantedBytes() > (index + 1) * CHUNK_BYTES, 'it can go on');
  }
});

test('a chunk without its digest ends the link as damaged', () => {
  const { source, chunks, ends, hear, announce } = begin();
  hear(hello());
  source.want(0);
  announce(0, digestOf(1));
  for (let at = 0; at < CHUNK_BYTES; at += PART_BYTES) {
    source.received(BYTES.subarray(at, at + PART_BYTES));
  }
  assert.equal([chunks, ends[0]?.code], [[], 'image/damaged']);
});

test('what another brings by now goes nowhere, also when it is asked for again meanwhile', () => {
  const { source, chunks, hear, announce, sendChunk, partBytes } = begin();
  hear(hello());
  source.want(0);
  announce(0);
  source.received(BYTES.subarray(0, PART_BYTES));
  source.forsake(0);
  source.want(0);
  for (let at = PART_BYTES; at < CHUNK_BYTES; at += PART_BYTES) {
    source.received(BYTES.subarray(at, at + PART_BYTES));
  }
  assert.equal([chunks, partBytes()], [[], PART_BYTES]);
  sendChunk(0);
  assert.equal([chunks, partBytes()], [[0], PART_BYTES + CHUNK_BYTES]);
});

for (const [what, code, act] of [
  ['no hello in time', 'image/unreachable', ({ clock }) => clock.advance(1_000)],
  ['another cluster', 'mesh/foreign-error', ({ hear }) => hear(hello({ cluster: 'x' }))],
  ['a blob of another size', 'image/damaged', ({ hear }) => hear(hello({ sizeBytes: 5 }))],
  ['chunks of another size', 'image/damaged', ({ hear }) => hear(hello({ chunkBytes: 5 }))],
  ['a refusal', 'image/missing', ({ hear }) => hear(refusal('image/missing'))],
  ['a refusal in words of tomorrow', 'mesh/foreign-error', ({ hear }) => hear(refusal('new/word'))],
  ['nonsense', 'mesh/foreign-error', ({ source }) => source.received(pack('what'))],
  ['a second hello', 'mesh/foreign-error', ({ hear }) => (hear(hello()), hear(hello()))],
  [
    'a chunk nobody asked for',
    'mesh/foreign-error',
    ({ hear, announce }) => (hear(hello()), announce(1)),
  ],
  [
    'a wish sent elsewhere that was not sought',
    'mesh/foreign-error',
    ({ source, hear }) => {
      hear(hello({ protocolMax: 3 }));
      source.want(0);
      hear({ kind: 'elsewhere' });
    },
  ],
  [
    'waiting for nothing',
    'mesh/foreign-error',
    ({ hear }) => {
      hear(hello({ protocolMax: 3 }));
      hear({ kind: 'waiting' });
    },
  ],
  [
    'a list that was not asked for',
    'mesh/foreign-error',
    ({ hear }) => {
      hear(hello({ protocolMax: 3 }));
      hear({ kind: 'list', first: 0, digests: new Uint8Array(32) });
    },
  ],
  [
    'more than its credit',
    'mesh/foreign-error',
    ({ source, hear, announce, grantedBytes }) => {
      hear(hello());
      source.want(0);
      announce(0);
      assert.is(grantedBytes(), WINDOW_BYTES);
      for (let at = 0; at < 2 * WINDOW_BYTES; at += 2 * PART_BYTES) {
        source.received(new Uint8Array(2 * PART_BYTES));
      }
    },
  ],
  [
    'an empty part',
    'mesh/foreign-error',
    ({ source, hear, announce }) => {
      hear(hello());
      source.want(0);
      announce(0);
      source.received(new Uint8Array());
    },
  ],
  [
    'a stall before the first byte',
    'image/unreachable',
    ({ clock, source, hear }) => {
      hear(hello());
      source.want(0);
      return clock.advance(2_000);
    },
  ],
  [
    'a stall in the middle of a chunk',
    'image/unreachable',
    ({ clock, source, hear, announce }) => {
      hear(hello());
      source.want(0);
      announce(0);
      source.received(BYTES.subarray(0, PART_BYTES));
      return clock.advance(2_000);
    },
  ],
] as [string, string, (rig: ReturnType<typeof begin>) => unknown][]) {
  test(`${what} ends the link once, with ${code}, and leaves no timer`, async () => {
    const rig = begin();
    await act(rig);
    assert.equal(
      rig.ends.map((end) => end.code),
      [code],
    );
    assert.is(rig.clock.pending, 0);
    rig.source.wireClosed('later');
    assert.is(rig.ends.length, 1);
  });
}

test('what others have just been given is sought elsewhere, and the next that was asked for comes', () => {
  const { source, said, chunks, hear, sendChunk } = begin();
  hear(hello({ protocolMax: 3 }));
  assert.ok(source.isSought);
  source.seek(0, [2]);
  source.want(1);
  hear({ kind: 'elsewhere' });
  assert.equal(said.slice(-3), ['seek', 'want', 'elsewhere 0']);
  sendChunk(1);
  assert.equal([chunks, source.owed], [[1], 0]);
});

test('who has a part can be asked for the list once it says so, if a wrong one would be found out', () => {
  const { source, hear } = begin();
  hear(hello({ protocolMax: 3, offers: 'some' }));
  assert.not(source.canList(true));
  hear({ kind: 'listed' });
  assert.ok(source.canList(true));
  assert.not(source.canList(false));
});

test('one that knows of no seeking is not sought in', () => {
  const { source, hear } = begin();
  hear(hello({ protocolMax: 2 }));
  assert.equal([source.isSwarm, source.isSought], [true, false]);
});

test('who is told that others are served first waits on, and says that it is there', async () => {
  const { clock, source, said, ends, hear, grantedBytes } = begin();
  hear(hello({ protocolMax: 3 }));
  source.want(0);
  const granted = grantedBytes();
  for (let times = 0; times < 5; times++) {
    await clock.advance(1_500);
    hear({ kind: 'waiting' });
  }
  assert.equal([ends, said.at(-1), grantedBytes()], [[], 'credit', granted]);
  await clock.advance(2_000);
  assert.is(ends[0]?.code, 'image/unreachable');
});

test('one that owes nothing may be silent', async () => {
  const { clock, ends, hear } = begin();
  hear(hello());
  await clock.advance(60_000);
  assert.equal(ends, []);
});

function refusal(code: string): FromHolder {
  return { kind: 'refusal', code, message: 'no' };
}

test.run();

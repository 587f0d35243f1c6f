// The side that holds a blob, on a clock turned by hand and a wire in memory.
import { pack } from 'msgpackr';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CHUNK_BYTES,
  decodeHolder,
  encodeWanter,
  MAX_WANTED,
  MAX_WINDOW_BYTES,
  PART_BYTES,
  type FromWanter,
} from '../../../transport/blobs/frame.ts';
import { Serving, SILENCE_MS, type ServingOptions } from '../../../transport/blobs/serving.ts';
import { SendSlots, SLOTS } from '../../../transport/blobs/send-slots.ts';
import { SentCounts } from '../../../transport/blobs/sent-counts.ts';
import { CLOSE, type BlobWire } from '../../../transport/blobs/wire.ts';
import { MemoryHolder, sampleBytes, wantedOf } from '../../support/blob-lab.ts';
import { ManualClock, settle } from '../../support/kernel.ts';

const test = suite('serving a blob');
const BYTES = sampleBytes(3 * CHUNK_BYTES + 5);
const BLOB = wantedOf(BYTES);

/** Keeps what is sent; the socket lets go of it when told. */
class KeptWire implements BlobWire {
  readonly parts: Uint8Array[] = [];
  readonly held: (() => void)[] = [];
  closed: { code: number; reason: string } | null = null;

  send(bytes: Uint8Array, sent: () => void = () => {}): void {
    this.parts.push(Uint8Array.from(bytes));
    this.held.push(sent);
  }

  close(code: number, reason: string): void {
    this.closed = { code, reason };
  }

  /** Bytes of parts: what is no control message. */
  get bulkBytes(): number {
    const bulk = this.parts.filter((bytes) => !decodeHolder(bytes).ok);
    return bulk.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }
}

const hello = (changes: object = {}): FromWanter => ({
  kind: 'hello',
  protocolMin: 1,
  protocolMax: 1,
  cluster: 'lab',
  node: 'taker',
  blobId: BLOB.blobId,
  sha512: BLOB.sha512,
  ...changes,
});

async function begin(changes: Partial<ServingOptions> = {}, ...said: FromWanter[]) {
  const holder = new MemoryHolder();
  holder.blobs.set(BLOB.blobId, BYTES);
  const [wire, clock] = [new KeptWire(), new ManualClock()];
  const serving = new Serving({
    self: { cluster: 'lab', node: 'holder' },
    name: 'taker',
    wire,
    clock,
    holder,
    isWelcome: true,
    counts: new SentCounts(clock),
    slots: { urgent: new SendSlots(SLOTS, clock), usual: new SendSlots(SLOTS, clock) },
    onClosed: () => {},
    ...changes,
  });
  const say = async (...messages: FromWanter[]) => {
    for (const message of messages) serving.received(encodeWanter(message));
    await settle();
  };
  for (const message of said) await say(message);
  return { holder, wire, clock, serving, say };
}

/** The refusal it ended with. */
function refusalOf(wire: KeptWire) {
  const decoded = decodeHolder(wire.parts[0] ?? new Uint8Array());
  return decoded.ok && decoded.message.kind === 'refusal' ? decoded.message.code : null;
}

test('never more is read and sent than there is credit for', async () => {
  const { wire, say } = await begin({}, hello());
  await say({ kind: 'want', index: 0 }, { kind: 'want', index: 1 });
  assert.is(wire.bulkBytes, 0, 'nothing without credit');
  let granted = 0;
  for (const step of [1, PART_BYTES, 3 * PART_BYTES + 17, CHUNK_BYTES]) {
    granted += step;
    await say({ kind: 'credit', grantedBytes: granted });
    assert.is(wire.bulkBytes, granted);
  }
});

test('what is sent are the chunks asked for, in order, each after its digest', async () => {
  const { wire, say } = await begin({}, hello());
  await say({ kind: 'credit', grantedBytes: 8 * CHUNK_BYTES });
  await say({ kind: 'want', index: 3 }, { kind: 'want', index: 1 });
  const kinds = wire.parts.map((bytes) => {
    if (bytes.byteLength > 100 || bytes.byteLength === 5) return 'part';
    const decoded = decodeHolder(bytes);
    return decoded.ok ? decoded.message.kind : 'nonsense';
  });
  assert.equal(kinds.slice(0, 4), ['hello', 'chunk', 'part', 'chunk']);
  assert.equal(Buffer.from(wire.parts[2] ?? []), BYTES.subarray(3 * CHUNK_BYTES));
  const second = Buffer.concat(wire.parts.slice(4));
  assert.ok(second.equals(BYTES.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES)));
});

test('buffers that the socket has let go of are used again', async () => {
  const { wire, say } = await begin({}, hello());
  await say({ kind: 'want', index: 0 }, { kind: 'credit', grantedBytes: PART_BYTES });
  for (const letGo of wire.held) letGo();
  await say({ kind: 'credit', grantedBytes: 2 * PART_BYTES });
  assert.is(wire.bulkBytes, 2 * PART_BYTES);
});

for (const [what, code, changes, said] of [
  ['a blob that is not here', 'image/missing', {}, hello({ blobId: 'other' })],
  ['a path for a blob', 'image/missing', {}, hello({ blobId: '../../etc/passwd' })],
  ['a blob of other content', 'image/damaged', {}, hello({ sha512: 'ff' })],
  ['one transfer too many', 'mesh/overloaded', { isWelcome: false }, hello()],
] as const) {
  test(`${what} is refused with ${code}`, async () => {
    const { wire, holder } = await begin(changes, said);
    assert.is(refusalOf(wire), code);
    assert.is(wire.closed?.code, CLOSE.refused);
    assert.is(holder.openCount, 0, 'no file stays open');
  });
}

for (const [what, ...said] of [
  ['another cluster', hello({ cluster: 'other' })],
  ['another name than the certificate', hello({ node: 'somebody' })],
  ['a protocol that nobody speaks', hello({ protocolMin: 7, protocolMax: 9 })],
  ['a want before hello', { kind: 'want', index: 0 }],
  ['a second hello', hello(), hello()],
  ['a chunk beyond the blob', hello(), { kind: 'want', index: 4 }],
  ['credit that shrinks', hello(), credit(10), credit(9)],
  ['credit without measure', hello(), credit(MAX_WINDOW_BYTES + 1)],
  ['too many wants', hello(), ...wants(MAX_WANTED + 1)],
] as [string, ...FromWanter[]][]) {
  test(`${what} ends the transfer, and no file stays open`, async () => {
    const { wire, holder } = await begin({}, ...said);
    assert.ok(wire.closed !== null);
    assert.is(holder.openCount, 0);
  });
}

test('nonsense ends the transfer', async () => {
  const { wire, serving } = await begin({}, hello());
  serving.received(pack({ what: 'is this' }));
  assert.is(wire.closed?.code, CLOSE.protocol);
});

test('a replica that cannot be read ends the transfer with the reason', async () => {
  const { wire, holder, say } = await begin({}, hello());
  holder.onRead = () => Promise.reject(new Error('EIO: the disk is dying'));
  await say({ kind: 'want', index: 0 }, credit(CHUNK_BYTES));
  assert.match(wire.closed?.reason ?? '', /EIO/);
  assert.is(holder.openCount, 0);
});

test('a peer that says nothing for long is let go', async () => {
  const { wire, clock, holder } = await begin({}, hello());
  await clock.advance(SILENCE_MS);
  assert.is(wire.closed?.code, CLOSE.silent);
  assert.is(holder.openCount, 0);
  assert.is(clock.pending, 0);
});

test('a peer that goes while a part is read gets nothing more, and the file is closed after it', async () => {
  const { wire, holder, serving, say } = await begin({}, hello());
  const reading = Promise.withResolvers<void>();
  holder.onRead = () => reading.promise;
  await say({ kind: 'want', index: 0 }, credit(CHUNK_BYTES));
  serving.wireClosed('gone');
  assert.is(holder.openCount, 1, 'in use');
  reading.resolve();
  await settle();
  assert.is(wire.bulkBytes, 0);
  assert.is(holder.openCount, 0);
});

function credit(grantedBytes: number): FromWanter {
  return { kind: 'credit', grantedBytes };
}

function wants(count: number): FromWanter[] {
  return Array.from({ length: count }, () => ({ kind: 'want', index: 0 }));
}

test.run();

// The side that holds a part of a blob, or gives each chunk to one of many, on a clock turned by hand.
import { hash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CHUNK_BYTES,
  decodeHolder,
  encodeWanter,
  type FromHolder,
  type FromWanter,
} from '../../../transport/blobs/frame.ts';
import { SendSlots, SLOTS } from '../../../transport/blobs/send-slots.ts';
import { SentCounts } from '../../../transport/blobs/sent-counts.ts';
import { Serving } from '../../../transport/blobs/serving.ts';
import { CLOSE } from '../../../transport/blobs/wire.ts';
import { MemoryHolder, sampleBytes, wantedOf } from '../../support/blob-lab.ts';
import { ManualClock, settle } from '../../support/kernel.ts';

const test = suite('serving a part of a blob');
const CHUNKS = 8;
const BYTES = sampleBytes(CHUNKS * CHUNK_BYTES);
const BLOB = wantedOf(BYTES);
const WINDOW = 8 * CHUNK_BYTES;

/** A holder of these chunks, or of all, and what serves from it. */
class Rig {
  readonly clock = new ManualClock();
  readonly holder = new MemoryHolder();
  readonly #counts = new SentCounts(this.clock);
  readonly #slots = {
    urgent: new SendSlots(SLOTS, this.clock),
    usual: new SendSlots(SLOTS, this.clock),
  };

  constructor(part?: readonly number[]) {
    this.holder.blobs.set(BLOB.blobId, BYTES);
    if (part !== undefined) this.holder.parts.set(BLOB.blobId, new Set(part));
  }

  has(index: number): void {
    this.holder.parts.get(BLOB.blobId)?.add(index);
  }

  loses(index: number): void {
    this.holder.parts.get(BLOB.blobId)?.delete(index);
  }

  /** One more that takes from it, as it speaks the protocol. */
  async taker(name: string, protocolMax = 3) {
    const heard: FromHolder[] = [];
    const link: { closed: number | null } = { closed: null };
    const serving = new Serving({
      self: { cluster: 'lab', node: 'holder' },
      name,
      wire: {
        send: (bytes, sent = () => {}) => {
          const decoded = decodeHolder(bytes);
          if (decoded.ok) heard.push(decoded.message);
          sent();
        },
        close: (code) => void (link.closed = code),
      },
      clock: this.clock,
      holder: this.holder,
      isWelcome: true,
      counts: this.#counts,
      slots: this.#slots,
      onClosed: () => {},
    });
    const say = async (...messages: FromWanter[]) => {
      for (const message of messages) serving.received(encodeWanter(message));
      await settle();
    };
    const { blobId, sha512 } = BLOB;
    const greeting = { protocolMin: 1, protocolMax, cluster: 'lab', node: name };
    await say({ kind: 'hello', ...greeting, blobId, sha512 });
    const chunks = () => heard.flatMap((one) => (one.kind === 'chunk' ? [one.index] : []));
    const kinds = () => heard.map(({ kind }) => kind);
    const told = () => heard.flatMap((one) => (one.kind === 'have' ? [...one.bits] : []));
    return { serving, heard, link, say, chunks, kinds, told };
  }
}

const credit = (grantedBytes: number): FromWanter => ({ kind: 'credit', grantedBytes });
const want = (index: number): FromWanter => ({ kind: 'want', index });
const seek = (index: number, ...others: number[]): FromWanter => ({ kind: 'seek', index, others });

test('what is here is told at once, what comes later when it has come, and gaps are not served', async () => {
  const rig = new Rig([1, 5]);
  const { say, told, chunks, link } = await rig.taker('b');
  assert.equal(told(), [0b100010]);
  rig.has(2);
  await rig.clock.advance(1_000);
  assert.equal(told(), [0b100010, 0b100110]);
  await say(credit(WINDOW), want(5), want(2));
  assert.equal(chunks(), [5, 2]);
  await say(want(3));
  assert.is(link.closed, CLOSE.protocol);
});

test('one that has lost a chunk ends the link that wants it, and no other', async () => {
  const rig = new Rig([1, 5]);
  const [b, c] = [await rig.taker('b'), await rig.taker('c')];
  rig.loses(1);
  await b.say(credit(WINDOW), want(1));
  assert.is(b.link.closed, CLOSE.protocol);
  await c.say(credit(WINDOW), want(5));
  assert.equal([c.chunks(), c.link.closed], [[5], null]);
  assert.is(rig.holder.openCount, 1);
});

test('who takes from a part is told of, and who takes from the whole is not', async () => {
  const rig = new Rig([1]);
  await rig.taker('b');
  await rig.taker('old', 1);
  assert.equal(rig.holder.takers, ['b']);
  const whole = new Rig();
  await whole.taker('b');
  assert.equal(whole.holder.takers, []);
});

test('who has a part gives the list once it has it, to who speaks protocol 3', async () => {
  const rig = new Rig([1]);
  const [b, older] = [await rig.taker('b'), await rig.taker('older', 2)];
  assert.not(b.kinds().includes('listed'));
  rig.holder.isListed = true;
  await rig.clock.advance(1_000);
  assert.is(b.kinds().filter((kind) => kind === 'listed').length, 1);
  await b.say({ kind: 'list', first: 0 });
  const list = b.heard.at(-1);
  assert.is(list?.kind === 'list' ? list.digests.length : 0, CHUNKS * 32);
  const first = list?.kind === 'list' ? list.digests.subarray(0, 32) : new Uint8Array();
  assert.equal(Buffer.from(first), hash('sha256', BYTES.subarray(0, CHUNK_BYTES), 'buffer'));
  assert.not(older.kinds().includes('listed'));
  await older.say({ kind: 'list', first: 0 });
  assert.is(older.link.closed, CLOSE.protocol);
});

test('without the list who has a part cannot be asked for it', async () => {
  const { say, link } = await new Rig([1]).taker('b');
  await say({ kind: 'list', first: 0 });
  assert.is(link.closed, CLOSE.protocol);
});

test('many who seek get different chunks, and what all have been given they are sent elsewhere for', async () => {
  const rig = new Rig();
  const takers = await Promise.all(['b', 'c', 'd'].map((name) => rig.taker(name)));
  for (const { say } of takers) await say(credit(WINDOW), seek(0, 1));
  assert.equal(
    takers.map(({ chunks }) => chunks()),
    [[0], [1], []],
  );
  const [, , last] = takers;
  assert.equal(last?.kinds().slice(-2), ['have', 'elsewhere']);
  assert.equal(last?.told(), [0b11]);
  await last?.say(want(0));
  assert.equal(last?.chunks(), [0], 'who insists gets it');
});

test('a chunk that who was given it has not passed on is given again after a while', async () => {
  const rig = new Rig();
  const [b, c] = [await rig.taker('b'), await rig.taker('c')];
  await b.say(credit(WINDOW), seek(0));
  await c.say(credit(WINDOW), seek(0));
  assert.equal(c.chunks(), []);
  await rig.clock.advance(4_000);
  await c.say(seek(0));
  assert.equal(c.chunks(), [0]);
});

test('a chunk whose taker dies in the middle of it goes to the next who seeks it', async () => {
  const rig = new Rig();
  const [b, c] = [await rig.taker('b'), await rig.taker('c')];
  await b.say(credit(CHUNK_BYTES / 2), seek(0));
  assert.equal(b.chunks(), [0]);
  await c.say(credit(WINDOW), seek(0));
  assert.equal(c.chunks(), []);
  b.serving.wireClosed('its plug was pulled');
  await c.say(seek(0));
  assert.equal(c.chunks(), [0]);
});

test('who waits long for others to be served is told so, and no timer stays when it goes', async () => {
  const rig = new Rig();
  // Each was granted half a chunk, and holds its turn for two seconds: four at a time.
  const names = ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
  const busy = await Promise.all(names.map((name) => rig.taker(name)));
  const [last, older] = [await rig.taker('last'), await rig.taker('older', 2)];
  for (const { say } of [...busy, last, older]) await say(credit(CHUNK_BYTES / 2), want(4));
  await rig.clock.advance(2_500);
  assert.equal([busy.at(-1)?.chunks(), last.chunks()], [[4], []]);
  assert.not(last.kinds().includes('waiting'));
  await rig.clock.advance(1_000);
  assert.is(last.kinds().at(-1), 'waiting');
  await rig.clock.advance(1_000);
  assert.equal([last.chunks(), older.chunks()], [[4], [4]]);
  await rig.clock.advance(10_000);
  assert.is(last.kinds().filter((kind) => kind === 'waiting').length, 1);
  assert.not(older.kinds().includes('waiting'));
  for (const { serving } of [...busy, last, older]) serving.wireClosed('gone');
  assert.is(rig.clock.pending, 0);
});

test('those of an older version want and get, whatever others have been given', async () => {
  const rig = new Rig();
  const [b, c] = [await rig.taker('b', 2), await rig.taker('c', 2)];
  for (const { say } of [b, c]) await say(credit(WINDOW), want(0));
  assert.equal([b.chunks(), c.chunks()], [[0], [0]]);
});

test.run();

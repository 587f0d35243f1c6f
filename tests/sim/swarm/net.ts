// Nodes that fetch one blob at once, with the real serving and fetching over wires that have a rate and a delay. The
// bytes that a node keeps are compared with the blob's own, not stored again.
import { createHash, hash } from 'node:crypto';
import { fetchBlob, type ChunkSink, type DialBlob } from '../../../transport/blobs/fetch.ts';
import { CHUNK_BYTES, chunkCount, PART_BYTES } from '../../../transport/blobs/frame.ts';
import { SendSlots, SLOTS } from '../../../transport/blobs/send-slots.ts';
import { SentCounts } from '../../../transport/blobs/sent-counts.ts';
import { Serving, type HeldBlob } from '../../../transport/blobs/serving.ts';
import { MAX_SERVED } from '../../../transport/blobs/socket.ts';
import type { Source } from '../../../transport/blobs/source.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { seededRandom } from '../../support/kernel.ts';
import { VirtualClock } from '../cluster/virtual-clock.ts';

const MIB = 2 ** 20;
const DELAY_MS = 0.5;
const TIMING = { greetingMs: 5_000, stallMs: 10_000, retryDelayMs: 250 };

export interface SwarmOptions {
  readonly seed: number;
  readonly chunks: number;
  /** Of each node's link, each way, MiB/s. */
  readonly rate: number;
  /** The hash of the blob's list of digests is not known. */
  readonly isOld?: boolean;
}

/** How one node's fetch has ended. */
export type Outcome = { readonly tookMs: number } | { readonly failed: unknown };

/** One direction of a link. */
interface Lane {
  readonly from: SwarmNode;
  readonly to: SwarmNode;
  readonly waiting: { readonly takesMs: number; readonly out: () => void }[];
}

interface Link {
  readonly ends: readonly [SwarmNode, SwarmNode];
  close(reason: string): void;
}

export class SwarmNode implements ChunkSink {
  readonly name: string;
  readonly here = new Set<number>();
  readonly digests = new Map<number, Uint8Array>();
  /** Digests of all chunks, once they were listed. */
  list: Uint8Array | null = null;
  counts: SentCounts | null = null;
  /** Tells its fetch of one that takes from it. */
  met: (node: string) => void = () => {};
  slots: { readonly urgent: SendSlots; readonly usual: SendSlots } | null = null;
  readonly abort = new AbortController();
  /** Chunks of which this node has sent the last byte. */
  readonly given = new Set<number>();
  readonly notices: string[] = [];
  isBegun = true;
  isDead = false;
  /** May spoil what it sends. */
  spoil: (part: Uint8Array) => void = () => {};
  sentBytes = 0;
  welcome = 0;
  /** Those that have something to send, the next one first. */
  readonly lanes: Lane[] = [];
  isSending = false;
  downFreeMs = 0;
  outcome: Outcome | null = null;
  onVerified: () => void = () => {};
  onGiven: () => void = () => {};
  readonly #bytes: Buffer;

  constructor(name: string, bytes: Buffer) {
    this.name = name;
    this.#bytes = bytes;
  }

  missing(): readonly number[] {
    const all = Array.from({ length: chunkCount(this.#bytes.length) }, (_, index) => index);
    return all.filter((index) => !this.here.has(index));
  }

  write(): void {}

  verified(index: number, digest: Uint8Array): void {
    if (this.here.has(index)) throw new Error(`${this.name}: chunk ${index} came twice`);
    const right = hashOf(this.#bytes, index);
    if (!right.equals(digest)) throw new Error(`${this.name}: chunk ${index} counts and is wrong`);
    this.here.add(index);
    this.digests.set(index, digest);
    this.onVerified();
  }

  listed(digests: Uint8Array): void {
    this.list = Uint8Array.from(digests);
  }
}

export class Swarm {
  readonly clock = new VirtualClock();
  readonly nodes = new Map<string, SwarmNode>();
  readonly source: SwarmNode;
  readonly bytes: Buffer;
  readonly #sha512: string;
  readonly #chunksSha256: string;
  readonly #options: SwarmOptions;
  readonly #links = new Set<Link>();
  readonly #random: () => number;

  constructor(options: SwarmOptions) {
    this.#options = options;
    const random = seededRandom(options.seed);
    this.#random = () => random.number();
    this.bytes = Buffer.alloc(options.chunks * CHUNK_BYTES);
    for (let at = 0; at < options.chunks; at++) this.bytes.writeUInt32LE(at + 1, at * CHUNK_BYTES);
    this.#sha512 = createHash('sha512').update(this.bytes).digest('hex');
    const digests = Array.from({ length: options.chunks }, (_, at) => hashOf(this.bytes, at));
    this.#chunksSha256 = hash('sha256', Buffer.concat(digests));
    this.source = this.#add('source');
    for (let at = 0; at < options.chunks; at++) {
      this.source.here.add(at);
      this.source.digests.set(at, digests[at] ?? Buffer.alloc(0));
    }
  }

  /** How long the bytes need on one link, ms. */
  get idealMs(): number {
    return (this.bytes.length / MIB / this.#options.rate) * 1_000;
  }

  /** What the source has sent, in copies. */
  get sourceCopies(): number {
    return this.source.sentBytes / this.bytes.length;
  }

  /** Fetches from the source, and other `holders`, knowing of these peers. */
  begin(name: string, peers: readonly string[], holders: readonly string[] = []): SwarmNode {
    const node = this.#add(name);
    const begunMono = this.clock.monoMs();
    const own = seededRandom(Math.floor(this.#random() * 2 ** 31));
    const random = () => own.number();
    const order = peers.map((peer) => ({ peer, at: random() })).toSorted((a, b) => a.at - b.at);
    void fetchBlob({
      self: { cluster: 'sim', node: name },
      blob: {
        blobId: 'blob',
        sizeBytes: this.bytes.length,
        sha512: this.#sha512,
        ...(this.#options.isOld === true ? {} : { chunksSha256: this.#chunksSha256 }),
      },
      nodes: ['source', ...holders],
      meet: (met) => (node.met = met),
      peers: order.map(({ peer }) => peer).filter((peer) => peer !== name),
      random,
      dial: this.#dialler(node),
      sink: node,
      clock: this.clock,
      timing: TIMING,
      signal: node.abort.signal,
      onProgress: () => {},
      onNotice: (text) => void node.notices.push(text),
    }).then(
      () => (node.outcome = { tookMs: this.clock.monoMs() - begunMono }),
      (failed: unknown) => (node.outcome = { failed }),
    );
    return node;
  }

  /** The machine is gone: nothing of it is heard any more. */
  die(node: SwarmNode): void {
    node.isDead = true;
    node.abort.abort();
    for (const link of this.#links) if (link.ends.includes(node)) link.close('the machine is gone');
  }

  #slotsOf(holder: SwarmNode): { readonly urgent: SendSlots; readonly usual: SendSlots } {
    const { clock } = this;
    holder.slots ??= { urgent: new SendSlots(SLOTS, clock), usual: new SendSlots(SLOTS, clock) };
    return holder.slots;
  }

  /** Until all that live have ended, for `mostMs` of the clock. */
  async run(mostMs: number): Promise<void> {
    const isOver = () =>
      [...this.nodes.values()].every((n) => n === this.source || n.isDead || n.outcome);
    for (let ms = 0; ms < mostMs && !isOver(); ms += 50) await this.clock.advance(50);
  }

  #add(name: string): SwarmNode {
    const node = new SwarmNode(name, this.bytes);
    this.nodes.set(name, node);
    return node;
  }

  #open(node: SwarmNode): Promise<HeldBlob> {
    if (!node.isBegun) return Promise.reject(new TroupeError('image/missing', 'it is not here'));
    const { here, digests } = node;
    const isComplete = here.size === this.#options.chunks;
    const partly = {
      get count() {
        return here.size;
      },
      has: (index: number) => here.has(index),
      get isListed() {
        return node.list !== null;
      },
      takenBy: (peer: string) => node.met(peer),
    };
    return Promise.resolve({
      ...(isComplete ? {} : { partly }),
      sizeBytes: this.bytes.length,
      sha512: this.#sha512,
      digestOf: (index: number) =>
        digests.get(index) ?? node.list?.subarray(index * 32, index * 32 + 32) ?? Buffer.alloc(32),
      read: (into: Uint8Array, position: number) => {
        into.set(this.bytes.subarray(position, position + into.length));
        node.spoil(into);
        if ((position + into.length) % CHUNK_BYTES === 0) {
          node.given.add(Math.floor(position / CHUNK_BYTES));
          node.onGiven();
        }
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    });
  }

  #dialler(from: SwarmNode): DialBlob {
    return (name, make, failed) => {
      const timer = this.clock.after(2 * DELAY_MS, () => {
        const to = this.nodes.get(name);
        if (to === undefined || to.isDead) failed('it does not answer');
        else this.#join(from, to, make);
      });
      return () => timer.cancel();
    };
  }

  #join(taker: SwarmNode, holder: SwarmNode, make: Parameters<DialBlob>[1]): void {
    let isClosed = false;
    const close = (reason: string) => {
      if (isClosed) return;
      isClosed = true;
      this.#links.delete(link);
      this.clock.after(DELAY_MS, () => {
        source.wireClosed(reason);
        serving.wireClosed(reason);
      });
    };
    const link: Link = { ends: [taker, holder], close };
    this.#links.add(link);
    const isWelcome = holder.welcome < MAX_SERVED;
    if (isWelcome) holder.welcome++;
    const alive = (act: () => void) => () => void (isClosed || act());
    const down: Lane = { from: holder, to: taker, waiting: [] };
    const up: Lane = { from: taker, to: holder, waiting: [] };
    const serving = new Serving({
      self: { cluster: 'sim', node: holder.name },
      name: taker.name,
      wire: {
        send: (bytes, sent = () => {}) => {
          const copy = Uint8Array.from(bytes);
          const came = alive(() => source.received(copy));
          this.#carry(down, copy, sent, came);
        },
        // What was sent before it arrives before it.
        close: (_code, reason) => {
          const came = () => close(reason);
          this.#carry(down, new Uint8Array(1), () => {}, came);
        },
      },
      clock: this.clock,
      holder: { open: () => this.#open(holder) },
      isWelcome,
      counts: (holder.counts ??= new SentCounts(this.clock)),
      slots: this.#slotsOf(holder),
      onClosed: () => void (isWelcome && holder.welcome--),
    });
    const source: Source = make({
      send: (bytes) => {
        const came = alive(() => serving.received(bytes));
        this.#carry(up, bytes, () => {}, came);
      },
      close: (_code, reason) => close(reason),
    });
  }

  /** Through the sender's link, shared by its lanes message by message, then the receiver's. */
  #carry(lane: Lane, bytes: Uint8Array, sent: () => void, came: () => void): void {
    const { from, to } = lane;
    if (bytes.length > PART_BYTES / 8) from.sentBytes += bytes.length;
    const takesMs = (bytes.length / MIB / this.#options.rate) * 1_000;
    const out = () => {
      sent();
      const now = this.clock.monoMs();
      to.downFreeMs = Math.max(now, to.downFreeMs + takesMs);
      this.clock.after(to.downFreeMs + DELAY_MS - now, came);
    };
    if (lane.waiting.length === 0) from.lanes.push(lane);
    lane.waiting.push({ takesMs, out });
    if (!from.isSending) this.#sendNext(from);
  }

  #sendNext(from: SwarmNode): void {
    const lane = from.lanes.shift();
    const next = lane?.waiting.shift();
    from.isSending = next !== undefined;
    if (lane === undefined || next === undefined) return;
    if (lane.waiting.length > 0) from.lanes.push(lane);
    this.clock.after(next.takesMs, () => {
      next.out();
      this.#sendNext(from);
    });
  }
}

function hashOf(bytes: Buffer, index: number): Buffer {
  const at = index * CHUNK_BYTES;
  return hash('sha256', bytes.subarray(at, at + CHUNK_BYTES), 'buffer');
}

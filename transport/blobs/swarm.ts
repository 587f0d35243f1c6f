// What one who fetches a blob makes of the others that fetch it too: who they are, what each has, what is best had from
// whom. Without any it is at rest.
//
// M1  Nothing is taken from one that has a part before the list of digests is known (digest-list.ts).
// M2  What a peer has, or a holder has given to somebody, is not asked of a holder; of holders that know of it chunks are
//     only sought, so that each leaves about once. When no peer has brought anything for a while all is sought, and one
//     that has had nothing to do for longer is asked for whatever is missing.
import { chunkCount, MAX_CHOICES, type Offers } from './frame.ts';
import type { Choice } from './chunk-plan.ts';
import { DigestList } from './digest-list.ts';
import { PeerQueue } from './peer-queue.ts';
import type { Source, WantedBlob } from './source.ts';
import { SwarmView } from './swarm-view.ts';

/** A holder that has nothing to do for so long may bring what peers have too, ms. */
const IDLE_MS = 10_000;
/** All holders are sought in when no peer has brought a chunk for so long, ms. */
const QUIET_MS = 3_000;
/** So long a peer may be linked to that has nothing, when others wait, ms. */
const ROTATE_MS = 500;
/** All take several chunks' time at least. */
const PATIENCE_CHUNKS = 4;
/** Weight of the last chunk in the mean. */
const WEIGHT = 0.25;
/** So long nothing has to come from anybody before a fetch without a holder ends, in stalls of one. */
const STALLS = 3;

export interface SwarmOptions {
  readonly blob: WantedBlob;
  readonly self: string;
  readonly nodes: readonly string[];
  readonly peers: readonly string[];
  readonly nowMono: number;
  readonly stallMs: number;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/** One that is to be asked for something. */
interface Asked {
  readonly node: string;
  readonly source: Source;
  /** When it last had something to do. */
  readonly busyAtMono: number;
}

export class Swarm {
  readonly list: DigestList;
  readonly #options: SwarmOptions;
  readonly #queue: PeerQueue;
  /** What peers have. */
  readonly #here: SwarmView;
  /** What holders have given to others. */
  readonly #given: SwarmView;
  #isActive: boolean;
  /** When a chunk came last, from anybody and from a peer. */
  #cameAtMono: number;
  #peersCameAtMono: number;
  #rotatedAtMono: number;
  #chunkMs = 0;

  constructor(options: SwarmOptions) {
    const { blob, self, nodes, peers, nowMono } = options;
    const count = chunkCount(blob.sizeBytes);
    this.#options = options;
    this.list = new DigestList(count, blob.chunksSha256 ?? null);
    this.#queue = new PeerQueue(peers, [self, ...nodes]);
    this.#here = new SwarmView(count);
    this.#given = new SwarmView(count);
    this.#isActive = this.#queue.size > 0;
    this.#cameAtMono = this.#peersCameAtMono = this.#rotatedAtMono = nowMono;
  }

  /** There are others. */
  get isActive(): boolean {
    return this.#isActive;
  }

  /**
   * Somebody turned out to fetch it too. True when it is to be linked to before all that wait, of `most` at once: so each of all
   * that are met is as likely to be linked to, and those who begin together do not keep to themselves.
   */
  meet(node: string, nowMono: number, most: number): boolean {
    const isFirst = this.#options.random() * (this.#queue.met + 1) < most;
    if (!this.#queue.add(node, nowMono, isFirst)) return false;
    if (!this.#isActive) this.#peersCameAtMono = nowMono;
    this.#isActive = true;
    return isFirst;
  }

  /** The next peer to link to; null: none at the moment. */
  next(nowMono: number): string | null {
    return this.#queue.next(nowMono);
  }

  /** Whether one that has been idle since then is to make room for another; once in a while. */
  mayRotate(idleSinceMono: number, nowMono: number): boolean {
    const isDue = nowMono - Math.max(idleSinceMono, this.#rotatedAtMono) > ROTATE_MS;
    if (!isDue || !this.#queue.hasNext(nowMono)) return false;
    this.#rotatedAtMono = nowMono;
    return true;
  }

  /** A peer's link has ended; another has its turn. */
  putBack(node: string, nowMono: number): void {
    this.#queue.putBack(node, nowMono);
  }

  /** It has said what it has, or has given away; false: it cannot have. */
  told(node: string, offers: Offers | undefined, first: number, bits: Uint8Array): boolean {
    return (offers === 'some' ? this.#here : this.#given).tell(node, first, bits);
  }

  forget(node: string): void {
    this.#here.forget(node);
    this.#given.forget(node);
  }

  /** A chunk has come that took this long. */
  came(offers: Offers | undefined, nowMono: number, tookMs: number): void {
    this.#cameAtMono = nowMono;
    if (offers === 'some') this.#peersCameAtMono = nowMono;
    this.#chunkMs += (this.#chunkMs === 0 ? 1 : WEIGHT) * (tookMs - this.#chunkMs);
  }

  /** Without a holder: with the list, or who may give it, and while chunks come. */
  mayGoOn(nowMono: number): boolean {
    const quietMs = nowMono - this.#cameAtMono;
    const mayList = this.list.isWhole || this.list.isVerifiable;
    return this.#isActive && mayList && quietMs < STALLS * this.#options.stallMs;
  }

  /** Alone, chunks come in order, so that the whole is hashed while they do; among others, each begins elsewhere. */
  choiceFor(asked: Asked, nowMono: number): Choice | undefined {
    if (!this.#isActive) return undefined;
    const { node, source } = asked;
    const spread = (index: number) => this.#here.spread(index);
    const common = { spread, random: this.#options.random };
    const most = source.isSwarm ? MAX_CHOICES : 1;
    if (source.offers === 'some') {
      return { ...common, most, isOpen: (index) => this.#here.has(node, index) };
    }
    const patienceMs = PATIENCE_CHUNKS * this.#chunkMs;
    const isIdle = source.owed === 0 && nowMono - asked.busyAtMono > Math.max(IDLE_MS, patienceMs);
    const isAlone = nowMono - this.#peersCameAtMono > Math.max(QUIET_MS, patienceMs);
    const isFree = isIdle || isAlone || !this.list.isWhole;
    const isNew = (index: number) => spread(index) === 0 && this.#given.spread(index) === 0;
    const isSeek = source.isSought && !isIdle;
    return { ...common, most, isSeek, isOpen: (index) => isFree || isNew(index) };
  }
}

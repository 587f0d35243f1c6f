// Brings the missing chunks of one blob from several nodes at once.
//
// B1  A node that cannot be reached, breaks off or stalls is dialled again, with pauses, as long as it makes progress in
//     between; MAX_FAILURES in a row end it. One that sends what is damaged or does not keep to the protocol is not
//     asked again. Its chunks go to the others (chunk-plan.ts).
// B2  It ends: with all chunks written and verified, or with the reason of every node, or called off, or when the
//     sink fails (a full disk). No socket or timer is left then.
// B3  Chunks that were verified stay so when it ends early: the next fetch asks only for the rest.
// B4  Those who fetch the same blob (`peers`) are asked for what they have by now, once the list of digests has come from
//     a complete holder; a holder is then asked for what none of them has, and told of several chunks to choose from, so
//     that it sends each about once. No peer is given up for good but one that sent what is damaged or is no protocol.
// B5  When no holder is left the peers may still have all: it goes on as long as chunks come.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError, type ErrorCode } from '../../actors/kernel/errors.ts';
import { ChunkPlan, type Choice } from './chunk-plan.ts';
import { CHUNK_BYTES, chunkCount, MAX_CHOICES } from './frame.ts';
import type { BlobSelf } from './serving.ts';
import type { RateLimit } from './rate-limit.ts';
import { Source, type SourceEnd, type SourceTiming, type WantedBlob } from './source.ts';
import { SwarmView } from './swarm-view.ts';
import { CLOSE, type BlobWire } from './wire.ts';

/** Where the bytes go. What it throws ends the fetch and is what the fetch rejects with. */
export interface ChunkSink {
  /** Chunks that are not here yet, in rising order. */
  missing(): readonly number[];
  /** Bytes of a chunk that is not verified yet. */
  write(position: number, bytes: Uint8Array): void;
  /** All bytes of the chunk have been written, and have this SHA-256. */
  verified(index: number, digest: Uint8Array): void;
}

export interface FetchTiming extends SourceTiming {
  /** Before a node is dialled again; four times as long before each further time. */
  readonly retryDelayMs: number;
}

export const DEFAULT_TIMING: FetchTiming = {
  greetingMs: 5_000,
  stallMs: 10_000,
  retryDelayMs: 250,
};

/** Joins a socket that is being dialled; `failed` is called once when it comes to nothing. */
export type DialBlob = (
  node: string,
  make: (wire: BlobWire) => Source,
  failed: (reason: string) => void,
) => () => void;

export interface FetchOptions {
  readonly self: BlobSelf;
  readonly blob: WantedBlob;
  /** Nodes that are said to hold it. */
  readonly nodes: readonly string[];
  /** Nodes that are fetching it too, or will be. */
  readonly peers?: readonly string[];
  /** From 0 to below 1. */
  readonly random?: () => number;
  readonly dial: DialBlob;
  readonly sink: ChunkSink;
  readonly clock: Clock;
  readonly timing: FetchTiming;
  /** On what is taken in. */
  readonly rate?: RateLimit;
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  /** Something worth a log line: a node broke off, was dropped. */
  readonly onNotice: (text: string) => void;
}

/** Chunks that a node is asked for at once, so that it never waits for the next request. */
const DEPTH = 2;
const MAX_FAILURES = 3;
/** More make nothing quicker. */
const MAX_NODES = 4;
/** Peers that are linked to at once. */
const MAX_PEERS = 8;
/** Before a peer that broke off, or has nothing yet, is dialled again. */
const PEER_REST_MS = 1_000;
/** So long nothing has to come from anybody before a fetch without a holder ends, in stalls of one. */
const PEER_PATIENCE = 3;
/** A holder that has nothing to do for so long may bring what peers have too, ms. */
const IDLE_MS = 10_000;
/** So may all holders when no peer has brought a chunk for so long, ms. */
const PEERS_QUIET_MS = 3_000;
/** How often idle nodes look for what others are late with. */
const TICK_MS = 100;

/** What is known of one node during the fetch. */
interface Feeder {
  readonly node: string;
  /** It fetches the blob too. */
  readonly isPeer: boolean;
  source: Source | null;
  /** In a row, without a chunk in between. */
  failures: number;
  /** When it was last given something to bring. */
  givenAtMono: number;
  /** Ends what it is in: dialling, or a pause. */
  giveUp: () => void;
}

/**
 * Resolves when every chunk has been verified by the sink. Errors: `image/unreachable` (no node left; trying again goes
 * on from there), `image/missing` (none of them has it), `image/damaged`, `actor/stopped`, and what the sink throws.
 */
export function fetchBlob(options: FetchOptions): Promise<void> {
  return new Fetch(options).ended;
}

class Fetch {
  readonly ended: Promise<void>;
  readonly #options: FetchOptions;
  readonly #plan: ChunkPlan;
  readonly #outcome = Promise.withResolvers<void>();
  readonly #feeders = new Map<string, Feeder>();
  /** Nodes to begin with when one is dropped. */
  readonly #spare: string[];
  /** Peers to link to, and from when on. */
  readonly #resting: { readonly node: string; readonly fromMono: number }[];
  readonly #view: SwarmView;
  /** Who was asked for the list of digests last. */
  #lister: Feeder | null = null;
  #cameAtMono: number;
  #peersCameAtMono: number;
  /** What holders have given to others. */
  readonly #given: SwarmView;
  readonly #dropped: { readonly node: string; readonly end: SourceEnd }[] = [];
  readonly #onAbort = () =>
    this.#finish(new TroupeError('actor/stopped', 'the work was called off'));
  readonly #isSwarm: boolean;
  #isEnded = false;
  #tick: Timer | null = null;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.ended = this.#outcome.promise;
    this.#plan = new ChunkPlan(options.sink.missing());
    this.#spare = [...new Set(options.nodes)];
    const peers = new Set((options.peers ?? []).filter((node) => !options.nodes.includes(node)));
    this.#resting = [...peers].map((node) => ({ node, fromMono: 0 }));
    this.#isSwarm = peers.size > 0;
    this.#view = new SwarmView(chunkCount(options.blob.sizeBytes));
    this.#given = new SwarmView(chunkCount(options.blob.sizeBytes));
    this.#cameAtMono = options.clock.monoMs();
    this.#peersCameAtMono = this.#cameAtMono;
    options.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal.aborted) this.#onAbort();
    else if (this.#plan.isComplete) this.#finish(null);
    else this.#begin();
  }

  #begin(): void {
    this.#look();
    this.#recruit();
  }

  /** More nodes only where there is a chunk for each. */
  #recruit(): void {
    const wanted = Math.min(MAX_NODES, this.#plan.left);
    while (!this.#isEnded && this.#holders < wanted) {
      const node = this.#spare.shift();
      if (node === undefined) break;
      this.#enlist(node, false);
    }
    this.#recruitPeers();
    if (this.#holders === 0 && !this.#isEnded && !this.#mayGoOn) this.#finish(this.#nobodyLeft());
  }

  #recruitPeers(): void {
    const now = this.#options.clock.monoMs();
    while (!this.#isEnded && this.#feeders.size - this.#holders < MAX_PEERS) {
      const at = this.#resting.findIndex(({ fromMono }) => fromMono <= now);
      const [next] = at < 0 ? [] : this.#resting.splice(at, 1);
      if (next === undefined) return;
      this.#enlist(next.node, true);
    }
  }

  #enlist(node: string, isPeer: boolean): void {
    const givenAtMono = this.#options.clock.monoMs();
    const feeder = { node, isPeer, source: null, failures: 0, givenAtMono, giveUp: ignore };
    this.#feeders.set(node, feeder);
    this.#dial(feeder);
  }

  get #holders(): number {
    return [...this.#feeders.values()].filter(({ isPeer }) => !isPeer).length;
  }

  /** Without a holder: with the list, and while chunks come (B5). */
  get #mayGoOn(): boolean {
    const { clock, timing } = this.#options;
    const quietMs = clock.monoMs() - this.#cameAtMono;
    return this.#isSwarm && this.#isListed && quietMs < PEER_PATIENCE * timing.stallMs;
  }

  get #isListed(): boolean {
    return this.#view.nextListed === null;
  }

  #dial(feeder: Feeder): void {
    const failed = (reason: string) => this.#lost(feeder, { code: 'image/unreachable', reason });
    const make = (wire: BlobWire) => {
      feeder.giveUp = ignore;
      return (feeder.source = this.#source(feeder, wire));
    };
    feeder.giveUp = this.#options.dial(feeder.node, make, failed);
  }

  #source(feeder: Feeder, wire: BlobWire): Source {
    const { self, blob, clock, timing, rate } = this.#options;
    return new Source({
      ...(rate === undefined ? {} : { rate }),
      self,
      name: feeder.node,
      blob,
      wire,
      clock,
      timing,
      onOpen: () => this.#opened(feeder),
      digestOf: (index) => this.#view.digestOf(index),
      onBegin: (index) => this.#plan.begun(feeder.node, index),
      onHave: (first, bits) => {
        const view = feeder.source?.offers === 'some' ? this.#view : this.#given;
        const isGood = view.tell(feeder.node, first, bits);
        if (isGood) this.#feed(feeder);
        return isGood;
      },
      onList: (first, digests) => this.#listed(feeder, first, digests),
      onPart: (index, offset, bytes) => this.#write(index * CHUNK_BYTES + offset, bytes),
      onChunk: (index, digest) => this.#came(feeder, index, digest),
      onEnd: (end) => this.#lost(feeder, end),
    });
  }

  #opened(feeder: Feeder): void {
    this.#askList();
    this.#letGoIfCrowded(feeder);
    this.#feed(feeder);
  }

  /** Only who has the whole blob, and only one of them, is asked. */
  #askList(): void {
    const { nextListed } = this.#view;
    if (!this.#isSwarm || nextListed === null || this.#lister !== null) return;
    const isGood = ({ source }: Feeder) =>
      source?.isOpen === true && source.isSwarm && source.offers !== 'some';
    const lister = [...this.#feeders.values()].find(isGood) ?? null;
    this.#lister = lister;
    lister?.source?.askList(nextListed);
  }

  #listed(feeder: Feeder, first: number, digests: Uint8Array): boolean {
    if (feeder !== this.#lister || !this.#view.list(first, digests)) return false;
    this.#lister = null;
    this.#askList();
    if (this.#isListed) {
      for (const other of this.#feeders.values()) this.#letGoIfCrowded(other);
      this.#feedAll();
    }
    return true;
  }

  /** One that serves too many others gives the list and nothing else. */
  #letGoIfCrowded({ source }: Feeder): void {
    if (source?.isOpen !== true || source.offers !== 'list') return;
    if (this.#isSwarm && !this.#isListed) return;
    source.end(CLOSE.done, { code: 'mesh/overloaded', reason: 'too many transfers are under way' });
  }

  #feedAll(): void {
    for (const feeder of this.#feeders.values()) this.#feed(feeder);
  }

  #feed(feeder: Feeder): void {
    const { source, node } = feeder;
    if (source?.offers === 'list' || (source?.offers === 'some' && !this.#isListed)) return;
    // Each of many who ask one holder gets a whole chunk sooner, and can pass it on.
    const depth = this.#isSwarm && source?.offers === 'all' ? 1 : DEPTH;
    while (source?.isOpen && source.owed < depth) {
      const now = this.#options.clock.monoMs();
      const given = this.#plan.take(node, now, this.#choiceFor(feeder, source, now));
      if (given === null) return;
      const { index, others, takenFrom } = given;
      feeder.givenAtMono = now;
      if (takenFrom !== null) this.#feeders.get(takenFrom)?.source?.forsake(index);
      source.want(index, others);
    }
  }

  /** Alone, chunks come in order, so that the whole is hashed while they do; among others, each begins elsewhere. */
  #choiceFor({ node, givenAtMono }: Feeder, source: Source, now: number): Choice | undefined {
    if (!this.#isSwarm) return undefined;
    const view = this.#view;
    const isIdle = source.owed === 0 && now - givenAtMono > IDLE_MS;
    const isAlone = now - this.#peersCameAtMono > PEERS_QUIET_MS;
    const isFree = isIdle || isAlone || !this.#isListed;
    const isOpen =
      source.offers === 'some'
        ? (index: number) => view.has(node, index)
        : (index: number) =>
            isFree || (view.spread(index) === 0 && this.#given.spread(index) === 0);
    const most = source.isSwarm ? MAX_CHOICES : 1;
    const random = this.#options.random ?? Math.random;
    return { isOpen, spread: (index) => view.spread(index), most, random };
  }

  #write(position: number, bytes: Uint8Array): void {
    if (!this.#isEnded) this.#guard(() => this.#options.sink.write(position, bytes));
  }

  #came(feeder: Feeder, index: number, digest: Uint8Array): void {
    if (this.#isEnded) return;
    const { clock, sink } = this.#options;
    feeder.failures = 0;
    this.#cameAtMono = clock.monoMs();
    if (feeder.source?.offers === 'some') this.#peersCameAtMono = this.#cameAtMono;
    if (this.#plan.came(feeder.node, index, clock.monoMs())) {
      if (!this.#guard(() => sink.verified(index, digest))) return;
      this.#progress();
    }
    if (this.#plan.isComplete) return this.#finish(null);
    this.#feed(feeder);
  }

  /** The sink's failure is the fetch's. */
  #guard(act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      this.#finish(error);
      return false;
    }
  }

  #progress(): void {
    const { onProgress, blob } = this.#options;
    const leftBytes = this.#plan.left * CHUNK_BYTES;
    onProgress(Math.max(0, blob.sizeBytes - leftBytes), blob.sizeBytes);
  }

  /** A source has ended, or a dialling has come to nothing. */
  #lost(feeder: Feeder, end: SourceEnd): void {
    if (this.#isEnded) return;
    const { node } = feeder;
    const { onNotice, timing } = this.#options;
    feeder.source = null;
    this.#plan.drop(node);
    this.#view.forget(node);
    this.#given.forget(node);
    if (this.#lister === feeder) this.#lister = null;
    if (feeder.isPeer) this.#rest(feeder, end);
    else if (this.#isSwarm && end.code === 'mesh/overloaded') this.#dialLater(feeder, PEER_REST_MS);
    else {
      feeder.failures++;
      const isHopeless = !AGAIN.has(end.code) || feeder.failures >= MAX_FAILURES;
      onNotice(`${node}: ${end.reason}${isHopeless ? '; not asked again' : ''}`);
      if (isHopeless) {
        this.#feeders.delete(node);
        this.#dropped.push({ node, end });
      } else this.#dialLater(feeder, timing.retryDelayMs * 4 ** (feeder.failures - 1));
    }
    this.#askList();
    this.#recruit();
    this.#feedAll();
  }

  #dialLater(feeder: Feeder, delayMs: number): void {
    const timer = this.#options.clock.after(delayMs, () => this.#dial(feeder));
    feeder.giveUp = () => timer.cancel();
  }

  /** Another peer has its turn; this one may have more by then. */
  #rest({ node }: Feeder, end: SourceEnd): void {
    const { clock, onNotice } = this.#options;
    this.#feeders.delete(node);
    if (end.code === 'image/damaged' || end.code === 'mesh/foreign-error') {
      onNotice(`${node}: ${end.reason}; not asked again`);
      this.#dropped.push({ node, end });
    } else this.#resting.push({ node, fromMono: clock.monoMs() + PEER_REST_MS });
  }

  #look(): void {
    this.#tick = this.#options.clock.after(TICK_MS, () => {
      this.#recruit();
      this.#feedAll();
      if (!this.#isEnded) this.#look();
    });
  }

  #nobodyLeft(): TroupeError {
    const { blob } = this.#options;
    const codes = this.#dropped.map(({ end }) => end.code);
    const why = this.#dropped.map(({ node, end }) => `${node}: ${end.reason}`).join('; ');
    const text = `blob ${blob.blobId} could not be fetched from its holders; ${why || 'there are none'}`;
    return new TroupeError(verdictOf(codes), text, { chunksLeft: this.#plan.left });
  }

  /** Null: all is here. */
  #finish(error: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#tick?.cancel();
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    for (const { source, giveUp } of this.#feeders.values()) {
      giveUp();
      source?.end(CLOSE.done, { code: 'actor/stopped', reason: 'done' });
    }
    if (error === null) this.#outcome.resolve();
    else this.#outcome.reject(error);
  }
}

/** What may be otherwise the next time. */
const AGAIN: ReadonlySet<ErrorCode> = new Set(['image/unreachable', 'mesh/overloaded']);

/** Unreachable if only one of them is: that one may have it when it is back. */
function verdictOf(codes: readonly ErrorCode[]): ErrorCode {
  if (codes.length === 0) return 'image/missing';
  if (codes.some((code) => AGAIN.has(code))) return 'image/unreachable';
  if (codes.every((code) => code === 'image/missing')) return 'image/missing';
  return codes.includes('image/damaged') ? 'image/damaged' : 'image/unreachable';
}

function ignore(): void {}

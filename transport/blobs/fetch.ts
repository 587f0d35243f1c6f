// Brings the missing chunks of one blob from several nodes at once.
//
// B1  A node that cannot be reached, breaks off or stalls is dialled again, with pauses, as long as it makes progress in
//     between; MAX_FAILURES in a row end it. One that sends what is damaged or does not keep to the protocol is not
//     asked again. Its chunks go to the others (chunk-plan.ts).
// B2  It ends: with all chunks written and verified, or with the reason of every node, or called off, or when the
//     sink fails (a full disk). No socket or timer is left then.
// B3  Chunks that were verified stay so when it ends early: the next fetch asks only for the rest.
// B4  Those who fetch the same blob (`peers`, and who turns out to later) are asked for what they have by now, and a holder
//     for what none of them has (swarm.ts). No peer is given up for good but one that sent what is damaged or is no
//     protocol.
// B5  When no holder is left the peers may still have all: it goes on as long as chunks come.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { ChunkPlan } from './chunk-plan.ts';
import { Feeders, MAX_PEERS, type Feeder } from './feeders.ts';
import { mayBeOtherwise, nobodyLeft, type Dropped } from './fetch-failure.ts';
import { CHUNK_BYTES } from './frame.ts';
import type { BlobSelf } from './serving.ts';
import type { RateLimit } from './rate-limit.ts';
import { Source, type SourceEnd, type SourceTiming, type WantedBlob } from './source.ts';
import { Swarm } from './swarm.ts';
import { CLOSE, type BlobWire } from './wire.ts';

/** Where the bytes go. What it throws ends the fetch and is what the fetch rejects with. */
export interface ChunkSink {
  /** Chunks that are not here yet, in rising order. */
  missing(): readonly number[];
  /** Bytes of a chunk that is not verified yet. */
  write(position: number, bytes: Uint8Array): void;
  /** All bytes of the chunk have been written, and have this SHA-256. */
  verified(index: number, digest: Uint8Array): void;
  /** The digests of all chunks, one after the other, once they are known to be right: they may be handed on. */
  listed?(digests: Uint8Array): void;
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
  /** Called once, with what is to be told of nodes that turn out to fetch it too. */
  readonly meet?: (met: (node: string) => void) => void;
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
/** Before a holder that serves too many others is dialled again. */
const CROWD_MS = 1_000;
/** How often idle nodes look for what others are late with. */
const TICK_MS = 100;

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
  readonly #feeders = new Feeders();
  /** Nodes to begin with when one is dropped. */
  readonly #spare: string[];
  readonly #swarm: Swarm;
  /** Who was asked for the list of digests last. */
  #lister: Feeder | null = null;
  readonly #dropped: Dropped[] = [];
  readonly #onAbort = () =>
    this.#finish(new TroupeError('actor/stopped', 'the work was called off'));
  #isEnded = false;
  #tick: Timer | null = null;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.ended = this.#outcome.promise;
    this.#plan = new ChunkPlan(options.sink.missing());
    this.#spare = [...new Set(options.nodes)];
    const { self, blob, nodes, peers = [], random = Math.random } = options;
    const { stallMs } = options.timing;
    const nowMono = options.clock.monoMs();
    this.#swarm = new Swarm({ blob, self: self.node, nodes, peers, nowMono, stallMs, random });
    options.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal.aborted) this.#onAbort();
    else if (this.#plan.isComplete) this.#finish(null);
    else this.#begin();
  }

  #begin(): void {
    this.#options.meet?.((node) => this.#meet(node));
    this.#look();
    this.#recruit();
  }

  #meet(node: string): void {
    if (this.#isEnded) return;
    const isFirst = this.#swarm.meet(node, this.#now, MAX_PEERS);
    if (isFirst && this.#feeders.isFull) {
      this.#feeders.dismissAny(this.#options.random ?? Math.random);
    }
    this.#askList();
    this.#recruitPeers();
  }

  get #now(): number {
    return this.#options.clock.monoMs();
  }

  /** More nodes only where there is a chunk for each. */
  #recruit(): void {
    const wanted = Math.min(MAX_NODES, this.#plan.left);
    while (!this.#isEnded && this.#feeders.holders < wanted) {
      const node = this.#spare.shift();
      if (node === undefined) break;
      this.#enlist(node, false);
    }
    this.#recruitPeers();
    if (this.#feeders.holders > 0 || this.#isEnded || this.#swarm.mayGoOn(this.#now)) return;
    this.#finish(nobodyLeft(this.#options.blob.blobId, this.#dropped, this.#plan.left));
  }

  #recruitPeers(): void {
    while (!this.#isEnded && !this.#feeders.isFull) {
      const next = this.#swarm.next(this.#now);
      if (next === null) return;
      this.#enlist(next, true);
    }
  }

  #enlist(node: string, isPeer: boolean): void {
    this.#dial(this.#feeders.add(node, isPeer, this.#now));
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
      digestOf: (index) => this.#swarm.list.digestOf(index),
      onBegin: (index) => this.#plan.begun(feeder.node, index),
      onHave: (first, bits) => {
        const isGood = this.#swarm.told(feeder.node, feeder.source?.offers, first, bits);
        if (isGood) this.#feed(feeder);
        return isGood;
      },
      onElsewhere: (index) => this.#plan.refused(feeder.node, index),
      onListed: () => this.#askList(),
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

  /** Only one is asked: who has the whole blob, or anybody who has the list if a wrong one would be found out. */
  #askList(): void {
    const { list, isActive } = this.#swarm;
    if (!isActive || list.isWhole || this.#lister !== null) return;
    const canList = ({ source }: Feeder) => source?.canList(list.isVerifiable) === true;
    this.#lister = this.#feeders.all.find(canList) ?? null;
    if (list.next !== null) this.#lister?.source?.askList(list.next);
  }

  #listed(feeder: Feeder, first: number, digests: Uint8Array): boolean {
    const { list } = this.#swarm;
    if (feeder !== this.#lister || !list.add(first, digests)) return false;
    if (list.next !== null) feeder.source?.askList(list.next);
    else this.#lister = null;
    if (!list.isWhole) return true;
    if (list.isVerifiable) this.#guard(() => this.#options.sink.listed?.(list.bytes));
    for (const other of this.#feeders.all) this.#letGoIfCrowded(other);
    this.#feedAll();
    return true;
  }

  /** One that serves too many others gives the list and nothing else. */
  #letGoIfCrowded({ source }: Feeder): void {
    if (source?.isOpen !== true || source.offers !== 'list') return;
    if (this.#swarm.isActive && !this.#swarm.list.isWhole) return;
    source.end(CLOSE.done, { code: 'mesh/overloaded', reason: 'too many transfers are under way' });
  }

  #feedAll(): void {
    for (const feeder of this.#feeders.all) this.#feed(feeder);
  }

  #feed(feeder: Feeder): void {
    const { source, node } = feeder;
    if (source?.offers === 'list' || feeder.isDismissed || !this.#mayFeed(feeder)) return;
    // Each of many who ask one holder gets a whole chunk sooner, and can pass it on.
    const depth = this.#swarm.isActive && source?.offers === 'all' ? 1 : DEPTH;
    while (source?.isOpen && source.owed < depth) {
      const { busyAtMono } = feeder;
      const choice = this.#swarm.choiceFor({ node, source, busyAtMono }, this.#now);
      const given = this.#plan.take(node, this.#now, choice);
      if (given === null) return;
      const { index, others, takenFrom } = given;
      if (takenFrom !== null) this.#feeders.get(takenFrom)?.source?.forsake(index);
      feeder.askedAtMono = this.#now;
      if (choice?.isSeek === true) return source.seek(index, others);
      feeder.busyAtMono = this.#now;
      source.want(index, others);
    }
  }

  /** Not from who has a part before the list is here (M1); and nobody is asked for what a peer may have. */
  #mayFeed({ source }: Feeder): boolean {
    const { list, isActive } = this.#swarm;
    if (list.isWhole) return true;
    return source?.offers !== 'some' && (!isActive || this.#lister === null);
  }

  #write(position: number, bytes: Uint8Array): void {
    if (!this.#isEnded) this.#guard(() => this.#options.sink.write(position, bytes));
  }

  #came(feeder: Feeder, index: number, digest: Uint8Array): void {
    if (this.#isEnded) return;
    const { sink } = this.#options;
    const nowMono = this.#now;
    feeder.failures = 0;
    this.#swarm.came(feeder.source?.offers, nowMono, nowMono - feeder.askedAtMono);
    feeder.busyAtMono = nowMono;
    if (this.#plan.came(feeder.node, index, nowMono)) {
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
    this.#swarm.forget(node);
    if (this.#lister === feeder) {
      this.#lister = null;
      this.#swarm.list.restart();
    }
    if (feeder.isPeer) this.#rest(feeder, end);
    else if (this.#swarm.isActive && end.code === 'mesh/overloaded') {
      this.#dialLater(feeder, CROWD_MS);
    } else {
      feeder.failures++;
      const isHopeless = !mayBeOtherwise(end) || feeder.failures >= MAX_FAILURES;
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
    const { onNotice } = this.#options;
    this.#feeders.delete(node);
    if (end.code === 'image/damaged' || end.code === 'mesh/foreign-error') {
      onNotice(`${node}: ${end.reason}; not asked again`);
      this.#dropped.push({ node, end });
    } else this.#swarm.putBack(node, this.#now);
  }

  #look(): void {
    this.#tick = this.#options.clock.after(TICK_MS, () => {
      this.#feeders.rotate((sinceMono) => this.#swarm.mayRotate(sinceMono, this.#now));
      this.#recruit();
      this.#feedAll();
      if (!this.#isEnded) this.#look();
    });
  }

  /** Null: all is here. */
  #finish(error: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#tick?.cancel();
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    for (const { source, giveUp } of this.#feeders.all) {
      giveUp();
      source?.end(CLOSE.done, { code: 'actor/stopped', reason: 'done' });
    }
    if (error === null) this.#outcome.resolve();
    else this.#outcome.reject(error);
  }
}

function ignore(): void {}

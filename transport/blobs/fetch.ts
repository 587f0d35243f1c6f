// Brings the missing chunks of one blob from several nodes at once.
//
// B1  A node that cannot be reached, breaks off or stalls is dialled again, with pauses, as long as it makes progress in
//     between; MAX_FAILURES in a row end it. One that sends what is damaged or does not keep to the protocol is not
//     asked again. Its chunks go to the others (chunk-plan.ts).
// B2  It ends: with all chunks written and verified, or with the reason of every node, or called off, or when the
//     sink fails (a full disk). No socket or timer is left then.
// B3  Chunks that were verified stay so when it ends early: the next fetch asks only for the rest.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError, type ErrorCode } from '../../actors/kernel/errors.ts';
import { ChunkPlan } from './chunk-plan.ts';
import { CHUNK_BYTES } from './frame.ts';
import type { BlobSelf } from './serving.ts';
import type { RateLimit } from './rate-limit.ts';
import { Source, type SourceEnd, type SourceTiming, type WantedBlob } from './source.ts';
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
/** How often idle nodes look for what others are late with. */
const TICK_MS = 100;

/** What is known of one node during the fetch. */
interface Feeder {
  readonly node: string;
  source: Source | null;
  /** In a row, without a chunk in between. */
  failures: number;
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
  readonly #dropped: { readonly node: string; readonly end: SourceEnd }[] = [];
  readonly #onAbort = () =>
    this.#finish(new TroupeError('actor/stopped', 'the work was called off'));
  #isEnded = false;
  #tick: Timer | null = null;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.ended = this.#outcome.promise;
    this.#plan = new ChunkPlan(options.sink.missing());
    this.#spare = [...new Set(options.nodes)];
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
    while (!this.#isEnded && this.#feeders.size < wanted) {
      const node = this.#spare.shift();
      if (node === undefined) break;
      const feeder = { node, source: null, failures: 0, giveUp: ignore };
      this.#feeders.set(node, feeder);
      this.#dial(feeder);
    }
    if (this.#feeders.size === 0 && !this.#isEnded) this.#finish(this.#nobodyLeft());
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
      onOpen: () => this.#feed(feeder),
      onPart: (index, offset, bytes) => this.#write(index * CHUNK_BYTES + offset, bytes),
      onChunk: (index, digest) => this.#came(feeder, index, digest),
      onEnd: (end) => this.#lost(feeder, end),
    });
  }

  #feed(feeder: Feeder): void {
    const { source, node } = feeder;
    while (source?.isOpen && source.owed < DEPTH) {
      const given = this.#plan.take(node, this.#options.clock.monoMs());
      if (given === null) return;
      const { index, takenFrom } = given;
      if (takenFrom !== null) this.#feeders.get(takenFrom)?.source?.forsake(index);
      source.want(index);
    }
  }

  #write(position: number, bytes: Uint8Array): void {
    if (!this.#isEnded) this.#guard(() => this.#options.sink.write(position, bytes));
  }

  #came(feeder: Feeder, index: number, digest: Uint8Array): void {
    if (this.#isEnded) return;
    const { clock, sink } = this.#options;
    feeder.failures = 0;
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
    const { onNotice, clock, timing } = this.#options;
    feeder.source = null;
    this.#plan.drop(node);
    feeder.failures++;
    const isHopeless = !AGAIN.has(end.code) || feeder.failures >= MAX_FAILURES;
    onNotice(`${node}: ${end.reason}${isHopeless ? '; not asked again' : ''}`);
    if (isHopeless) {
      this.#feeders.delete(node);
      this.#dropped.push({ node, end });
    } else {
      const delayMs = timing.retryDelayMs * 4 ** (feeder.failures - 1);
      const timer = clock.after(delayMs, () => this.#dial(feeder));
      feeder.giveUp = () => timer.cancel();
    }
    this.#recruit();
    for (const other of this.#feeders.values()) this.#feed(other);
  }

  #look(): void {
    this.#tick = this.#options.clock.after(TICK_MS, () => {
      for (const feeder of this.#feeders.values()) this.#feed(feeder);
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

// A watch that survives its link: it keeps its own cursor and opens stream after stream. Both stores
// use it; a stream is whatever the store can open, and may lose, repeat or break off at any point.
//
// W1  The cursor is the revision of the last change *delivered*, or one that the server named in a
//     progress report; never the store's revision as told when a stream opens or sends a batch (etcd
//     sends a backlog in pieces, and what follows the first piece would be lost).
// W2  A stream is opened at the cursor itself, and what we have seen is dropped. Opening one later
//     would miss the deletions of exactly the revision that the store was compacted at: etcd drops
//     them and refuses only what is older (etcd issue 18089).
// W3  Compacted history, or a store that is another or went back (restored from a backup), ends the
//     watch with store/compacted. It is never passed over.
// W4  A stream that has not opened by its deadline is given up; a broken one is opened again with
//     back-off, for ever, until close().
// W5  An observer that throws ends its own watch with what it threw, and nothing else.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import { backoff, type Backoff } from './backoff.ts';
import type { Change, Watch, WatchObserver, WatchRequest } from './store.ts';

/** What a stream tells. After `refused` or `broken` it tells nothing more. */
export interface StreamEvents {
  /** The server took the watch; `revision` is the store's, `cluster` names the store. */
  opened(revision: number, cluster: string): void;
  /** Changes in order. Not `complete`: the rest of the last revision is in the next batch. */
  batch(changes: readonly Change[], complete: boolean): void;
  /** Nothing up to `revision` is outstanding. */
  progress(revision: number): void;
  /** The server will never serve this watch. */
  refused(error: TroupeError): void;
  broken(error: unknown): void;
}

export interface WatchStream {
  close(): Promise<void>;
}

export interface WatchSource {
  /** Opens a stream of the changes under `prefix` from `startRevision` on. Reports through `events` only, never in the same turn. */
  open(prefix: string, startRevision: number, events: StreamEvents): WatchStream;
  /** The store's revision by a linearizable read. */
  currentRevision(): Promise<number>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly openTimeoutMs: number;
}

export class ResumingWatch implements Watch {
  readonly #source: WatchSource;
  readonly #prefix: string;
  readonly #observer: WatchObserver;
  readonly #onEnd: () => void;
  readonly #backoff: Backoff;
  #cursor: number;
  #cluster: string | undefined;
  #isOver = false;
  #isUp: boolean | undefined;
  #pending: Change[] = [];
  #stream: WatchStream | undefined;
  /** Events of streams before the current one are ignored. */
  #attempt = 0;
  #timer: Timer | undefined;

  constructor(
    source: WatchSource,
    request: WatchRequest,
    observer: WatchObserver,
    onEnd: () => void,
  ) {
    this.#source = source;
    this.#prefix = request.prefix;
    this.#cursor = Math.max(0, request.fromRevision - 1);
    this.#observer = observer;
    this.#onEnd = onEnd;
    this.#backoff = backoff(50, 2_000, source.random);
    this.#open();
  }

  get revision(): number {
    return this.#cursor;
  }

  async close(): Promise<void> {
    await this.#stop();
  }

  #open(): void {
    const attempt = ++this.#attempt;
    const unlessStale = (run: () => void) => {
      if (attempt === this.#attempt && !this.#isOver) run();
    };
    this.#pending = [];
    this.#timer = this.#source.clock.after(this.#source.openTimeoutMs, () =>
      unlessStale(() => this.#reopen(new Error('the watch was not taken in time'))),
    );
    this.#stream = this.#source.open(this.#prefix, Math.max(1, this.#cursor), {
      opened: (revision, cluster) => unlessStale(() => this.#opened(attempt, revision, cluster)),
      batch: (changes, complete) => unlessStale(() => this.#batch(changes, complete)),
      progress: (revision) => unlessStale(() => this.#deliver([], revision)),
      refused: (error) => unlessStale(() => this.#end(error)),
      broken: (error) => unlessStale(() => this.#reopen(error)),
    });
  }

  #opened(attempt: number, revision: number, cluster: string): void {
    this.#timer?.cancel();
    if (this.#cluster !== undefined && this.#cluster !== cluster) return this.#end(replaced());
    this.#cluster = cluster;
    if (revision < this.#cursor) {
      // A member that lags catches up; a store that was restored does not (W3).
      this.#source.currentRevision().then(
        (current) => {
          if (attempt !== this.#attempt || this.#isOver) return;
          if (current < this.#cursor) this.#end(replaced());
        },
        (error: unknown) => {
          if (attempt === this.#attempt && !this.#isOver) this.#reopen(error);
        },
      );
    }
    this.#backoff.reset();
    this.#link(true);
  }

  #batch(changes: readonly Change[], complete: boolean): void {
    for (const change of changes) {
      if (change.revision > this.#cursor) this.#pending.push(change);
    }
    if (!complete) return;
    const whole = this.#pending;
    this.#pending = [];
    const last = whole.at(-1);
    if (last !== undefined) this.#deliver(whole, last.revision);
  }

  #deliver(changes: readonly Change[], revision: number): void {
    if (revision <= this.#cursor) return;
    this.#cursor = revision;
    try {
      this.#observer.changes(changes, revision);
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(reasonOf(error)));
    }
  }

  #reopen(error: unknown): void {
    this.#attempt++;
    this.#timer?.cancel();
    void this.#stream?.close();
    this.#stream = undefined;
    this.#link(false, error);
    if (this.#isOver) return;
    this.#timer = this.#source.clock.after(this.#backoff.nextMs(), () => this.#open());
  }

  #link(up: boolean, error?: unknown): void {
    if (up === this.#isUp) return;
    this.#isUp = up;
    try {
      this.#observer.link?.(up, error === undefined ? undefined : reasonOf(error));
    } catch (thrown) {
      this.#end(thrown instanceof Error ? thrown : new Error(reasonOf(thrown)));
    }
  }

  #end(error: Error): void {
    if (this.#isOver) return;
    void this.#stop();
    this.#observer.ended(error);
  }

  async #stop(): Promise<void> {
    this.#isOver = true;
    this.#attempt++;
    this.#timer?.cancel();
    const stream = this.#stream;
    this.#stream = undefined;
    this.#onEnd();
    await stream?.close();
  }
}

function replaced(): TroupeError {
  const message = 'the store is another one or went back to an older state; list it again';
  return new TroupeError('store/compacted', message, { replaced: true });
}

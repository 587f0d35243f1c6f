// Follows a prefix: the state first, then every change, without end. What a read model stands on.
//
// O1  List, then watch from the listing's revision + 1. When the watch ends (compaction, a restored
//     store) list again and hand over the difference to what the observer has, deletions included.
// O2  changes() is called with everything up to `revision`; the observer's copy is then exactly the
//     prefix as of that revision. A listing arrives in one call.
// O3  `revision` only goes back when the store did (restored): changes() is then called with
//     `replaced` true, and every entry counts as changed, since equal revisions may hold other values.
// O4  Failures are tried again with back-off, for ever; link(false, reason) says that the copy may be
//     stale. An observer that throws stops the follow: failed() gets what it threw.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import { backoff, type Backoff } from './backoff.ts';
import type { Change, Entry, Store, Watch } from './store.ts';

export interface FollowObserver {
  /** Brings the copy to `revision`. `changes` may be empty: the prefix did not change, the store did. */
  changes(changes: readonly Change[], revision: number, replaced: boolean): void;
  /** The link came up, or broke and the copy may be stale from now on. */
  link?(up: boolean, reason?: string): void;
  /** changes() threw: nothing more will come. */
  failed(error: Error): void;
}

export interface FollowOptions {
  readonly clock: Clock;
  /** For the jitter of retries. */
  readonly random: () => number;
}

export interface Follow {
  /** Everything up to this revision has been handed over; 0 before the first listing. */
  readonly revision: number;
  /** Resolves after the first listing has been handed over; rejects when closed or failed before. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** Starts to follow; the caller closes it, before the store. */
export function follow(
  store: Store,
  prefix: string,
  observer: FollowObserver,
  options: FollowOptions,
): Follow {
  return new PrefixFollow(store, prefix, observer, options);
}

class PrefixFollow implements Follow {
  readonly #store: Store;
  readonly #prefix: string;
  readonly #observer: FollowObserver;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #first = Promise.withResolvers<void>();
  /** What the observer has: mod revision by key. */
  readonly #known = new Map<string, number>();
  #revision = 0;
  #isUp: boolean | undefined;
  #isClosed = false;
  #watch: Watch | undefined;
  #retry: Timer | undefined;

  constructor(store: Store, prefix: string, observer: FollowObserver, options: FollowOptions) {
    this.#store = store;
    this.#prefix = prefix;
    this.#observer = observer;
    this.#clock = options.clock;
    this.#backoff = backoff(50, 2_000, options.random);
    this.#first.promise.catch(() => undefined);
    this.#list(false);
  }

  get revision(): number {
    return this.#revision;
  }

  ready(): Promise<void> {
    return this.#first.promise;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#first.reject(new TroupeError('store/closed', `the follow of ${this.#prefix} is closed`));
    await this.#watch?.close();
  }

  /** `replaced`: the store may hold other values under revisions we know (O3). */
  #list(replaced: boolean): void {
    this.#read().then(
      ({ entries, revision }) => {
        if (this.#isClosed) return;
        this.#backoff.reset();
        const wentBack = replaced || revision < this.#revision;
        const changes = this.#difference(entries, revision, wentBack);
        if (!this.#hand(changes, revision, wentBack)) return;
        this.#first.resolve();
        this.#follow();
      },
      (error: unknown) => this.#retryList(replaced, error),
    );
  }

  async #read(): Promise<{ entries: readonly Entry[]; revision: number }> {
    const entries: Entry[] = [];
    let revision = 0;
    for await (const page of this.#store.rangeAll({ prefix: this.#prefix })) {
      for (const entry of page.entries) entries.push(entry);
      revision = page.revision;
    }
    return { entries, revision };
  }

  #difference(entries: readonly Entry[], revision: number, wentBack: boolean): Change[] {
    const gone = new Set(this.#known.keys());
    const changes: Change[] = [];
    for (const entry of entries) {
      gone.delete(entry.key);
      if (!wentBack && this.#known.get(entry.key) === entry.modRevision) continue;
      changes.push({ kind: 'put', key: entry.key, revision: entry.modRevision, entry });
    }
    // A deletion that nobody saw happen: at the latest, it happened by the listing's revision.
    for (const key of gone) changes.push({ kind: 'delete', key, revision });
    return changes;
  }

  #follow(): void {
    const request = { prefix: this.#prefix, fromRevision: this.#revision + 1 };
    this.#watch = this.#store.watch(request, {
      changes: (changes, revision) => void this.#hand(changes, revision, false),
      link: (up, reason) => this.#link(up, reason),
      ended: (error) => this.#watchEnded(error),
    });
  }

  #watchEnded(error: Error): void {
    this.#watch = undefined;
    if (this.#isClosed) return;
    const replaced = error instanceof TroupeError && error.detail['replaced'] === true;
    this.#retryList(replaced, error);
  }

  #retryList(replaced: boolean, error: unknown): void {
    if (this.#isClosed) return;
    if (error instanceof TroupeError && error.code === 'store/closed') return void this.close();
    this.#link(false, reasonOf(error));
    this.#retry = this.#clock.after(this.#backoff.nextMs(), () => this.#list(replaced));
  }

  /** False when the observer threw, and all is over. */
  #hand(changes: readonly Change[], revision: number, replaced: boolean): boolean {
    for (const change of changes) {
      if (change.kind === 'put') this.#known.set(change.key, change.entry.modRevision);
      else this.#known.delete(change.key);
    }
    this.#revision = revision;
    try {
      this.#observer.changes(changes, revision, replaced);
      return true;
    } catch (error) {
      void this.close();
      this.#observer.failed(error instanceof Error ? error : new Error(reasonOf(error)));
      return false;
    }
  }

  #link(up: boolean, reason?: string): void {
    if (up === this.#isUp || this.#isClosed) return;
    this.#isUp = up;
    this.#observer.link?.(up, reason);
  }
}

// Takes events out of the outbox once every archive that counts has them. Each daemon does so for what it decides for.
//
// K1  An event goes only when its revision is recorded by all archives that count: those whose node is a member, and those
//     that have been away for less than AWAY_MS. One that is away for longer finds what it missed in another archive; the
//     store itself remembers no longer either. No archive: nothing goes.
// K2  What this daemon has written is remembered, MOST_KNOWN at most; a listing finds the rest: after members or owners
//     have changed, when an answer of the store was lost, or when there was more. So an outbox at rest costs nothing.
// K3  Deleting is unguarded and may be repeated: an event's key is never written again, and an archive has it.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import type { Keys } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import type { ArchiveDirectory } from './archive-progress.ts';

/** As long as etcd remembers (src/embedded/etcd.ts). */
const AWAY_MS = 3_600_000;
const MOST_KNOWN = 20_000;
/** Below the 128 operations of a transaction. */
const DELETES_PER_TXN = 100;
/** Shards come and go in bursts. */
const LIST_AFTER_MS = 10_000;
const AGAIN_MS = 30_000;

/** Where the daemon stands in the cluster. */
export interface Standpoint {
  epochOf(address: Address): number | null;
  isMember(node: string): boolean;
  /** Calls after members or owners have changed; the returned function ends it. */
  onChange(listener: () => void): () => void;
}

export interface OutboxKeeperOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly archives: Pick<ArchiveDirectory, 'recorded' | 'onChange'>;
  readonly cluster: Standpoint;
  readonly clock: Clock;
  readonly log: Log;
}

interface Known {
  readonly key: string;
  readonly revision: number;
}

export class OutboxKeeper {
  readonly #options: OutboxKeeperOptions;
  readonly #awaySince = new Map<string, number>();
  readonly #forget: readonly (() => void)[];
  #known: Known[] = [];
  #hasMore = true;
  #timer: Timer | undefined;
  #dueAtMono = Infinity;
  #isStopped = false;
  #working: Promise<void> = Promise.resolve();

  constructor(options: OutboxKeeperOptions) {
    this.#options = options;
    this.#forget = [
      options.archives.onChange(() => this.#lookIn(0)),
      options.cluster.onChange(() => this.mayHaveMore()),
    ];
    this.#lookIn(LIST_AFTER_MS);
  }

  /** The journal has put these into the outbox. */
  wrote(keys: readonly string[], revision: number): void {
    if (this.#known.length + keys.length > MOST_KNOWN) this.#hasMore = true;
    else for (const key of keys) this.#known.push({ key, revision });
  }

  /** Every archive that counts has recorded up to this; null: there is none. */
  recordedByAll(): number | null {
    const { archives, cluster, clock } = this.#options;
    const now = clock.monoMs();
    const counting: number[] = [];
    for (const [node, revision] of archives.recorded) {
      if (cluster.isMember(node)) this.#awaySince.delete(node);
      else this.#awaySince.set(node, this.#awaySince.get(node) ?? now);
      if (now - (this.#awaySince.get(node) ?? now) < AWAY_MS) counting.push(revision);
    }
    return counting.length === 0 ? null : Math.min(...counting);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const forget of this.#forget) forget();
    this.#timer?.cancel();
    await this.#working;
  }

  /** There may be more than is remembered: of shards that have come somebody else has written, or an answer was lost. */
  mayHaveMore(): void {
    this.#hasMore = true;
    this.#lookIn(LIST_AFTER_MS);
  }

  #lookIn(ms: number): void {
    const { clock, log } = this.#options;
    const dueAtMono = clock.monoMs() + ms;
    // Infinity is never due.
    if (this.#isStopped || dueAtMono >= this.#dueAtMono) return;
    this.#timer?.cancel();
    this.#dueAtMono = dueAtMono;
    this.#timer = clock.after(ms, () => {
      this.#dueAtMono = Infinity;
      this.#working = this.#working
        .then(() => this.#prune())
        .catch((error: unknown) => {
          log('warn', 'the outbox was not pruned', { reason: reasonOf(error) });
          this.#lookIn(AGAIN_MS);
        });
    });
  }

  async #prune(): Promise<void> {
    const upTo = this.recordedByAll();
    if (upTo === null || this.#isStopped) return;
    if (this.#hasMore) await this.#list();
    const due = this.#known.filter(({ revision }) => revision <= upTo);
    for (let at = 0; at < due.length && !this.#isStopped; at += DELETES_PER_TXN) {
      const some = due.slice(at, at + DELETES_PER_TXN);
      await this.#options.store.txn({
        compare: [],
        then: some.map(({ key }) => ({ op: 'delete', key })),
      });
      const gone = new Set(some);
      this.#known = this.#known.filter((one) => !gone.has(one));
    }
    // There was more than is remembered at once.
    if (this.#hasMore && due.length > 0) this.#lookIn(0);
    if (this.#known.length > 0) this.#lookIn(this.#waitMs());
  }

  /** How long until the next of those that are away counts no longer; infinite: none is. */
  #waitMs(): number {
    const now = this.#options.clock.monoMs();
    const ends = [...this.#awaySince.values()].map((sinceMono) => sinceMono + AWAY_MS);
    return Math.min(Infinity, ...ends.filter((endMono) => endMono > now)) - now;
  }

  /** A node that is away has nobody who decides for it: all do this for it. */
  #isOurs({ kind, id }: Address): boolean {
    const { cluster } = this.#options;
    return cluster.epochOf({ kind, id }) !== null || (kind === 'node' && !cluster.isMember(id));
  }

  /** What is ours to prune, as the store has it. */
  async #list(): Promise<void> {
    const { store, keys } = this.#options;
    this.#hasMore = false;
    const before = new Set(this.#known.map(({ key }) => key));
    try {
      for await (const page of store.rangeAll({ prefix: keys.events(), keysOnly: true })) {
        for (const { key, modRevision } of page.entries) {
          const parsed = keys.parse(key);
          if (parsed?.area !== 'events' || before.has(key)) continue;
          if (!this.#isOurs(parsed)) continue;
          this.wrote([key], modRevision);
        }
      }
    } catch (error) {
      this.#hasMore = true;
      throw error;
    }
  }
}

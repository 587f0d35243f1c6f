// The store in memory: one client of a MemoryCluster, as strict as etcd, on an injected clock, with
// faults that a simulation or a test can turn on while it runs. Leases, watches and limits are the
// very code that the etcd store uses; only what lies below is simulated.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { LeaseKeeper, type LeaseLink } from './lease-keeper.ts';
import { checkKey, checkLeaseId, checkRange, checkTtl, checkTxn, checkWatch } from './limits.ts';
import type { MemoryCluster } from './memory-cluster.ts';
import { MemoryLink, type Faults } from './memory-link.ts';
import { MemoryWatchStream } from './memory-watch-stream.ts';
import { rangeAll } from './range-all.ts';
import { ResumingWatch, type WatchSource } from './resuming-watch.ts';
import type {
  Entry,
  Lease,
  Page,
  RangeRequest,
  Store,
  Txn,
  TxnResult,
  Watch,
  WatchObserver,
  WatchRequest,
} from './store.ts';

export interface MemoryStoreOptions {
  readonly cluster: MemoryCluster;
  /** The client's own clock; the cluster's by default. */
  readonly clock?: Clock;
  /** For the jitter of retries; a constant by default, so that runs repeat. */
  readonly random?: () => number;
  /** Deadline of one call; default 5 s. */
  readonly callTimeoutMs?: number;
}

export class MemoryStore implements Store {
  readonly #cluster: MemoryCluster;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #link: MemoryLink;
  readonly #source: WatchSource;
  readonly #watches = new Set<ResumingWatch>();
  readonly #leases = new Set<LeaseKeeper>();

  constructor(options: MemoryStoreOptions) {
    const { cluster, callTimeoutMs = 5_000 } = options;
    const clock = options.clock ?? cluster.clock;
    this.#cluster = cluster;
    this.#clock = clock;
    this.#random = options.random ?? (() => 0.5);
    this.#link = new MemoryLink(clock, callTimeoutMs);
    const stream = { cluster, clock, faults: this.#link.faults, stallMs: callTimeoutMs };
    this.#source = {
      clock,
      random: this.#random,
      openTimeoutMs: callTimeoutMs,
      open: (prefix, start, events) => new MemoryWatchStream(stream, prefix, start, events),
      currentRevision: () => this.#link.call('read', () => cluster.revision),
    };
  }

  /** This client's faults: assign to its fields. */
  get faults(): Faults {
    return this.#link.faults;
  }

  async get(key: string): Promise<Entry | null> {
    checkKey(key);
    const { responses } = await this.#link.call('read', () =>
      this.#cluster.txn({ compare: [], then: [{ op: 'get', key }] }),
    );
    return responses[0]?.op === 'get' ? responses[0].entry : null;
  }

  async range(request: RangeRequest): Promise<Page> {
    checkRange(request);
    return this.#link.call('read', () => this.#cluster.range(request));
  }

  rangeAll(request: Omit<RangeRequest, 'limit' | 'after'>): AsyncIterable<Page> {
    return rangeAll((page) => this.range(page), request);
  }

  async txn(txn: Txn): Promise<TxnResult> {
    checkTxn(txn);
    return this.#link.call('txn', () => this.#cluster.txn(txn));
  }

  async put(key: string, value: Uint8Array, lease: string | null = null): Promise<number> {
    const { revision } = await this.txn({ compare: [], then: [{ op: 'put', key, value, lease }] });
    return revision;
  }

  async delete(key: string): Promise<boolean> {
    const { responses } = await this.txn({ compare: [], then: [{ op: 'delete', key }] });
    return responses[0]?.op === 'delete' && responses[0].deleted > 0;
  }

  async lease(ttlMs: number): Promise<Lease> {
    checkTtl(ttlMs);
    const sentAtMono = this.#clock.monoMs();
    const granted = await this.#link.call('lease', () => this.#cluster.grant(ttlMs));
    const link: LeaseLink = {
      renew: (id) => this.#link.call('renew', () => this.#cluster.keepAlive(id)),
      revoke: (id) => this.revokeLease(id),
      reset: () => undefined,
      close: () => undefined,
    };
    const keeper = new LeaseKeeper(
      { ...granted, sentAtMono },
      {
        clock: this.#clock,
        random: this.#random,
        link,
        onEnd: () => this.#leases.delete(keeper),
      },
    );
    this.#leases.add(keeper);
    if (this.#link.isClosed) keeper.close();
    return keeper;
  }

  async revokeLease(id: string): Promise<void> {
    checkLeaseId(id);
    try {
      await this.#link.call('lease', () => {
        this.#cluster.revoke(id);
        return true;
      });
    } catch (error) {
      if (!(error instanceof TroupeError) || error.code !== 'store/lease-lost') throw error;
    }
  }

  watch(request: WatchRequest, observer: WatchObserver): Watch {
    checkWatch(request);
    this.#link.checkOpen();
    const watch: ResumingWatch = new ResumingWatch(this.#source, request, observer, () =>
      this.#watches.delete(watch),
    );
    this.#watches.add(watch);
    return watch;
  }

  async close(): Promise<void> {
    for (const lease of this.#leases) lease.close();
    await Promise.all([...this.#watches].map((watch) => watch.close()));
    await this.#link.close();
  }
}

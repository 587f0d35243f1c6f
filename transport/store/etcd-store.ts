// The store on etcd. Everything that etcd3 and gRPC get wrong is contained in the etcd-*.ts files.
//
// T1  Every call has a deadline (callTimeoutMs) whatever the link does.
// T2  Calls that change nothing, or the same thing twice, are tried again within their deadline, each
//     try on a connection that works as far as we know. A transaction is tried again only when it
//     provably never left (S3).
// T3  close() lets calls under way end, and leaves no timer, stream or socket: the process can exit.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { EtcdCalls } from './etcd-calls.ts';
import { EtcdClient, type EtcdEndpoint } from './etcd-client.ts';
import {
  fromKeyValue,
  fromResponses,
  fromRevision,
  toRangeRequest,
  toTxnRequest,
} from './etcd-convert.ts';
import { etcdLeaseLink } from './etcd-lease-link.ts';
import { openEtcdWatch } from './etcd-watch-stream.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { checkKey, checkLeaseId, checkRange, checkTtl, checkTxn, checkWatch } from './limits.ts';
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

export interface EtcdStoreOptions extends EtcdEndpoint {
  readonly clock: Clock;
  /** For the jitter of retries; default Math.random. */
  readonly random?: () => number;
  /** Deadline of one call; default 5 s. */
  readonly callTimeoutMs?: number;
}

/** A store client on etcd. Connects when first used; close() it. */
export class EtcdStore implements Store {
  readonly #endpoint: EtcdEndpoint;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #client: EtcdClient;
  readonly #watchClient: EtcdClient;
  readonly #calls: EtcdCalls;
  readonly #source: WatchSource;
  readonly #watches = new Set<ResumingWatch>();
  readonly #leases = new Set<LeaseKeeper>();

  constructor(options: EtcdStoreOptions) {
    this.#endpoint = options;
    this.#clock = options.clock;
    this.#random = options.random ?? Math.random;
    this.#client = new EtcdClient(options);
    this.#watchClient = new EtcdClient(options);
    const timeoutMs = options.callTimeoutMs ?? 5_000;
    this.#calls = new EtcdCalls({ clock: options.clock, random: this.#random, timeoutMs });
    const transport = {
      streams: this.#watchClient.watchStreams(),
      mayRead: (prefix: string) => this.#watchClient.mayRead(prefix, timeoutMs),
    };
    this.#source = {
      clock: options.clock,
      random: this.#random,
      openTimeoutMs: timeoutMs,
      open: (prefix, start, events) => openEtcdWatch(transport, prefix, start, events),
      currentRevision: () => this.#currentRevision(),
    };
  }

  async get(key: string): Promise<Entry | null> {
    checkKey(key);
    const request = { key: Buffer.from(key) };
    const { kvs } = await this.#calls.repeatable((call) => this.#client.kv.range(request, call));
    return kvs[0] === undefined ? null : fromKeyValue(kvs[0]);
  }

  async range(request: RangeRequest): Promise<Page> {
    checkRange(request);
    const wire = toRangeRequest(request);
    const answer = await this.#calls.repeatable((call) => this.#client.kv.range(wire, call));
    return {
      entries: answer.kvs.map(fromKeyValue),
      revision: fromRevision(answer.header.revision),
      more: answer.more,
    };
  }

  rangeAll(request: Omit<RangeRequest, 'limit' | 'after'>): AsyncIterable<Page> {
    return rangeAll((page) => this.range(page), request);
  }

  async txn(txn: Txn): Promise<TxnResult> {
    checkTxn(txn);
    const wire = toTxnRequest(txn);
    const answer = await this.#calls.once((call) => this.#client.kv.txn(wire, call));
    const branch = answer.succeeded ? txn.then : (txn.else ?? []);
    return {
      succeeded: answer.succeeded,
      revision: fromRevision(answer.header.revision),
      responses: fromResponses(branch, answer.responses),
    };
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
    const TTL = Math.ceil(ttlMs / 1000);
    let sentAtMono = 0;
    // Granting twice leaves a lease without keys, which expires: harmless.
    const granted = await this.#calls.repeatable((call) => {
      sentAtMono = this.#clock.monoMs();
      return this.#client.leaseClient.leaseGrant({ TTL }, call);
    });
    const grant = { id: granted.ID, ttlMs: Number(granted.TTL) * 1000, sentAtMono };
    const keeper = new LeaseKeeper(grant, {
      clock: this.#clock,
      random: this.#random,
      link: etcdLeaseLink(this.#endpoint, (id) => this.revokeLease(id), this.#random),
      onEnd: () => this.#leases.delete(keeper),
    });
    this.#leases.add(keeper);
    if (this.#calls.isClosed) keeper.close();
    return keeper;
  }

  async revokeLease(id: string): Promise<void> {
    checkLeaseId(id);
    try {
      await this.#calls.repeatable((call) =>
        this.#client.leaseClient.leaseRevoke({ ID: id }, call),
      );
    } catch (error) {
      if (!(error instanceof TroupeError) || error.code !== 'store/lease-lost') throw error;
    }
  }

  watch(request: WatchRequest, observer: WatchObserver): Watch {
    checkWatch(request);
    this.#calls.checkOpen();
    const watch: ResumingWatch = new ResumingWatch(this.#source, request, observer, () =>
      this.#watches.delete(watch),
    );
    this.#watches.add(watch);
    return watch;
  }

  async close(): Promise<void> {
    for (const lease of this.#leases) lease.close();
    await Promise.all([...this.#watches].map((watch) => watch.close()));
    await this.#calls.close();
    this.#client.close();
    this.#watchClient.close();
  }

  async #currentRevision(): Promise<number> {
    const request = { key: Buffer.from('/'), count_only: true };
    const answer = await this.#calls.repeatable((call) => this.#client.kv.range(request, call));
    return fromRevision(answer.header.revision);
  }
}

// The server side of the in-memory store: what an etcd cluster is to its clients. Any number of
// MemoryStore clients share one, each with faults of its own.
//
// M1  Same answers as etcd for the same requests; the differential test in tests/contract/store
//     holds both against each other.
// M2  No randomness and no clock but the injected one: a simulation replays.
// M3  Requests are applied one by one, whole, in the turn in which they arrive.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { compareHolds } from './compare.ts';
import { compareKeys } from './key-order.ts';
import { MemoryHistory } from './memory-history.ts';
import type {
  Change,
  Entry,
  GetOp,
  Op,
  OpResult,
  Page,
  RangeRequest,
  Txn,
  TxnResult,
} from './store.ts';

interface LeaseRecord {
  readonly ttlMs: number;
  readonly keys: Set<string>;
  expiry: Timer;
}

export interface MemoryClusterOptions {
  readonly clock: Clock;
  /** The smallest TTL that is granted, as etcd raises small ones (2 s at its default election timeout). */
  readonly minTtlMs?: number;
  /** Names the cluster; another name under the same clients means another store. */
  readonly name?: string;
}

/** Called with the changes of each revision in the turn that made them. */
export type ChangeListener = (changes: readonly Change[]) => void;

export class MemoryCluster {
  readonly clock: Clock;
  readonly name: string;
  readonly #minTtlMs: number;
  readonly #leases = new Map<string, LeaseRecord>();
  readonly #listeners = new Set<ChangeListener>();
  #history = new MemoryHistory();
  #lastLease = 7_000_000;

  constructor(options: MemoryClusterOptions) {
    this.clock = options.clock;
    this.name = options.name ?? 'memory';
    this.#minTtlMs = options.minTtlMs ?? 2_000;
  }

  get revision(): number {
    return this.#history.revision;
  }

  range(request: RangeRequest): Page {
    return this.#history.range(request);
  }

  /** Errors: store/lease-lost when a put names a lease that is not there; nothing has changed then. */
  txn(txn: Txn): TxnResult {
    const succeeded = txn.compare.every((one) => compareHolds(one, this.#history.latest(one.key)));
    const branch = succeeded ? txn.then : (txn.else ?? []);
    for (const op of branch) {
      if (op.op === 'put' && typeof op.lease === 'string') this.#leaseOf(op.lease);
    }
    const draft = new Draft(this.#history);
    const responses = branch.map((op) => draft.apply(op));
    this.#commit(draft.changes());
    return { succeeded, revision: this.revision, responses };
  }

  /** Grants a lease in whole seconds, as etcd does. */
  grant(ttlMs: number): { readonly id: string; readonly ttlMs: number } {
    const id = String(++this.#lastLease);
    const granted = Math.max(this.#minTtlMs, Math.ceil(ttlMs / 1000) * 1000);
    const expiry = this.#expireIn(id, granted);
    this.#leases.set(id, { ttlMs: granted, keys: new Set(), expiry });
    return { id, ttlMs: granted };
  }

  /** False: there is no such lease. */
  keepAlive(id: string): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    lease.expiry.cancel();
    lease.expiry = this.#expireIn(id, lease.ttlMs);
    return true;
  }

  /** Ends a lease and deletes its keys, in key order and one revision. Error: store/lease-lost. */
  revoke(id: string): void {
    const lease = this.#leaseOf(id);
    lease.expiry.cancel();
    this.#leases.delete(id);
    const draft = new Draft(this.#history);
    for (const key of [...lease.keys].sort(compareKeys)) draft.apply({ op: 'delete', key });
    this.#commit(draft.changes());
  }

  /** Forgets history before `revision`. Error: store/compacted. */
  compact(revision: number): void {
    this.#history.compact(revision);
  }

  /** The changes from `revision` on under `prefix`, by revision. Error: store/compacted. */
  since(revision: number, prefix: string): Change[][] {
    return this.#history.since(revision, prefix);
  }

  /** Listens to every revision to come; the returned function ends it. */
  listen(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Loses everything and starts at revision 1, as a store restored from an old backup. */
  wipe(): void {
    for (const lease of this.#leases.values()) lease.expiry.cancel();
    this.#leases.clear();
    this.#history = new MemoryHistory();
  }

  #commit(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    for (const change of changes) this.#attach(change);
    this.#history.append(changes);
    for (const listener of this.#listeners) listener(changes);
  }

  /** Moves the key from the lease it had to the one it has. */
  #attach(change: Change): void {
    const before = this.#history.latest(change.key)?.lease ?? null;
    const after = change.kind === 'put' ? change.entry.lease : null;
    if (before !== null) this.#leases.get(before)?.keys.delete(change.key);
    if (after !== null) this.#leases.get(after)?.keys.add(change.key);
  }

  #leaseOf(id: string): LeaseRecord {
    const lease = this.#leases.get(id);
    if (lease !== undefined) return lease;
    throw new TroupeError('store/lease-lost', `the store has no lease ${id}`);
  }

  #expireIn(id: string, ttlMs: number): Timer {
    return this.clock.after(ttlMs, () => this.revoke(id));
  }
}

/** One transaction at work: sees its own writes, takes at most one revision. */
class Draft {
  readonly #history: MemoryHistory;
  readonly #revision: number;
  readonly #changes = new Map<string, Change>();

  constructor(history: MemoryHistory) {
    this.#history = history;
    this.#revision = history.revision + 1;
  }

  /** In the order in which they were made; a key is written at most once (limits.ts). */
  changes(): Change[] {
    return [...this.#changes.values()];
  }

  apply(op: Op): OpResult {
    switch (op.op) {
      case 'put':
        this.#put(op.key, op.value, op.lease ?? null);
        return { op: 'put' };
      case 'delete':
        return { op: 'delete', deleted: this.#delete(op.key) };
      case 'delete-prefix': {
        const keys = this.#history.keysUnder(op.prefix);
        return { op: 'delete-prefix', deleted: keys.filter((key) => this.#delete(key) > 0).length };
      }
      case 'get':
        return { op: 'get', entry: this.#get(op) };
    }
  }

  #entry(key: string): Entry | null {
    const change = this.#changes.get(key);
    if (change === undefined) return this.#history.latest(key);
    return change.kind === 'put' ? change.entry : null;
  }

  #get(op: GetOp): Entry | null {
    const entry = this.#entry(op.key);
    if (entry === null || op.keysOnly !== true) return entry;
    return { ...entry, value: new Uint8Array(0) };
  }

  #put(key: string, value: Uint8Array, lease: string | null): void {
    const before = this.#entry(key);
    const revision = this.#revision;
    const entry: Entry = {
      key,
      // A copy: the caller may use its buffer again, and nobody may reach into the store.
      value: Uint8Array.from(value),
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
      lease,
    };
    this.#changes.set(key, { kind: 'put', key, revision, entry });
  }

  #delete(key: string): number {
    if (this.#entry(key) === null) return 0;
    this.#changes.set(key, { kind: 'delete', key, revision: this.#revision });
    return 1;
  }
}

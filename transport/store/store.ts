// The store as everything above it sees it: an ordered map of keys to bytes with etcd's semantics.
// Two implementations, equally strict, pinned by one suite (tests/contract/store): etcd-store.ts and
// memory-store.ts.
//
// S1  Every transaction that changes something takes exactly one new revision; revisions only grow.
// S2  Reads and transactions are linearizable. A page of a listing names the revision to read the
//     next page at, so that a listing of many pages is one moment.
// S3  A transaction is sent once. When its answer is lost the outcome is unknown, and the error says
//     so: `store/unavailable` with detail.ambiguous true. The caller reads again before it goes on.
// S4  A watch delivers every change after its cursor, in revision order, whole revisions only, each
//     once, however often the link breaks; or it ends with the error that says it cannot.
// S5  A lease is over for its holder before it can be over on the server (lease-keeper.ts).
// S6  Every call ends: by its answer or by its deadline. close() ends everything else.
//
// Errors are TroupeError: store/unavailable (detail.ambiguous), store/compacted, store/too-large,
// store/bad-value (a request that can never work), store/lease-lost (no such lease), store/closed.

/**
 * One key as stored. `value` must not be changed by who reads it, and may be a view of a larger
 * answer: what is kept for long is copied (the codec does).
 */
export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision that created the key since it was last absent; an owner key's epoch. */
  readonly createRevision: number;
  readonly modRevision: number;
  /** Writes since the key was created; 1 for a new key. */
  readonly version: number;
  /** Id of the lease that the key vanishes with; null when it stays. */
  readonly lease: string | null;
}

export type CompareOperator = '==' | '!=' | '<' | '>';

/**
 * What must hold for a transaction to run its `then`. An absent key has create revision, mod revision
 * and version 0 and no lease; comparing the *value* of an absent key never holds.
 */
export type Compare =
  | {
      readonly target: 'create' | 'mod' | 'version';
      readonly key: string;
      readonly is: CompareOperator;
      readonly than: number;
    }
  | {
      readonly target: 'value';
      readonly key: string;
      readonly is: CompareOperator;
      readonly than: Uint8Array;
    }
  | {
      readonly target: 'lease';
      readonly key: string;
      readonly is: '==' | '!=';
      readonly than: string | null;
    };

/** Changes something. One transaction may write a key once. */
export type WriteOp =
  | {
      readonly op: 'put';
      readonly key: string;
      readonly value: Uint8Array;
      readonly lease?: string | null;
    }
  | { readonly op: 'delete'; readonly key: string }
  /** Deletes every key that starts with `prefix`, however many: one operation. */
  | { readonly op: 'delete-prefix'; readonly prefix: string };

/** Reads one key; a `get` after a write of the same transaction sees that write. */
export interface GetOp {
  readonly op: 'get';
  readonly key: string;
  /** The value comes back empty. */
  readonly keysOnly?: boolean;
}

export type Op = WriteOp | GetOp;

export interface Txn {
  /** All must hold; none: the transaction always runs `then`. */
  readonly compare: readonly Compare[];
  readonly then: readonly Op[];
  readonly else?: readonly Op[];
}

/** What an operation of the branch that ran gave, in the order of its operations. */
export type OpResult =
  | { readonly op: 'put' }
  | { readonly op: 'delete' | 'delete-prefix'; readonly deleted: number }
  | { readonly op: 'get'; readonly entry: Entry | null };

export interface TxnResult {
  /** True: the compares held and `then` ran. */
  readonly succeeded: boolean;
  /** The store's revision after the transaction; the transaction's own when it changed something. */
  readonly revision: number;
  readonly responses: readonly OpResult[];
}

export interface RangeRequest {
  readonly prefix: string;
  /** Only keys after this one: the last key of the page before. */
  readonly after?: string;
  /** At most this many entries; none: all. */
  readonly limit?: number;
  /** Read as of this revision; none: now. Error: store/compacted. */
  readonly revision?: number;
  /** Values come back empty. */
  readonly keysOnly?: boolean;
}

export interface Page {
  /** In key order (bytes of the UTF-8 form). */
  readonly entries: readonly Entry[];
  /** The store's revision when this was read; pass it on to read the next page of the same moment. */
  readonly revision: number;
  /** True: `limit` cut the listing off. */
  readonly more: boolean;
}

export type Change =
  | { readonly kind: 'put'; readonly key: string; readonly revision: number; readonly entry: Entry }
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number };

/** Why a lease is over for its holder. `deadline`: our own clock; the server may know it a little longer. */
export type LeaseEnd = 'deadline' | 'gone' | 'closed';

/** A lease that renews itself until it is revoked, lost, or the store is closed. */
export interface Lease {
  readonly id: string;
  /** As granted; the server raises small ones. */
  readonly ttlMs: number;
  /**
   * Clock.monoMs() by which the holder must have stopped deciding: the sending of the last answered
   * renewal + TTL - margin. Compare with it at each decision; timers may fire late. Minus infinity
   * once the lease is over.
   */
  validUntilMono(): number;
  /** Called once, when the lease ends without revoke(); at once when it has ended already. */
  onLost(listener: (end: LeaseEnd) => void): void;
  /** Ends the lease: over for the holder at once, its keys deleted. Error: store/unavailable (the keys then go by TTL). */
  revoke(): Promise<void>;
}

export interface WatchObserver {
  /** The changes of one or more whole revisions, in order. `revision`: nothing up to it is missing. */
  changes(changes: readonly Change[], revision: number): void;
  /** The watch is over and nothing more will come: store/compacted, store/bad-value, or what changes() threw. Not after close(). */
  ended(error: Error): void;
  /** The link came up (true: what arrives is current) or broke (false: the watch is catching up). Not logged anywhere else. */
  link?(up: boolean, reason?: string): void;
}

export interface WatchRequest {
  readonly prefix: string;
  /** First revision wanted: the listing's revision + 1. */
  readonly fromRevision: number;
}

export interface Watch {
  /** The cursor: everything up to this revision has been delivered. */
  readonly revision: number;
  /** After it resolves the observer is not called any more. */
  close(): Promise<void>;
}

/** One store client. A daemon has one; whoever made it closes it. */
export interface Store {
  get(key: string): Promise<Entry | null>;
  range(request: RangeRequest): Promise<Page>;
  /** Every entry under the prefix, read page by page at one revision (the first page's, unless given). */
  rangeAll(request: Omit<RangeRequest, 'limit' | 'after'>): AsyncIterable<Page>;
  txn(txn: Txn): Promise<TxnResult>;
  /** Unconditional write; resolves to its revision. */
  put(key: string, value: Uint8Array, lease?: string | null): Promise<number>;
  /** Unconditional; true when the key was there. */
  delete(key: string): Promise<boolean>;
  /** Grants a lease and keeps it alive. */
  lease(ttlMs: number): Promise<Lease>;
  /** Ends a lease by id: a restarted daemon ends its dead predecessor's. Quiet when there is none. */
  revokeLease(id: string): Promise<void>;
  watch(request: WatchRequest, observer: WatchObserver): Watch;
  /** Refuses new calls, lets those under way end (at most one deadline), ends watches and leases (unrevoked). Idempotent. */
  close(): Promise<void>;
}

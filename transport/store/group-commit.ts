// Packs the guarded writes of the same moment into few transactions: the difference between two
// thousand and thirty thousand changes a second.
//
// U1  Each write takes effect as a whole or not at all, and its caller learns its own outcome: the
//     revision, or why not.
// U2  Writes on the same keys take effect in the order in which they were handed in (write-group.ts).
// U3  A group whose compare failed reads what its guards look at in the same transaction: who guarded
//     what no longer holds gets store/conflict, the others go again at once, together.
// U4  A group that was refused for another reason (a dead lease) goes again write by write.
// U5  A lost answer is nobody's to guess: every write of the group gets store/unavailable, ambiguous.
// U6  At most maxInFlight transactions, maxQueued writes, and maxWaitMs in the queue.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { compareHolds } from './compare.ts';
import { checkTxn } from './limits.ts';
import type { Compare, Entry, Store, TxnResult } from './store.ts';
import { Footprint, WriteGroup, type Write } from './write-group.ts';

export interface GroupCommitOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Runs a function after the current turn, when all writes of the moment are in; default setImmediate. */
  readonly defer?: (run: () => void) => void;
  /** Transactions under way; more gains little and costs latency. Default 4. */
  readonly maxInFlight?: number;
  /** Operations and bytes of one transaction; defaults 128 and 1 MiB. */
  readonly maxOps?: number;
  readonly maxBytes?: number;
  /** Writes waiting; above it commit() refuses with store/unavailable. Default 10,000. */
  readonly maxQueued?: number;
  /** How long a write may wait to be sent; default 5 s. */
  readonly maxWaitMs?: number;
}

interface Pending {
  readonly write: Write;
  readonly sinceMono: number;
  readonly resolve: (outcome: { readonly revision: number }) => void;
  readonly reject: (error: unknown) => void;
}

type Group = WriteGroup<Pending>;

const DEFAULTS = {
  maxInFlight: 4,
  maxOps: 128,
  maxBytes: 1024 * 1024,
  maxQueued: 10_000,
  maxWaitMs: 5_000,
};

export class GroupCommit {
  readonly #options: Required<GroupCommitOptions>;
  readonly #inFlight = new Set<Group>();
  #queue: Pending[] = [];
  #isScheduled = false;
  #isClosed = false;
  #idle: (() => void)[] = [];
  /** Transactions sent so far. */
  transactions = 0;

  constructor(options: GroupCommitOptions) {
    this.#options = { defer: (run) => void setImmediate(run), ...DEFAULTS, ...options };
  }

  /**
   * Resolves when the write has taken effect. Errors: store/conflict (a guard does not hold;
   * detail.key), store/unavailable (detail.ambiguous true: read again), store/lease-lost,
   * store/too-large, store/bad-value, store/closed. Only an ambiguous one may have taken effect.
   */
  async commit(write: Write): Promise<{ readonly revision: number }> {
    checkTxn({ compare: write.guards, then: write.ops });
    if (this.#isClosed) throw new TroupeError('store/closed', 'group commit is closed');
    if (this.#queue.length >= this.#options.maxQueued) {
      const message = `${this.#queue.length} writes are waiting already`;
      throw new TroupeError('store/unavailable', message, { ambiguous: false });
    }
    return new Promise((resolve, reject) => {
      const sinceMono = this.#options.clock.monoMs();
      this.#queue.push({ write, sinceMono, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when everything handed in so far has its outcome. */
  async drain(): Promise<void> {
    if (this.#queue.length === 0 && this.#inFlight.size === 0) return;
    await new Promise<void>((resolve) => void this.#idle.push(resolve));
  }

  /** Refuses new writes and drains. The store stays open: it is the caller's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.drain();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.defer(() => {
      this.#isScheduled = false;
      this.#send();
    });
  }

  #send(): void {
    this.#dropOverdue();
    while (this.#inFlight.size < this.#options.maxInFlight) {
      const group = this.#nextGroup();
      if (group === null) break;
      this.#inFlight.add(group);
      void this.#run(group);
    }
    if (this.#queue.length > 0 || this.#inFlight.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Never rejects: every outcome goes to the writes of the group. */
  async #run(group: Group): Promise<void> {
    await this.#commitGroup(group);
    this.#inFlight.delete(group);
    this.#send();
  }

  /** Takes what may go together from the queue, oldest first; null when nothing may go now. */
  #nextGroup(): Group | null {
    const { maxOps, maxBytes } = this.#options;
    const group: Group = new WriteGroup();
    const waiting = new Footprint();
    const rest: Pending[] = [];
    const busy = [...this.#inFlight].map(({ footprint }) => footprint);
    busy.push(group.footprint, waiting);
    let isFull = false;
    for (const pending of this.#queue) {
      const clashes: boolean = isFull || busy.some((footprint) => footprint.clashes(pending.write));
      if (!clashes && group.tryAdd(pending, maxOps, maxBytes)) continue;
      // Full when something did not fit: the rest keeps its order behind it.
      isFull ||= !clashes;
      rest.push(pending);
      if (!isFull) waiting.add(pending.write);
    }
    this.#queue = rest;
    return group.members.length === 0 ? null : group;
  }

  #dropOverdue(): void {
    const { clock, maxWaitMs } = this.#options;
    const oldest = clock.monoMs() - maxWaitMs;
    if ((this.#queue[0]?.sinceMono ?? Infinity) >= oldest) return;
    const overdue = this.#queue.filter(({ sinceMono }) => sinceMono < oldest);
    this.#queue = this.#queue.filter(({ sinceMono }) => sinceMono >= oldest);
    const message = `the write waited more than ${maxWaitMs} ms for the store`;
    for (const { reject } of overdue)
      reject(new TroupeError('store/unavailable', message, { ambiguous: false }));
  }

  async #commitGroup(group: Group): Promise<void> {
    const { members } = group;
    let result: TxnResult;
    try {
      this.transactions++;
      result = await this.#options.store.txn(group.txn());
    } catch (error) {
      if (members.length > 1 && isRefusal(error)) return this.#oneByOne(members);
      for (const { reject } of members) reject(error);
      return;
    }
    if (!result.succeeded) return this.#goOn(members, result);
    for (const { resolve } of members) resolve({ revision: result.revision });
  }

  /** Tells whose guard failed, and commits the others (U3). */
  async #goOn(members: readonly Pending[], result: TxnResult): Promise<void> {
    const entries = new Map<string, Entry>();
    for (const response of result.responses) {
      if (response.op === 'get' && response.entry !== null)
        entries.set(response.entry.key, response.entry);
    }
    const left: Group = new WriteGroup();
    for (const member of members) {
      const failed = member.write.guards.find(
        (guard) => !compareHolds(guard, entries.get(guard.key) ?? null),
      );
      if (failed !== undefined) member.reject(conflict(failed));
      else left.tryAdd(member, Infinity, Infinity);
    }
    if (left.members.length === members.length) {
      // The store's compare and ours disagree: a bug, and going again would go on for ever.
      const error = new Error('a compare failed, but every guard holds for what was read with it');
      for (const { reject } of members) reject(error);
    } else if (left.members.length > 0) await this.#commitGroup(left);
  }

  async #oneByOne(members: readonly Pending[]): Promise<void> {
    for (const member of members) {
      const single: Group = new WriteGroup();
      single.tryAdd(member, Infinity, Infinity);
      await this.#commitGroup(single);
    }
  }
}

/** True for an error that some write of the group brought about, so that others may go without it. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof TroupeError)) return false;
  return ['store/lease-lost', 'store/bad-value', 'store/too-large'].includes(error.code);
}

function conflict(guard: Compare): TroupeError {
  const than = guard.target === 'value' ? 'other bytes' : String(guard.than);
  const message = `${guard.key}: ${guard.target} ${guard.is} ${than} does not hold; read again`;
  return new TroupeError('store/conflict', message, { key: guard.key, target: guard.target });
}

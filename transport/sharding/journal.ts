// Where actors' turns are written: snapshot, events and index in one transaction, guarded by the epoch.
//
// J1  The guard is the create revision of the key that fences the address (membership.ts): a daemon that
//     lost its shard, however late it notices, cannot write over its successor.
// J2  The events of a removed object stay until the archives have them; where there is no archive, they go with it.
// J3  An object's events are bounded (event-outbox.ts): the writes that add some now and then drop the oldest, and say so
//     when no archive had them.
import { codeOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Address, IndexEntry } from '../../actors/kernel/kind.ts';
import type { Claims, EventRecord, Journal, Loaded, TurnWrite } from '../../actors/kernel/ports.ts';
import { decodeEnvelope, encodeEnvelope } from '../store/codec.ts';
import type { GroupCommit } from '../store/group-commit.ts';
import type { Keys } from '../store/keys.ts';
import type { Compare, Entry, Store, WriteOp } from '../store/store.ts';
import {
  isPruneDue,
  newestEvents,
  surplusEvents,
  type EventQuery,
  type OutboxEvent,
} from './event-outbox.ts';
import { fenceKey } from './membership.ts';

/** Of event records as stored. */
const EVENT_SCHEMA = 1;

/** Who takes events out of the outbox (outbox-keeper.ts). */
export interface Outbox {
  /** Every archive has recorded up to this; null: there is none. */
  recordedByAll(): number | null;
  /** These have been put into it. */
  wrote(keys: readonly string[], revision: number): void;
  /** Some may have been: the answer was lost. */
  mayHaveMore(): void;
}

const NO_ARCHIVES: Outbox = { recordedByAll: () => null, wrote: () => {}, mayHaveMore: () => {} };

export class StoreJournal implements Journal {
  readonly #store: Store;
  readonly #commits: GroupCommit;
  readonly #keys: Keys;
  readonly #outbox: Outbox;

  constructor(store: Store, commits: GroupCommit, keys: Keys, outbox: Outbox = NO_ARCHIVES) {
    this.#store = store;
    this.#commits = commits;
    this.#keys = keys;
    this.#outbox = outbox;
  }

  async load(address: Address): Promise<Loaded | null> {
    const entry = await this.#store.get(this.#keys.object(address.kind, address.id));
    return entry === null ? null : readEntry(entry);
  }

  async commit(write: TurnWrite): Promise<number> {
    const guard = fenceKey(this.#keys, write.address);
    const guards = [{ target: 'create', key: guard, is: '==', than: write.epoch }] as const;
    try {
      const bounded = isPruneDue(write.events) ? await this.#dropSurplus(write, guards) : write;
      const { revision } = await this.#commits.commit({ guards, ops: this.ops(bounded) });
      this.noteWritten(bounded, revision);
      return revision;
    } catch (error) {
      if (codeOf(error) !== 'store/conflict') {
        this.#outbox.mayHaveMore();
        throw error;
      }
      const { kind, id } = write.address;
      const message = `${kind}/${id}: epoch ${write.epoch} is over, another daemon may own it`;
      throw new TroupeError('shard/not-owner', message, { kind, id }, error);
    }
  }

  /** The write, with a note of what goes unrecorded. */
  async #dropSurplus(write: TurnWrite, guards: readonly Compare[]): Promise<TurnWrite> {
    const { kind, id } = write.address;
    const archived = this.#outbox.recordedByAll() ?? 0;
    const { batches, lost } = await surplusEvents(
      this.#store,
      this.#keys.events(kind, id),
      archived,
    );
    // In transactions of their own: together they might be too many operations.
    for (const ops of batches) await this.#commits.commit({ guards, ops });
    const [first] = write.events;
    if (lost === 0 || first === undefined) return write;
    return { ...write, events: [...write.events, noteOf(first, lost)] };
  }

  /** The write's events are in the outbox: of who has sent its operations by itself. */
  noteWritten({ address: { kind, id }, events }: TurnWrite, revision: number): void {
    const eventKeys = events.map((event) => this.#keys.event(kind, id, event.id));
    this.#outbox.wrote(eventKeys, revision);
  }

  /** What a turn's write does to the store, without its guard. */
  ops({ address: { kind, id }, snapshot, events, index }: TurnWrite): WriteOp[] {
    const key = this.#keys.object(kind, id);
    const nameKey = (entry: IndexEntry) => this.#keys.name(entry.namespace, kind, entry.name, id);
    const ops: WriteOp[] = [];
    const [before, after] = [index.before, index.after].map((entry) => {
      return isNamed(entry) ? nameKey(entry) : null;
    });
    if (before !== null && before !== undefined && before !== after)
      ops.push({ op: 'delete', key: before });
    if (snapshot === null) {
      ops.push({ op: 'delete', key });
      if (this.#outbox.recordedByAll() === null)
        return [...ops, { op: 'delete-prefix', prefix: this.#keys.events(kind, id) }];
    } else {
      ops.push({ op: 'put', key, value: encodeEnvelope(snapshot) });
    }
    if (after !== null && after !== undefined && before !== after) {
      ops.push({ op: 'put', key: after, value: new Uint8Array() });
    }
    for (const event of events) {
      const value = encodeEnvelope({ schema: EVENT_SCHEMA, state: event });
      ops.push({ op: 'put', key: this.#keys.event(kind, id, event.id), value });
    }
    return ops;
  }

  /** The newest of the object's events that are in the outbox, newest first. */
  events({ kind, id }: Address, query: EventQuery): Promise<OutboxEvent[]> {
    return newestEvents(this.#store, this.#keys.events(kind, id), query);
  }
}

/** Says that events have gone although some archive did not have them. */
function noteOf(first: EventRecord, lost: number): EventRecord {
  const message = `dropped ${lost} events before every archive had them`;
  const { atMs, node, trace } = first;
  return {
    id: `${first.id}-${lost}`,
    atMs,
    node,
    trace,
    type: 'prune',
    message,
    extra: { count: lost },
  };
}

/** A nameless object has no row in the index. */
function isNamed(entry: IndexEntry | null): entry is IndexEntry {
  return entry !== null && entry.name !== '' && entry.namespace !== '';
}

/** What is stored of an object. Error: `store/bad-value` when it is no envelope. */
export function readEntry(entry: Entry): Loaded {
  const decoded = decodeEnvelope(entry.value);
  if (!decoded.ok) throw new TroupeError('store/bad-value', `${entry.key}: ${decoded.reason}`);
  return { snapshot: decoded.envelope, revision: entry.modRevision };
}

/** Claims on cluster-wide values: keys created if absent. */
export class StoreClaims implements Claims {
  readonly #store: Store;
  readonly #keys: Keys;

  constructor(store: Store, keys: Keys) {
    this.#store = store;
    this.#keys = keys;
  }

  async claim(space: string, value: string, owner: Address): Promise<boolean> {
    const key = this.#keys.alloc(space, value);
    const mine = `${owner.kind}/${owner.id}`;
    const result = await this.#store.txn({
      compare: [{ target: 'create', key, is: '==', than: 0 }],
      then: [{ op: 'put', key, value: encodeEnvelope({ schema: 1, state: mine }) }],
      else: [{ op: 'get', key }],
    });
    if (result.succeeded) return true;
    const [found] = result.responses;
    return found?.op === 'get' && found.entry !== null && holderOf(found.entry) === mine;
  }

  async holder(space: string, value: string): Promise<string | null> {
    const entry = await this.#store.get(this.#keys.alloc(space, value));
    const holder = entry === null ? undefined : holderOf(entry);
    return typeof holder === 'string' ? holder : null;
  }

  async release(space: string, value: string, owner: Address): Promise<void> {
    const key = this.#keys.alloc(space, value);
    const entry = await this.#store.get(key);
    if (entry === null || holderOf(entry) !== `${owner.kind}/${owner.id}`) return;
    await this.#store.txn({
      compare: [{ target: 'mod', key, is: '==', than: entry.modRevision }],
      then: [{ op: 'delete', key }],
    });
  }
}

function holderOf(entry: Entry): unknown {
  const decoded = decodeEnvelope(entry.value);
  return decoded.ok ? decoded.envelope.state : undefined;
}

// An object's events in the store, until every archive has them (outbox-keeper.ts): read newest first, and whatever
// becomes of the archives, kept to the newest 1,000.
//
// O1  The outbox is looked through when an event is written whose id ends in PRUNE_DIGIT, one in 32 by chance: no counter
//     is kept, so that neither restarts nor many objects matter. An outbox so grows little beyond KEPT.
//     What no archive had yet is counted, and an event says so.
// O2  Reading holds no more than a page beyond what is asked for.
import type { EventRecord } from '../../actors/kernel/ports.ts';
import { decodeEnvelope } from '../store/codec.ts';
import type { Store, WriteOp } from '../store/store.ts';

const KEPT = 1_000;
/** The last digit of a ULID is drawn at random, or counts up. */
const PRUNE_DIGIT = '0';
/** Below the 128 operations of a transaction. */
const DELETES_PER_TXN = 100;

export interface EventQuery {
  /** Negative: all. */
  readonly limit: number;
  /** Null: any. */
  readonly type: string | null;
}

/** An event in the outbox. */
export interface OutboxEvent {
  /** Of the transaction that wrote it. */
  readonly revision: number;
  readonly event: EventRecord;
}

/** The newest events under the prefix that the query asks for, newest first. */
export async function newestEvents(
  store: Store,
  prefix: string,
  { limit, type }: EventQuery,
): Promise<OutboxEvent[]> {
  let found: OutboxEvent[] = [];
  for await (const page of store.rangeAll({ prefix })) {
    for (const { value, modRevision: revision } of page.entries) {
      const decoded = decodeEnvelope(value);
      if (!decoded.ok) continue;
      const event = decoded.envelope.state as EventRecord;
      if (type === null || event.type === type) found.push({ revision, event });
    }
    if (limit >= 0) found = found.slice(Math.max(0, found.length - limit));
  }
  return found.reverse();
}

/** Whether it is time to look through the outbox that these are written to. */
export function isPruneDue(events: readonly Pick<EventRecord, 'id'>[]): boolean {
  return events.some(({ id }) => id.endsWith(PRUNE_DIGIT));
}

export interface Surplus {
  /** What deletes it, a list for each transaction. */
  readonly batches: readonly WriteOp[][];
  /** Events in it that some archive has not recorded yet. */
  readonly lost: number;
}

/** All but the newest under the prefix. `archived`: every archive has what is not after that revision. */
export async function surplusEvents(
  store: Store,
  prefix: string,
  archived: number,
): Promise<Surplus> {
  const batches: WriteOp[][] = [];
  const newest: { readonly key: string; readonly modRevision: number }[] = [];
  let lost = 0;
  for await (const page of store.rangeAll({ prefix, keysOnly: true })) {
    newest.push(...page.entries);
    const surplus = newest.splice(0, Math.max(0, newest.length - KEPT));
    lost += surplus.filter(({ modRevision }) => modRevision > archived).length;
    for (let at = 0; at < surplus.length; at += DELETES_PER_TXN) {
      const some = surplus.slice(at, at + DELETES_PER_TXN);
      batches.push(some.map(({ key }) => ({ op: 'delete', key })));
    }
  }
  return { batches, lost };
}

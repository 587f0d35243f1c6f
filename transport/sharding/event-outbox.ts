// An object's events in the store, until an archive keeps them: read newest first, and kept to the newest 1,000.
//
// O1  The outbox is looked through when an event is written whose id ends in PRUNE_DIGIT, one in 32 by chance: no counter
//     is kept, so that neither restarts nor many objects matter. An outbox so grows little beyond KEPT.
// O2  Reading holds no more than a page beyond what is asked for.
import type { EventRecord } from '../../actors/kernel/ports.ts';
import { decodeEnvelope } from '../store/codec.ts';
import type { Store, WriteOp } from '../store/store.ts';

/** Of each object, at least. */
export const KEPT = 1_000;
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

/** The newest events under the prefix that the query asks for, newest first. */
export async function newestEvents(
  store: Store,
  prefix: string,
  { limit, type }: EventQuery,
): Promise<EventRecord[]> {
  let records: EventRecord[] = [];
  for await (const page of store.rangeAll({ prefix })) {
    for (const { value } of page.entries) {
      const decoded = decodeEnvelope(value);
      if (!decoded.ok) continue;
      const record = decoded.envelope.state as EventRecord;
      if (type === null || record.type === type) records.push(record);
    }
    if (limit >= 0) records = records.slice(Math.max(0, records.length - limit));
  }
  return records.reverse();
}

/** Whether it is time to look through the outbox that these are written to. */
export function isPruneDue(events: readonly Pick<EventRecord, 'id'>[]): boolean {
  return events.some(({ id }) => id.endsWith(PRUNE_DIGIT));
}

/** What deletes all but the newest under the prefix, a list for each transaction. */
export async function pruneOps(store: Store, prefix: string): Promise<WriteOp[][]> {
  const batches: WriteOp[][] = [];
  const newest: string[] = [];
  for await (const page of store.rangeAll({ prefix, keysOnly: true })) {
    newest.push(...page.entries.map(({ key }) => key));
    const surplus = newest.splice(0, Math.max(0, newest.length - KEPT));
    for (let at = 0; at < surplus.length; at += DELETES_PER_TXN) {
      const keys = surplus.slice(at, at + DELETES_PER_TXN);
      batches.push(keys.map((key) => ({ op: 'delete', key })));
    }
  }
  return batches;
}

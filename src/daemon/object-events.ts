// An object's events for the API: what an archive has, and what is in the outbox.
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { EventRecord } from '../../actors/kernel/ports.ts';
import type { EventQuery, OutboxEvent } from '../../transport/sharding/event-outbox.ts';
import type { ArchiveReader } from '../archive/archive-reader.ts';

export interface EventSources {
  readonly archive: Pick<ArchiveReader, 'newest'>;
  readonly outbox: {
    events(address: Address, query: EventQuery): Promise<readonly OutboxEvent[]>;
  };
}

/** Newest first. Errors: `store/*`, `mesh/*`, `host/*` when there are archives and none answers. */
export async function objectEvents(
  { archive, outbox }: EventSources,
  address: Address,
  query: EventQuery,
): Promise<EventRecord[]> {
  if (query.limit === 0) return [];
  // The outbox first: what is taken out of it in between is in the archive.
  const recent = await outbox.events(address, query);
  const archived = await archive.newest(address, query).catch(unlessNone);
  const all = new Map<string, OutboxEvent>();
  for (const one of [...archived, ...recent]) all.set(one.event.id, one);
  const newest = [...all.values()].toSorted(newestFirst).map(({ event }) => event);
  return query.limit < 0 ? newest : newest.slice(0, query.limit);
}

/** A cluster without archives has its outbox alone. */
function unlessNone(error: unknown): [] {
  if (error instanceof TroupeError && error.code === 'api/not-found') return [];
  throw error;
}

function newestFirst(a: OutboxEvent, b: OutboxEvent): number {
  if (a.revision !== b.revision) return b.revision - a.revision;
  return a.event.id < b.event.id ? 1 : -1;
}

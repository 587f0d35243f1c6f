// What has happened, as those who tell others of it see it: replay after a revision, then live, and what is missing.
//
// H1  Everything is in the store's revision order; a page, and a live batch, holds whole revisions only. So a reader
//     that remembers `through` of the last page or batch gets everything after it exactly once.
// H2  What can no longer be told stands as a gap among the items, once, at the gap's last revision. A reader that came
//     back in the midst of a gap is told all of it.
// H3  Replay, then live without a seam: listen first and keep what comes; read() pages until `through` reaches
//     `revision` as it was at the first batch kept (or now, when none came); then drop what is kept up to there.
// H4  Filters are the caller's access check: a reader that may see one namespace sets `namespace`.
import type { EventType } from '../../actors/kernel/kind.ts';
import type { EventRecord } from '../../actors/kernel/ports.ts';

/** An event where it stands in the cluster's history. */
export interface HistoryEvent {
  readonly what: 'event';
  /** Of the transaction that recorded it; several events may share one. */
  readonly revision: number;
  readonly kind: string;
  readonly id: string;
  /** Whose: that of the object; a namespace's own are its, those of nodes and of what is nobody's are system's. */
  readonly namespace: string;
  readonly event: EventRecord;
}

/**
 * Why something is missing.
 * `compacted`: this archive was away for longer than the store remembers, and no other had it.
 * `before-archive`: the cluster is older than its archives.
 * `retention`: kept for as long as the settings say.
 * `bound`: more than is kept of one object.
 */
export type GapReason = 'compacted' | 'before-archive' | 'retention' | 'bound';

export interface HistoryGap {
  readonly what: 'gap';
  /** First and last revision in which something may be missing. */
  readonly from: number;
  readonly to: number;
  /** Events that are missing; null: not known. */
  readonly count: number | null;
  readonly reason: GapReason;
}

export type HistoryItem = HistoryEvent | HistoryGap;

/** Left out: any. */
export interface HistoryFilter {
  readonly namespace?: string;
  readonly kind?: string;
  readonly id?: string;
  readonly types?: readonly EventType[];
}

export interface HistoryQuery {
  /** Only what is after this revision; 0: all. */
  readonly after: number;
  /** Nothing after this revision; left out: all that is recorded. */
  readonly upTo?: number;
  readonly filter: HistoryFilter;
  /** Items at most, but for the rest of the last one's revision. */
  readonly limit: number;
}

export interface HistoryPage {
  readonly items: readonly HistoryItem[];
  /** All that matches up to this revision is in this page or before it: `after` of the next. */
  readonly through: number;
  /** False: `through` is `upTo`, or all that is recorded. */
  readonly more: boolean;
}

/** What has been recorded since the batch before; unfiltered. */
export interface HistoryBatch {
  /**
   * None: only the revision has moved on. Null: too much to be handed over at once (an archive that had been away has
   * caught up); who wants it reads it, after the batch before and up to `through`.
   */
  readonly items: readonly HistoryItem[] | null;
  readonly through: number;
}

export interface History {
  /** Recorded up to this revision. */
  readonly revision: number;
  /** Errors: `mesh/*`, `host/*`, `api/not-found` when no archive can be asked. */
  read(query: HistoryQuery): Promise<HistoryPage>;
  /** Calls with each batch, in order, in the turn in which it became readable; the returned function ends it. */
  onRecorded(listener: (batch: HistoryBatch) => void): () => void;
}

/** Whether the filter lets the event through. */
export function matches(filter: HistoryFilter, one: HistoryEvent): boolean {
  const { namespace, kind, id, types } = filter;
  if (namespace !== undefined && one.namespace !== namespace) return false;
  if (kind !== undefined && one.kind !== kind) return false;
  if (id !== undefined && one.id !== id) return false;
  return types === undefined || types.includes(one.event.type);
}

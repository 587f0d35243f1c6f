// What an archive keeps: events, versions of objects, and what is missing. Plain data, as it goes to the archive's
// thread and from one archive to another.
import type { EventType } from '../../actors/kernel/kind.ts';
import type { JsonObject } from '../../actors/kernel/json.ts';
import type { EventRecord } from '../../actors/kernel/ports.ts';
import type { GapReason } from './history.ts';

export interface EventRow {
  readonly what: 'event';
  readonly revision: number;
  readonly kind: string;
  readonly id: string;
  readonly namespace: string;
  readonly event: EventRecord;
}

/** An object as a revision left it. */
export interface VersionRow {
  readonly what: 'version';
  readonly revision: number;
  readonly kind: string;
  readonly id: string;
  readonly namespace: string;
  /** 0: it was removed. */
  readonly schema: number;
  /** Null: it was removed. */
  readonly state: JsonObject | null;
  /** Of the request that changed it; empty when that is not known. */
  readonly trace: string;
  /** When it was so, by the clock of whoever wrote it where that is known, else of who recorded it. */
  readonly atMs: number;
  /** Of a new object: there are no older ones. */
  readonly isFirst: boolean;
}

export type Row = EventRow | VersionRow;

/** Revisions of which something may be missing. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface GapRow extends Range {
  readonly count: number | null;
  readonly reason: GapReason;
  /** Whose events; empty: anybody's. */
  readonly namespace: string;
  /** Of this type; empty: of any. */
  readonly type: EventType | '';
}

/** The next of what the store has to say. */
export interface RecordBatch {
  /** In revision order, after the cursor and up to `revision`. */
  readonly rows: readonly Row[];
  readonly gaps: readonly GapRow[];
  /** Where the cursor stands afterwards. */
  readonly revision: number;
}

/** How far an archive has recorded. */
export interface ArchiveStatus {
  readonly revision: number;
  /** Revisions of which it may miss something that another may have. */
  readonly missing: readonly Range[];
}

export interface ExportPage {
  readonly rows: readonly Row[];
  /** What was removed by age or number: summaries, in the first page only. */
  readonly gaps: readonly GapRow[];
  /** All there is up to this revision is in this page or before it. */
  readonly through: number;
}

export interface NewestPage {
  readonly rows: readonly EventRow[];
  readonly more: boolean;
}

/** Which version gave a member of an object's state its value. */
export interface Blame {
  readonly member: string;
  /** Null: one before those that are kept. */
  readonly revision: number | null;
  readonly atMs: number | null;
  readonly trace: string;
}

/** Whose an object is: that of its state; a namespace is its own, and what has none is system's. */
export function namespaceOf(kind: string, id: string, state: unknown): string {
  if (kind === 'namespace') return id;
  if (typeof state !== 'object' || state === null) return NOBODYS;
  const { namespace } = state as { readonly namespace?: unknown };
  return typeof namespace === 'string' ? namespace : NOBODYS;
}

/** Nodes, the floating pool, blobs. */
const NOBODYS = 'system';

/** Of `ranges`, what is in `within` too, in order. */
export function overlap(ranges: readonly Range[], within: readonly Range[]): Range[] {
  return ranges
    .flatMap((one) =>
      within.map((other) => ({
        from: Math.max(one.from, other.from),
        to: Math.min(one.to, other.to),
      })),
    )
    .filter(({ from, to }) => from <= to)
    .toSorted((a, b) => a.from - b.from);
}

/** Of `ranges`, what is in none of `others`. */
export function without(ranges: readonly Range[], others: readonly Range[]): Range[] {
  let left = [...ranges];
  for (const other of others) {
    left = left.flatMap(({ from, to }) => [
      ...(from < other.from ? [{ from, to: Math.min(to, other.from - 1) }] : []),
      ...(to > other.to ? [{ from: Math.max(from, other.to + 1), to }] : []),
    ]);
  }
  return left.filter(({ from, to }) => from <= to).toSorted((a, b) => a.from - b.from);
}

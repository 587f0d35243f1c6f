// What an archive is asked for (archive-message.ts), answered from its tables.
//
// Q1  A page holds whole revisions, and never more bytes than a frame takes (but for a single row that is larger).
import type { DatabaseSync } from 'node:sqlite';
import type { JsonObject } from '../../actors/kernel/json.ts';
import { ANSWER_BYTES, MAX_ROWS, type ArchiveMessage } from './archive-message.ts';
import type { HistoryPage } from './history.ts';
import type {
  ArchiveStatus,
  Blame,
  EventRow,
  ExportPage,
  GapRow,
  NewestPage,
  VersionRow,
} from './record.ts';
import { eventRow, gapRow, historyGap, versionRow, type SqlRow } from './rows.ts';

type Asked<K extends ArchiveMessage['kind']> = Extract<ArchiveMessage, { kind: K }>;
type Value = string | number | null;

export function status(db: DatabaseSync): ArchiveStatus {
  const missing = gapRows(db).map(({ from, to }) => ({ from, to }));
  return { revision: cursorOf(db), missing };
}

/** What another archive may have. */
export function gapRows(db: DatabaseSync): GapRow[] {
  return db
    .prepare(`select * from gap where reason in ('compacted', 'before-archive')`)
    .all()
    .map((row) => gapRow(row));
}

/** How far the archive has recorded; 0: nothing yet. */
export function cursorOf(db: DatabaseSync): number {
  const found = db.prepare(`select value from meta where name = 'cursor'`).get();
  return Number(found?.['value'] ?? 0);
}

export function exportPage(db: DatabaseSync, { after, upTo }: Asked<'export'>): ExportPage {
  const last = Math.min(upTo, cursorOf(db));
  const range = [after, last];
  const events = db.prepare(
    'select * from event where own = 0 and revision > ? and revision <= ? order by revision',
  );
  const versions = db.prepare(
    'select * from version where revision > ? and revision <= ? order by revision',
  );
  const one = wholeRevisions(events.iterate(...range), MAX_ROWS);
  const other = wholeRevisions(versions.iterate(...range), MAX_ROWS);
  const through = Math.min(one.through ?? last, other.through ?? last);
  const isIn = (row: SqlRow) => Number(row['revision']) <= through;
  const rows = [
    ...other.rows.filter(isIn).map(versionRow),
    ...one.rows.filter(isIn).map(eventRow),
  ].toSorted((a, b) => a.revision - b.revision);
  const gaps = after === 0 ? pruned(db) : [];
  return { rows, gaps, through };
}

function pruned(db: DatabaseSync): GapRow[] {
  return db
    .prepare(`select * from gap where reason in ('retention', 'bound')`)
    .all()
    .map((row) => gapRow(row));
}

export function page(db: DatabaseSync, asked: Asked<'page'>): HistoryPage {
  const { after, limit } = asked;
  const upTo = Math.min(asked.upTo, cursorOf(db));
  const { from, where, values } = pageFilter(asked);
  const statement = db.prepare(
    `select * from ${from} where own = 0 and revision > ? and revision <= ? ${where} order by revision, event`,
  );
  const found = wholeRevisions(statement.iterate(after, upTo, ...values), limit);
  const through = found.through ?? upTo;
  const gaps = gapsIn(db, asked, through).map(historyGap);
  const events = found.rows.map((row) => eventRow(row));
  const items = [...events, ...gaps].toSorted((a, b) => placeOf(a) - placeOf(b));
  return { items, through: Math.max(after, through), more: through < upTo };
}

function placeOf(item: HistoryPage['items'][number]): number {
  return item.what === 'gap' ? item.to : item.revision;
}

/** The index is named, since without statistics SQLite cannot know which is the narrow one. */
function pageFilter({ namespace, of, id, types }: Asked<'page'>) {
  const all: [string, Value][] = [];
  if (namespace !== null) all.push(['namespace = ?', namespace]);
  if (of !== null) all.push(['kind = ?', of]);
  if (id !== null) all.push(['id = ?', id]);
  const listed = types === null ? '' : ` and type in (${types.map(() => '?').join(', ')})`;
  const where = all.map(([text]) => ` and ${text}`).join('') + listed;
  const index = namespace === null ? 'event_revision' : 'event_namespace';
  const from = of !== null && id !== null ? 'event' : `event indexed by ${index}`;
  return { from, where, values: [...all.map(([, value]) => value), ...(types ?? [])] };
}

/** Gaps that end in the page. Which object an event was of that is gone is not known. */
function gapsIn(db: DatabaseSync, asked: Asked<'page'>, through: number): GapRow[] {
  const { after, namespace, types } = asked;
  return db
    .prepare('select * from gap where to_revision > ? and to_revision <= ?')
    .all(after, through)
    .map((row) => gapRow(row))
    .filter((gap) => namespace === null || gap.namespace === '' || gap.namespace === namespace)
    .filter((gap) => types === null || gap.type === '' || types.includes(gap.type));
}

/**
 * Rows up to a limit, cut before the revision that would go over it; never less than one revision. `through` undefined:
 * there are no more.
 */
function wholeRevisions(
  found: Iterable<SqlRow>,
  limit: number,
): { readonly rows: readonly SqlRow[]; readonly through: number | undefined } {
  const rows: SqlRow[] = [];
  let bytes = 0;
  let start = 0;
  for (const row of found) {
    const isNew = rows.at(-1)?.['revision'] !== row['revision'];
    if (isNew) start = rows.length;
    bytes += sizeOf(row);
    const isOver = rows.length >= limit || bytes > ANSWER_BYTES;
    if (isOver && start > 0) {
      const whole = rows.slice(0, start);
      return { rows: whole, through: Number(whole.at(-1)?.['revision']) };
    }
    rows.push(row);
  }
  return { rows, through: undefined };
}

function sizeOf(row: SqlRow): number {
  let size = 100;
  for (const name of ['state', 'extra', 'message']) {
    const text = row[name];
    if (typeof text === 'string') size += text.length;
  }
  return size;
}

export function newest(db: DatabaseSync, asked: Asked<'newest'>): NewestPage {
  const { of, id, type, before, limit } = asked;
  const [revision, event] = before ?? [Number.MAX_SAFE_INTEGER, ''];
  const statement = db.prepare(
    `select * from event where kind = ? and id = ? and (revision, event) < (?, ?)
       and (?5 is null or type = ?5) order by revision desc, event desc`,
  );
  const rows: EventRow[] = [];
  let bytes = 0;
  for (const row of statement.iterate(of, id, revision, event, type)) {
    bytes += sizeOf(row);
    if (rows.length >= limit || (bytes > ANSWER_BYTES && rows.length > 0))
      return { rows, more: true };
    rows.push(eventRow(row));
  }
  return { rows, more: false };
}

export function version(db: DatabaseSync, asked: Asked<'version'>): VersionRow | null {
  const { of, id, revision, atMs } = asked;
  const row = db
    .prepare(
      `select * from version where kind = ?1 and id = ?2 and (?3 is null or revision <= ?3)
         and (?4 is null or at_ms <= ?4) order by revision desc limit 1`,
    )
    .get(of, id, revision, atMs);
  return row === undefined ? null : versionRow(row);
}

export function blame(db: DatabaseSync, { of, id }: Asked<'blame'>): Blame[] {
  const all = db
    .prepare('select * from version where kind = ? and id = ? order by revision desc')
    .iterate(of, id);
  const found: Blame[] = [];
  let left = new Map<string, string>();
  let newer: VersionRow | undefined;
  for (const row of all) {
    const one = versionRow(row);
    // A removed object is told of as it was before.
    if (newer === undefined && one.state === null) continue;
    if (newer === undefined) left = membersOf(one.state ?? {});
    else {
      for (const member of changed(left, one.state)) {
        found.push(blameOn(member, newer));
        left.delete(member);
      }
    }
    newer = one;
    if (left.size === 0) break;
  }
  const first = newer?.isFirst === true ? newer : undefined;
  for (const member of left.keys()) found.push(blameOn(member, first));
  return found;
}

function membersOf(state: JsonObject): Map<string, string> {
  return new Map(Object.entries(state).map(([name, value]) => [name, JSON.stringify(value)]));
}

/** Members that had another value in the older state. */
function changed(present: ReadonlyMap<string, string>, older: JsonObject | null): string[] {
  return [...present].flatMap(([name, text]) =>
    older === null || JSON.stringify(older[name]) !== text ? [name] : [],
  );
}

function blameOn(member: string, by: VersionRow | undefined): Blame {
  if (by === undefined) return { member, revision: null, atMs: null, trace: '' };
  return { member, revision: by.revision, atMs: by.atMs, trace: by.trace };
}

export function traced(db: DatabaseSync, asked: Asked<'traced'>): EventRow[] {
  const { trace, namespace, limit } = asked;
  return db
    .prepare(
      `select * from event where trace = ?1 and own = 0 and (?2 is null or namespace = ?2)
         order by revision, event limit ?3`,
    )
    .all(trace, namespace, limit)
    .map((row) => eventRow(row));
}

// How long an archive keeps what (contract: nodes, admin, events 4.2), and the removing of what is older, a slice at a time.
//
// T1  What is removed is noted in the same transaction: in the gaps, by namespace and type, for who replays; and as a
//     `prune` event on the object, for people. Prune events themselves go without a note.
// T2  The newest version of an object that is there is never removed: what an object is can always be told.
// T3  A note of our own stands at the revision that was recorded last, and goes to no other archive: each removes for itself.
import type { DatabaseSync } from 'node:sqlite';
import type { EventType } from '../../actors/kernel/kind.ts';
import { ulidFactory } from '../../actors/kernel/ulid.ts';
import type { EventRow } from './record.ts';
import { eventRow, eventValues, type SqlRow } from './rows.ts';

/** Null: for ever. */
export interface Retention {
  readonly eventAgeMs: Readonly<Record<EventType, number | null>>;
  readonly eventsPerObject: number | null;
  readonly versionAgeMs: number | null;
  readonly versionsPerObject: number | null;
}

/** A pass over all that is kept. */
export interface Sweep {
  readonly node: string;
  /** By the wall clock. */
  readonly startedAtMs: number;
  /** Recorded up to then. */
  readonly revision: number;
  readonly retention: Retention;
  /** Rows that one slice removes. */
  readonly slice: number;
}

const TYPES = ['audit', 'mutate', 'status', 'usage', 'resources', 'prune', 'historic'] as const;

/** Removes one slice; true: there may be more. Call it in a transaction. */
export function removeSlice(db: DatabaseSync, sweep: Sweep): boolean {
  return removeOldEvents(db, sweep) || removeSurplusEvents(db, sweep) || removeVersions(db, sweep);
}

function removeOldEvents(db: DatabaseSync, sweep: Sweep): boolean {
  const { retention, startedAtMs, slice } = sweep;
  for (const type of TYPES) {
    const ageMs = retention.eventAgeMs[type];
    if (ageMs === null) continue;
    const old = db
      .prepare('select * from event where type = ? and at_ms < ? order by at_ms limit ?')
      .all(type, startedAtMs - ageMs, slice);
    if (old.length === 0) continue;
    remove(db, sweep, old, 'retention');
    return true;
  }
  return false;
}

function removeSurplusEvents(db: DatabaseSync, sweep: Sweep): boolean {
  const { eventsPerObject: most } = sweep.retention;
  if (most === null) return false;
  const full = db
    .prepare(
      `select kind, id, count(*) as number from event where own = 0 group by kind, id
         having number > ? limit 1`,
    )
    .get(most);
  if (full === undefined) return false;
  const surplus = Math.min(Number(full['number']) - most, sweep.slice);
  const oldest = db
    .prepare('select * from event where kind = ? and id = ? and own = 0 order by revision limit ?')
    .all(String(full['kind']), String(full['id']), surplus);
  remove(db, sweep, oldest, 'bound');
  return true;
}

function remove(
  db: DatabaseSync,
  sweep: Sweep,
  rows: readonly SqlRow[],
  reason: 'retention' | 'bound',
): void {
  const drop = db.prepare(
    'delete from event where kind = ? and id = ? and revision = ? and event = ?',
  );
  const events = rows.filter((row) => row['own'] === 0).map((row) => eventRow(row));
  for (const row of rows) {
    const { kind, id, revision, event } = eventRow(row);
    drop.run(kind, id, revision, event.id);
  }
  const told = events.filter(({ event }) => event.type !== 'prune');
  for (const group of grouped(events, ({ namespace, event }) => [namespace, event.type]))
    noteGap(db, group, reason);
  for (const group of grouped(told, ({ kind, id, event }) => [kind, id, event.type]))
    noteOnObject(db, sweep, group);
}

function grouped(
  rows: readonly EventRow[],
  keyOf: (row: EventRow) => readonly string[],
): EventRow[][] {
  const groups = new Map<string, EventRow[]>();
  for (const row of rows) {
    const key = JSON.stringify(keyOf(row));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()];
}

function noteGap(db: DatabaseSync, events: readonly EventRow[], reason: string): void {
  const [first] = events;
  if (first === undefined) return;
  const revisions = events.map(({ revision }) => revision);
  const [from, to] = [Math.min(...revisions), Math.max(...revisions)];
  db.prepare(
    `insert into gap values (?, ?, ?, ?, ?, ?)
       on conflict (reason, namespace, type) where reason in ('retention', 'bound') do update set
         from_revision = min(from_revision, excluded.from_revision),
         to_revision = max(to_revision, excluded.to_revision), count = count + excluded.count`,
  ).run(from, to, events.length, reason, first.namespace, first.event.type);
}

/** One note for each type and sweep, which counts what all slices of the sweep have removed. */
function noteOnObject(db: DatabaseSync, sweep: Sweep, events: readonly EventRow[]): void {
  const [first] = events;
  if (first === undefined) return;
  const { kind, id, namespace, event } = first;
  const { node, startedAtMs: atMs, revision } = sweep;
  const key = noteId(atMs, event.type);
  const known = db
    .prepare('select * from event where kind = ? and id = ? and revision = ? and event = ?')
    .get(kind, id, revision, key);
  const before = known === undefined ? 0 : Number(eventRow(known).event.extra?.['count']);
  const count = before + events.length;
  const message = `pruned ${count} ${event.type} event${count === 1 ? '' : 's'}`;
  const extra = { count, 'event-type': event.type };
  const note = { id: key, atMs, node, trace: '', type: 'prune', message, extra } as const;
  const values = eventValues({ what: 'event', kind, id, namespace, revision, event: note });
  db.prepare('insert or replace into event values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)').run(
    ...values,
  );
}

/** As an id of events, so that it sorts among them. */
function noteId(atMs: number, type: EventType): string {
  const zero = ulidFactory({ number: () => 0, uuid: () => '' })(atMs);
  return `${zero.slice(0, -1)}${TYPES.indexOf(type)}`;
}

function removeVersions(db: DatabaseSync, { retention, startedAtMs, slice }: Sweep): boolean {
  const { versionAgeMs, versionsPerObject: most } = retention;
  if (versionAgeMs !== null) {
    const { changes } = db
      .prepare(
        `delete from version where rowid in (select rowid from version as one
           where at_ms < ? and (state is null or exists (select 1 from version as newer
             where newer.kind = one.kind and newer.id = one.id and newer.revision > one.revision))
           order by at_ms limit ?)`,
      )
      .run(startedAtMs - versionAgeMs, slice);
    if (Number(changes) > 0) return true;
  }
  if (most === null) return false;
  const full = db
    .prepare(
      'select kind, id, count(*) as number from version group by kind, id having number > ? limit 1',
    )
    .get(most);
  if (full === undefined) return false;
  const surplus = Math.min(Number(full['number']) - most, slice);
  db.prepare(
    `delete from version where rowid in
       (select rowid from version where kind = ? and id = ? order by revision limit ?)`,
  ).run(String(full['kind']), String(full['id']), surplus);
  return true;
}

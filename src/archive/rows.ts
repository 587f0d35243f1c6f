// Rows of an archive's tables, to plain data and back.
import type { JsonObject } from '../../actors/kernel/json.ts';
import type { EventType } from '../../actors/kernel/kind.ts';
import type { EventRecord } from '../../actors/kernel/ports.ts';
import type { HistoryGap } from './history.ts';
import type { EventRow, GapRow, VersionRow } from './record.ts';

/** As node:sqlite hands it over. */
export type SqlRow = Readonly<Record<string, unknown>>;

export function eventRow(row: SqlRow): EventRow {
  const extra = objectOf(row['extra']);
  const event: EventRecord = {
    id: String(row['event']),
    atMs: Number(row['at_ms']),
    node: String(row['node']),
    trace: String(row['trace']),
    type: String(row['type']) as EventType,
    message: String(row['message']),
    ...(extra === null ? {} : { extra }),
    ...(row['duration_ms'] === null ? {} : { durationMs: Number(row['duration_ms']) }),
  };
  return { what: 'event', ...whose(row), event };
}

export function versionRow(row: SqlRow): VersionRow {
  const state = objectOf(row['state']);
  return {
    what: 'version',
    ...whose(row),
    schema: Number(row['schema']),
    state,
    trace: String(row['trace']),
    atMs: Number(row['at_ms']),
    isFirst: row['is_first'] === 1,
  };
}

function objectOf(text: unknown): JsonObject | null {
  return typeof text === 'string' ? (JSON.parse(text) as JsonObject) : null;
}

function whose(row: SqlRow): Pick<EventRow, 'revision' | 'kind' | 'id' | 'namespace'> {
  return {
    revision: Number(row['revision']),
    kind: String(row['kind']),
    id: String(row['id']),
    namespace: String(row['namespace']),
  };
}

export function gapRow(row: SqlRow): GapRow {
  return {
    from: Number(row['from_revision']),
    to: Number(row['to_revision']),
    count: row['count'] === null ? null : Number(row['count']),
    reason: String(row['reason']) as GapRow['reason'],
    namespace: String(row['namespace']),
    type: String(row['type']) as GapRow['type'],
  };
}

export function historyGap({ from, to, count, reason }: GapRow): HistoryGap {
  return { what: 'gap', from, to, count, reason };
}

/** For the parameters of `insert into event`, but for `own`. */
export function eventValues({ revision, kind, id, namespace, event }: EventRow) {
  const { id: key, type, atMs, node, trace, message, durationMs = null } = event;
  const extra = event.extra === undefined ? null : JSON.stringify(event.extra);
  return [
    kind,
    id,
    revision,
    key,
    namespace,
    type,
    atMs,
    node,
    trace,
    message,
    durationMs,
    extra,
  ] as const;
}

// From the store's changes to what an archive keeps.
import type { JsonObject } from '../../actors/kernel/json.ts';
import type { EventRecord, Log } from '../../actors/kernel/ports.ts';
import { decodeEnvelope, type Envelope } from '../../transport/store/codec.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Change, Entry } from '../../transport/store/store.ts';
import { namespaceOf, type EventRow, type Row, type VersionRow } from './record.ts';

export interface DecodeOptions {
  readonly keys: Keys;
  readonly log: Log;
  /** Now, by the wall clock: of what does not say when it happened. */
  readonly nowMs: number;
}

/**
 * Rows of changes, in their order. The removal of an event says nothing: the outbox has been pruned. A row whose
 * namespace the changes do not tell has none (empty).
 */
export function rowsOf(changes: readonly Change[], options: DecodeOptions): Row[] {
  const rows = changes.flatMap((change) => rowOf(change, options) ?? []);
  const owners = new Map<string, string>();
  for (const row of rows) {
    if (row.what === 'version' && row.namespace !== '') owners.set(placeOf(row), row.namespace);
  }
  const owned = rows.map((row) => {
    return row.what === 'version' ? row : { ...row, namespace: owners.get(placeOf(row)) ?? '' };
  });
  return timed(owned, options.nowMs);
}

function placeOf({ revision, kind, id }: Row): string {
  return `${revision} ${kind}/${id}`;
}

/** A version is of the time of its events; without any, no later than what was recorded next. */
function timed(rows: readonly Row[], nowMs: number): Row[] {
  const own = new Map<string, number>();
  for (const row of rows) if (row.what === 'event') own.set(placeOf(row), row.event.atMs);
  let latest = nowMs;
  return rows
    .toReversed()
    .map((row) => {
      const atMs = row.what === 'event' ? row.event.atMs : own.get(placeOf(row));
      if (atMs !== undefined) latest = Math.min(latest, atMs);
      return row.what === 'event' ? row : { ...row, atMs: atMs ?? latest };
    })
    .toReversed();
}

function rowOf(change: Change, options: DecodeOptions): Row | undefined {
  const parsed = options.keys.parse(change.key);
  if (parsed?.area === 'events' && change.kind === 'put')
    return eventOf(change.entry, parsed, options.log);
  if (parsed?.area !== 'objects') return undefined;
  const { kind, id } = parsed;
  if (change.kind === 'put') return versionOf(change.entry, { kind, id }, options);
  const { revision } = change;
  const gone = { schema: 0, state: null, trace: '', isFirst: false };
  return { what: 'version', revision, kind, id, namespace: '', ...gone, atMs: options.nowMs };
}

function eventOf(
  entry: Entry,
  { kind, id }: { readonly kind: string; readonly id: string },
  log: Log,
): EventRow | undefined {
  const envelope = readable(entry, log);
  if (envelope === undefined) return undefined;
  const event = envelope.state as EventRecord;
  return { what: 'event', revision: entry.modRevision, kind, id, namespace: '', event };
}

function versionOf(
  entry: Entry,
  { kind, id }: { readonly kind: string; readonly id: string },
  { log, nowMs }: DecodeOptions,
): VersionRow | undefined {
  const envelope = readable(entry, log);
  if (envelope === undefined) return undefined;
  const { schema, state, trace = '' } = envelope;
  return {
    what: 'version',
    revision: entry.modRevision,
    kind,
    id,
    namespace: namespaceOf(kind, id, state),
    schema,
    state: state as JsonObject,
    trace,
    atMs: nowMs,
    isFirst: entry.version === 1,
  };
}

function readable(entry: Entry, log: Log): Envelope | undefined {
  const decoded = decodeEnvelope(entry.value);
  if (decoded.ok && typeof decoded.envelope.state === 'object') return decoded.envelope;
  const reason = decoded.ok ? 'not an object' : decoded.reason;
  log('error', 'unreadable value in the store, not archived', { key: entry.key, reason });
  return undefined;
}

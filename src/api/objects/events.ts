// Events of an object (contract: conventions 11).
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import type { Address, EventType } from '../../../actors/kernel/kind.ts';
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';
import type { EventRecord } from '../../../actors/kernel/ports.ts';
import { optional } from '../http/route.ts';
import { badRequest, type ApiServices } from '../services.ts';
import { wholeNumber } from './whole-number.ts';

export const TYPES = [
  'audit',
  'mutate',
  'status',
  'usage',
  'resources',
  'prune',
  'historic',
] as const satisfies readonly EventType[];
const DEFAULT_LIMIT = 100;

export const eventsBody = {
  event_type: optional(Type.String()),
  /** The command line of old sends it as text. */
  limit: Type.Optional(Type.Unknown()),
};

export const EventView = closed({
  /** Seconds since the epoch. */
  timestamp: Type.Number(),
  type: nullable(Type.String()),
  /** The node that recorded it. */
  fqdn: nullable(Type.String()),
  /** Seconds. */
  duration: nullable(Type.Number()),
  message: Type.String(),
  extra: nullable(Type.Record(Type.String(), Type.Unknown())),
});

export interface Story {
  /** What belongs to it and is kept elsewhere: `usage` of an instance. */
  readonly usage?: () => Promise<readonly EventRecord[]>;
  /** Which events of an object are part of it; default: all. */
  readonly isPart?: (address: Address, event: EventRecord) => boolean;
  /** What several namespaces share: of its events only those requests are named that others of the story name. */
  readonly isShared?: (address: Address) => boolean;
}

/** Of one object, or of several as one story; newest first. Errors: 400. */
export async function eventList(
  services: ApiServices,
  addresses: readonly Address[],
  body: { readonly event_type?: string | null; readonly limit?: unknown },
  { usage = () => Promise.resolve([]), isPart = () => true, isShared = () => false }: Story = {},
): Promise<Json> {
  const type = body.event_type ?? null;
  if (type !== null && !TYPES.some((one) => one === type)) {
    throw badRequest(`unknown event_type ${JSON.stringify(type)}; one of ${TYPES.join(', ')}`);
  }
  const limit = wholeNumber(body.limit ?? DEFAULT_LIMIT);
  if (limit === undefined) throw badRequest('limit is not an integer');
  const lists = await Promise.all([
    ...addresses.map(async (one) => {
      const found = await services.events(one, limit, type);
      const told = found.filter((event) => isPart(one, event));
      return told.map((event): Told => ({ event, isOwn: !isShared(one) }));
    }),
    ...(limit !== 0 && (type === null || type === 'usage') ? [used(usage)] : []),
  ]);
  const all = lists.flat().sort((a, b) => (a.event.id < b.event.id ? 1 : -1));
  const own = new Set(all.flatMap(({ event, isOwn }) => (isOwn ? [event.trace] : [])));
  const shown = limit < 0 ? all : all.slice(0, limit);
  return shown.map(({ event }) =>
    own.has(event.trace) ? eventView(event) : eventOfAnother(event),
  );
}

interface Told {
  readonly event: EventRecord;
  readonly isOwn: boolean;
}

async function used(usage: () => Promise<readonly EventRecord[]>): Promise<Told[]> {
  return (await usage()).map((event) => ({ event, isOwn: true }));
}

/** The id of a request may be one that its client chose. */
function eventOfAnother(event: EventRecord): JsonObject {
  return { ...eventView(event), extra: { ...event.extra } };
}

export function eventView(event: EventRecord): JsonObject {
  return {
    timestamp: event.atMs / 1000,
    type: event.type,
    fqdn: event.node,
    duration: (event.durationMs ?? 0) / 1000,
    message: event.message,
    extra: { ...event.extra, 'request-id': event.trace },
  };
}

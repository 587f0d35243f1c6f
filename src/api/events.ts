// Events of an object (contract: conventions 11).
import { Type } from '../../actors/kernel/schema.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { EventRecord } from '../../actors/kernel/ports.ts';
import { optional } from './route.ts';
import { badRequest, type ApiServices } from './services.ts';
import { wholeNumber } from './whole-number.ts';

const TYPES = ['audit', 'mutate', 'status', 'usage', 'resources', 'prune', 'historic'];
const DEFAULT_LIMIT = 100;

export const eventsBody = {
  event_type: optional(Type.String()),
  /** The command line of old sends it as text. */
  limit: Type.Optional(Type.Unknown()),
};

/** Newest first. Errors: 400. */
export async function eventList(
  services: ApiServices,
  address: Address,
  body: { readonly event_type?: string | null; readonly limit?: unknown },
): Promise<Json> {
  const type = body.event_type ?? null;
  if (type !== null && !TYPES.includes(type)) {
    throw badRequest(`unknown event_type ${JSON.stringify(type)}; one of ${TYPES.join(', ')}`);
  }
  const limit = wholeNumber(body.limit ?? DEFAULT_LIMIT);
  if (limit === undefined) throw badRequest('limit is not an integer');
  return (await services.events(address, limit, type)).map(eventView);
}

function eventView(event: EventRecord): Json {
  return {
    timestamp: event.atMs / 1000,
    type: event.type,
    fqdn: event.node,
    duration: (event.durationMs ?? 0) / 1000,
    message: event.message,
    extra: { ...event.extra, 'request-id': event.trace },
  };
}

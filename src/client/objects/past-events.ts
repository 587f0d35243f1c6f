// The events that an object has had.
import type { Given, Operation, Operator } from '../operator.ts';
import type { Event } from '../operations.ts';

export interface EventFilter {
  readonly type?: string;
  /** The newest; default 100, negative: all. */
  readonly limit?: number;
}

type EventOperation = Extract<Operation, `GET ${string}/events`>;

export async function eventsOf<O extends EventOperation>(
  operator: Operator,
  at: O,
  where: Given<O>,
  { type, limit = 100 }: EventFilter,
): Promise<readonly Event[]> {
  const body = { limit, ...(type === undefined ? {} : { event_type: type }) };
  return (await operator.call(at, { ...where, body: body as never })) as readonly Event[];
}

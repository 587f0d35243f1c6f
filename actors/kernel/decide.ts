// The deciding half of a turn, without I/O: from state and message to what has to be written.
//
// D1  A refusal leaves everything as it was.
// D2  A turn that changes nothing and records nothing writes nothing.
// D3  A state that the kind's own decoder does not accept is a crash, and is never written: better now
//     than at the next start.
// D4  Events carry the turn's time, node and trace, and are written with the state or not at all.
import type { Environment } from './environment.ts';
import { plainEqual } from './equal.ts';
import { TroupeError } from './errors.ts';
import type { Json } from './json.ts';
import type { EventDraft, Kind, KernelMessage, Message } from './kind.ts';
import type { EventRecord, TurnWrite } from './ports.ts';
import type { StoredObject } from './stored-object.ts';

export type Decision<S> =
  | { readonly kind: 'refused'; readonly error: TroupeError }
  | { readonly kind: 'unchanged'; readonly reply: Json }
  | {
      readonly kind: 'write';
      readonly state: S | null;
      readonly write: TurnWrite;
      readonly reply: Json;
    };

/** What a turn is about, besides the state. */
export interface TurnInput<M extends Message> {
  readonly message: M | KernelMessage;
  readonly trace: string;
  readonly epoch: number;
}

/** Throws whatever the kind throws: a crash. */
export function decide<S, M extends Message, E extends string>(
  kind: Kind<S, M, E>,
  object: StoredObject<S>,
  input: TurnInput<M>,
  env: Environment,
): Decision<S> {
  const now = env.clock.nowMs();
  const turn = { id: object.address.id, now, random: () => env.random.number() };
  const { state, events, reply, refusal } = kind.transition(object.state, input.message, turn);
  if (refusal !== null)
    return { kind: 'refused', error: new TroupeError(refusal.code, refusal.reason) };
  const isSame = state === null ? !object.exists : plainEqual(state, object.state);
  if (isSame && events.length === 0) return { kind: 'unchanged', reply };
  const told = state === null ? [...events, REMOVED] : events;
  const write = turnWrite(kind, object, { ...input, state, events: told, now }, env);
  return { kind: 'write', state, write, reply };
}

/** The last that is said of an object (contract: nodes, admin, events 4.4). */
const REMOVED: EventDraft = { type: 'audit', message: 'hard deleted object' };

interface Change<S> {
  readonly state: S | null;
  readonly events: readonly EventDraft[];
  readonly trace: string;
  readonly epoch: number;
  readonly now: number;
}

/** What parking writes; null when the object is parked for this reason already. Throws: a crash. */
export function parkingWrite<S, M extends Message, E extends string>(
  kind: Kind<S, M, E>,
  object: StoredObject<S>,
  parking: { readonly reason: string; readonly trace: string; readonly epoch: number },
  env: Environment,
): { readonly state: S; readonly write: TurnWrite } | null {
  const now = env.clock.nowMs();
  const state = kind.parked(object.state, parking.reason, now);
  if (plainEqual(state, object.state)) return null;
  const events = [{ type: 'status', message: `parked: ${parking.reason}` }] as const;
  return { state, write: turnWrite(kind, object, { ...parking, state, events, now }, env) };
}

function turnWrite<S, M extends Message, E extends string>(
  kind: Kind<S, M, E>,
  object: StoredObject<S>,
  { state, events, trace, epoch, now }: Change<S>,
  env: Environment,
): TurnWrite {
  const { schema } = kind.snapshot;
  if (state !== null) kind.snapshot.decode(state);
  return {
    address: object.address,
    epoch,
    snapshot: state === null ? null : { schema, state, trace },
    events: events.map((draft): EventRecord => {
      return { ...draft, id: env.eventId(now), atMs: now, node: env.node, trace };
    }),
    index: {
      before: object.exists ? kind.index(object.state) : null,
      after: state === null ? null : kind.index(state),
    },
  };
}

// Who may come to this machine: the node decides, and it alone, so that many who are placed at once do not
// together take more than there is.
//
// R1  One writer: what a turn grants, the next turn counts. A copy of the state may be old; this one is not.
// R2  The same instance is granted the same again: its actor may have died between the grant and its own record.
// R3  Nothing leaks: whoever holds a reservation and does not say that it is placed here is asked, and loses it
//     (src/daemon/reservation-audit.ts); whoever is placed here and has none is taken in.
import { next, refuse, type Step, type Turn } from '../kernel/kind.ts';
import { capacityOf, hasRole, shortageOf } from './capacity.ts';
import type { Amount, Grant, NodeMessage, NodeState, Reservation } from './state.ts';

type Of<K extends NodeMessage['kind']> = Extract<NodeMessage, { kind: K }>;

/** The state of a node is one value in the store. */
const MOST_RESERVATIONS = 2_000;

/** Replies with a Grant. */
export function reserve(state: NodeState, message: Of<'reserve'>, turn: Turn): Step<NodeState> {
  const { instanceId } = message;
  if (state.phase !== 'created') {
    return refuse(state, 'object/wrong-phase', `node ${turn.id} is in state ${state.phase}`);
  }
  if (Object.hasOwn(state.reservations, instanceId)) return next(state, [], GRANTED);
  const refusal = refusalOf(state, message);
  if (refusal !== null) return next(state, [], { isGranted: false, ...refusal });
  return next(withReservations(state, [message], turn), [], GRANTED);
}

const GRANTED: Grant = { isGranted: true };

function refusalOf(state: NodeState, wanted: Of<'reserve'>) {
  const unusable = { check: 'hypervisors' } as const;
  if (!hasRole(state, 'hypervisor')) return { ...unusable, reason: 'is no hypervisor' };
  if (state.isDraining) return { ...unusable, reason: 'is being drained' };
  const held = Object.keys(state.reservations).length;
  if (held >= MOST_RESERVATIONS) return { ...unusable, reason: `holds ${held} instances` };
  const capacity = capacityOf(state, wanted.instanceId);
  if (capacity === null) return { ...unusable, reason: 'has measured nothing yet' };
  return shortageOf(wanted, capacity);
}

/** On `adopt`: they are here already, so nobody asks whether they fit. */
export function adopt(state: NodeState, { instances }: Of<'adopt'>, turn: Turn): Step<NodeState> {
  const missing = instances.filter((one) => !Object.hasOwn(state.reservations, one.instanceId));
  return next(missing.length === 0 ? state : withReservations(state, missing, turn));
}

export function release(state: NodeState, { instanceIds }: Of<'release'>): Step<NodeState> {
  const gone = new Set(instanceIds);
  const left = Object.entries(state.reservations).filter(([id]) => !gone.has(id));
  return next({ ...state, reservations: Object.fromEntries(left) });
}

/** Gauges and what they contain change together (C3 in capacity.ts). */
export function measured(state: NodeState, message: Of<'measured'>): Step<NodeState> {
  const { gauges } = message;
  return next({ ...state, gauges, reservations: marked(state.reservations, message) });
}

/** Nobody has looked: what the gauges will show as free is not known to be used. */
export function unmarked(reservations: NodeState['reservations']): NodeState['reservations'] {
  return marked(reservations, { running: [], built: [] });
}

function marked(
  reservations: NodeState['reservations'],
  seen: Pick<Of<'measured'>, 'running' | 'built'>,
): NodeState['reservations'] {
  const [running, built] = [new Set(seen.running), new Set(seen.built)];
  const rows = Object.entries(reservations).map(([id, one]) => {
    return [id, { ...one, isRunning: running.has(id), isBuilt: built.has(id) }] as const;
  });
  return Object.fromEntries(rows);
}

function withReservations(
  state: NodeState,
  wanted: readonly (Amount & { readonly instanceId: string })[],
  turn: Turn,
): NodeState {
  const fresh = { grantedAtMs: turn.now, isRunning: false, isBuilt: false };
  const granted = wanted.map(({ instanceId, cpus, memoryMiB, diskGiB }) => {
    const reservation: Reservation = { cpus, memoryMiB, diskGiB, ...fresh };
    return [instanceId, reservation] as const;
  });
  return { ...state, reservations: { ...state.reservations, ...Object.fromEntries(granted) } };
}

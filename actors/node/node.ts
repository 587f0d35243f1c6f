// One machine: the only pinned kind, decided by its own daemon. It owns the machine's executors (executors.ts),
// and records what the machine is, where it differs from what is wanted, and to whom it is promised (reservations.ts).
import { withMetadata } from '../kernel/metadata.ts';
import { defineKind, next, refuse, STANDING } from '../kernel/kind.ts';
import type { EventDraft, KernelMessage, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, newLife } from '../kernel/object.ts';
import { adopt, measured, release, reserve, unmarked } from './reservations.ts';
import { nodeSnapshot } from './snapshot.ts';
import { decodeNodeMessage, type NodeMessage, type NodeState } from './state.ts';

export type NodeEffect = 'announce';

/** Of one audit; a machine with more differences than that has one problem, not many. */
const MOST_DRIFTS = 100;

export const initial: NodeState = {
  phase: 'none',
  bootId: '',
  machine: null,
  gauges: null,
  reservations: {},
  isDraining: false,
  drainChanges: 0,
  drifts: [],
  ...newLife,
};

type Of<K extends NodeMessage['kind']> = Extract<NodeMessage, { kind: K }>;

function transition(
  state: NodeState,
  message: NodeMessage | KernelMessage,
  turn: Turn,
): Step<NodeState> {
  const isThere = state.phase !== 'none' && state.phase !== 'deleted';
  if (!isThere && message.kind !== 'register') {
    return refuse(state, 'object/not-found', 'node not found');
  }
  switch (message.kind) {
    case 'register':
      return register(state, message, turn);
    case 'drift-found':
      return driftFound(state, message);
    case 'measured':
      return measured(state, message);
    case 'reserve':
      return reserve(state, message, turn);
    case 'release':
      return release(state, message);
    case 'adopt':
      return adopt(state, message, turn);
    case 'set-draining':
      return setDraining(state, message.isDraining);
    case 'resources':
      return next(state, resourceEvents(message));
    case 'announced':
      return next(state);
    case 'effect-failed':
    case 'time-reached':
      return next(state);
  }
}

/** A daemon that joins again after an outage is the same daemon: nothing started. */
function register(before: NodeState, message: Of<'register'>, turn: Turn): Step<NodeState> {
  const state = before.phase === 'deleted' ? another(before) : before;
  const { bootId, machine, gauges } = message;
  // Guests may have ended while no daemon looked; those that run are found by the next measuring.
  const reservations = unmarked(state.reservations);
  const said = { machine, gauges, reservations };
  if (state.phase === 'created' && state.bootId === bootId) return next({ ...state, ...said });
  const extra = { bootId, roles: [...machine.roles], ...machine.versions };
  const started = { phase: 'created', bootId, ...said, failure: null } as const;
  return next({ ...state, ...started, sinceMs: turn.now }, [
    { type: 'audit', message: 'daemon started', extra },
  ]);
}

/** A machine that was invited under the name of one that was removed. */
function another({ drainChanges }: NodeState): NodeState {
  return { ...initial, drainChanges };
}

/** By these words existing clients find them (contract: nodes 1.6). */
function resourceEvents({ resources, hogs }: Of<'resources'>): EventDraft[] {
  const message = 'updated node resources and package versions';
  const events: EventDraft[] = [{ type: 'resources', message, extra: resources }];
  if (Object.keys(hogs).length > 0) {
    events.push({ type: 'status', message: 'processes use much CPU', extra: hogs });
  }
  return events;
}

/** What runs there runs on; nothing new comes. */
function setDraining(state: NodeState, isDraining: boolean): Step<NodeState> {
  if (state.isDraining === isDraining) return next(state);
  const message = isDraining ? 'draining: takes nothing more' : 'takes work again';
  const drainChanges = state.drainChanges + 1;
  return next({ ...state, isDraining, drainChanges }, [{ type: 'audit', message }]);
}

/** How much of the shards the machine's daemon is to carry: told to the cluster at each start, and at each change. */
function effects(state: NodeState): Wanted<NodeEffect>[] {
  if (state.phase !== 'created') return [];
  return [{ name: 'announce', key: `${state.bootId} ${state.drainChanges}` }];
}

/** What the last audit found already, and could not repair, is not told again: audits go on for ever. */
function driftFound(state: NodeState, { drifts }: Of<'drift-found'>): Step<NodeState> {
  const known = new Set(state.drifts);
  const events = drifts
    .filter((drift) => !known.has(nameOf(drift)))
    .map((drift): EventDraft => ({ type: 'audit', message: 'drift', extra: { ...drift } }));
  const left = drifts.filter((drift) => !drift.repaired).map(nameOf);
  return next({ ...state, drifts: left.slice(0, MOST_DRIFTS) }, events.slice(0, MOST_DRIFTS));
}

function nameOf({ resource, name, problem }: Of<'drift-found'>['drifts'][number]): string {
  return `${resource} ${name} ${problem}`;
}

export const node = withMetadata(
  defineKind<NodeState, NodeMessage, NodeEffect>({
    kind: 'node',
    placement: 'pinned',
    initial,
    decodeMessage: decodeNodeMessage,
    transition,
    effects,
    policies: { announce: STANDING },
    passing: () => null,
    timer: () => null,
    index: () => null,
    // A machine whose own record cannot be kept must not go on deciding for others.
    onCrash: (_error, restarts) => (restarts < 5 ? 'restart' : 'stop-daemon'),
    parked: (state, reason, now) => ({
      ...state,
      phase: 'error',
      sinceMs: now,
      failure: failure('actor/crashed', reason),
    }),
    snapshot: nodeSnapshot,
  }),
);

// One machine: the only pinned kind, decided by its own daemon. It owns the machine's executors (executors.ts),
// and records what the machine is and where it differs from what is wanted.
import { defineKind, next, refuse } from '../kernel/kind.ts';
import type { KernelMessage, Step, Turn } from '../kernel/kind.ts';
import { failure, newLife } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import { decodeNodeMessage, NodeState, type NodeMessage } from './state.ts';

export const initial: NodeState = { phase: 'none', bootId: '', machine: null, ...newLife };

function transition(
  state: NodeState,
  message: NodeMessage | KernelMessage,
  turn: Turn,
): Step<NodeState> {
  if (state.phase === 'none' && message.kind !== 'register') {
    return refuse(state, 'object/not-found', 'node not found');
  }
  switch (message.kind) {
    case 'register': {
      const { bootId, machine } = message;
      return next({ ...state, phase: 'created', bootId, machine, sinceMs: turn.now }, [
        { type: 'audit', message: 'daemon started', extra: { bootId, ...machine.versions } },
      ]);
    }
    case 'drift-found':
      return next(
        state,
        message.drifts.map((drift) => ({ type: 'audit', message: 'drift', extra: { ...drift } })),
      );
    case 'effect-failed':
    case 'time-reached':
      return next(state);
  }
}

export const node = defineKind<NodeState, NodeMessage, never>({
  kind: 'node',
  placement: 'pinned',
  initial,
  decodeMessage: decodeNodeMessage,
  transition,
  effects: () => [],
  policies: {},
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
  snapshot: { schema: 1, decode: decoder('node', NodeState, 'actor/bad-snapshot'), migrations: {} },
});

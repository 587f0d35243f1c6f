// A namespace: keys to log in with. It exists from its creation on and has no passing states.
import { defineKind, next, refuse, restartThenPark } from '../kernel/kind.ts';
import type { KernelMessage, Step, Turn } from '../kernel/kind.ts';
import { failure, newLife } from '../kernel/object.ts';
import { withMetadata } from '../kernel/metadata.ts';
import { decoder } from '../kernel/schema.ts';
import { decodeNamespaceMessage, NamespaceState, SYSTEM, type NamespaceMessage } from './state.ts';

export const initial: NamespaceState = { phase: 'none', keys: {}, trusts: [SYSTEM], ...newLife };

function transition(
  state: NamespaceState,
  message: NamespaceMessage | KernelMessage,
  turn: Turn,
): Step<NamespaceState> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', 'namespace not found');
  }
  switch (message.kind) {
    case 'create':
      if (state.phase !== 'none') return next(state);
      return next({ ...state, phase: 'created', sinceMs: turn.now }, [
        { type: 'audit', message: 'created namespace' },
      ]);
    case 'set-key':
      return next({ ...state, keys: { ...state.keys, [message.name]: message.key } }, [
        { type: 'audit', message: 'key set', extra: { key: message.name } },
      ]);
    case 'effect-failed':
    case 'time-reached':
      return next(state);
  }
}

export const namespace = withMetadata(
  defineKind<NamespaceState, NamespaceMessage, never>({
    kind: 'namespace',
    placement: 'sharded',
    initial,
    decodeMessage: decodeNamespaceMessage,
    transition,
    effects: () => [],
    policies: {},
    passing: () => null,
    timer: () => null,
    index: () => null,
    onCrash: restartThenPark,
    parked: (state, reason, now) => ({
      ...state,
      phase: 'error',
      sinceMs: now,
      failure: failure('actor/crashed', reason),
    }),
    snapshot: {
      schema: 1,
      decode: decoder('namespace', NamespaceState, 'actor/bad-snapshot'),
      migrations: {},
    },
  }),
);

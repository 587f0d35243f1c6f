// A namespace: keys to log in with, and who may act on it besides. It has no passing states; what belongs to it is
// deleted before it (src/api/identity/namespaces.ts).
import { defineKind, next, refuse, restartThenPark } from '../kernel/kind.ts';
import type { EventDraft, KernelMessage, Step, Turn } from '../kernel/kind.ts';
import { failure, forgetAtMs, isForgettable, newLife } from '../kernel/object.ts';
import { fingerprint, liveKeys, nextExpiry } from './keys.ts';
import { withMetadata } from '../kernel/metadata.ts';
import { decoder } from '../kernel/schema.ts';
import {
  decodeNamespaceMessage,
  NamespaceState,
  SYSTEM,
  type NamespaceKey,
  type NamespaceMessage,
} from './state.ts';

export const initial: NamespaceState = { phase: 'none', keys: {}, trusts: [SYSTEM], ...newLife };

type Of<K extends NamespaceMessage['kind']> = Extract<NamespaceMessage, { kind: K }>;

function transition(
  state: NamespaceState,
  message: NamespaceMessage | KernelMessage,
  turn: Turn,
): Step<NamespaceState> {
  switch (message.kind) {
    case 'create':
      return isThere(state) ? next(state) : found(undefined, turn);
    case 'found':
      if (!isThere(state)) return found(message.key, turn);
      return refuse(state, 'object/exists', 'namespace exists');
    case 'effect-failed':
      return next(state);
    case 'time-reached':
      return timeReached(state, turn);
    case 'used':
      if (!isThere(state)) return refuse(state, 'object/not-found', 'namespace not found');
      return next(state, [{ type: 'audit', message: message.use, extra: message.extra }]);
    case 'set-key':
    case 'remove-key':
    case 'trust':
    case 'untrust':
    case 'delete':
      if (isThere(state)) return changed(state, message, turn);
      return refuse(state, 'object/not-found', 'namespace not found');
  }
}

/** A key that has ended has been nobody's since then; now it goes. */
function timeReached(state: NamespaceState, turn: Turn): Step<NamespaceState> {
  if (isForgettable(state, turn.now)) return next<NamespaceState>(null);
  const keys = Object.fromEntries(liveKeys(state, turn.now));
  const ended = Object.keys(state.keys).filter((name) => !Object.hasOwn(keys, name));
  if (ended.length === 0) return next(state);
  const events = ended.map((name) => keyEvent('key has ended', name));
  return next({ ...state, keys }, events);
}

function isThere({ phase }: NamespaceState): boolean {
  return phase === 'created' || phase === 'error';
}

/** A name that was deleted is free again: nothing of the old one is kept. */
function found(first: Of<'found'>['key'], turn: Turn): Step<NamespaceState> {
  const keys = first === undefined ? {} : { [first.name]: first.key };
  const state = { ...initial, phase: 'created', keys, sinceMs: turn.now } as const;
  const events: EventDraft[] = [{ type: 'audit', message: 'created namespace' }];
  if (first !== undefined) events.push(keyEvent('key set', first.name, first.key));
  return next(state, events);
}

type Change = Of<'set-key' | 'remove-key' | 'trust' | 'untrust' | 'delete'>;

function changed(state: NamespaceState, message: Change, turn: Turn): Step<NamespaceState> {
  switch (message.kind) {
    case 'set-key': {
      const { name, key } = message;
      return next({ ...state, keys: { ...state.keys, [name]: key } }, [
        keyEvent('key set', name, key),
      ]);
    }
    case 'remove-key': {
      const { name } = message;
      if (!Object.hasOwn(state.keys, name)) {
        return refuse(state, 'object/not-found', 'key name not found in namespace');
      }
      const { [name]: _, ...keys } = state.keys;
      return next({ ...state, keys }, [keyEvent('key removed', name)]);
    }
    case 'trust':
      return trusting(state, [...new Set([...state.trusts, message.namespace])], 'trust added');
    case 'untrust': {
      const isKept = (one: string) => one === SYSTEM || one !== message.namespace;
      return trusting(state, state.trusts.filter(isKept), 'trust removed');
    }
    case 'delete':
      if (turn.id === SYSTEM) {
        return refuse(state, 'object/wrong-phase', 'you cannot delete the system namespace');
      }
      return next(
        { ...state, phase: 'deleted', keys: {}, sinceMs: turn.now, deletedAtMs: turn.now },
        [{ type: 'audit', message: 'deleted namespace' }],
      );
  }
}

function trusting(state: NamespaceState, trusts: string[], message: string): Step<NamespaceState> {
  if (trusts.length === state.trusts.length) return next(state);
  return next({ ...state, trusts }, [{ type: 'audit', message, extra: { trusts } }]);
}

function keyEvent(message: string, name: string, key?: NamespaceKey): EventDraft {
  const which = key === undefined ? {} : { fingerprint: fingerprint(key), ...endOf(key) };
  return { type: 'audit', message, extra: { key: name, ...which } };
}

function endOf({ expiresAtMs }: NamespaceKey): { readonly expires_at?: number } {
  return expiresAtMs === null ? {} : { expires_at: expiresAtMs / 1000 };
}

/** The retention of a deleted one, or the end of a key. */
function timer(state: NamespaceState): number | null {
  return forgetAtMs(state) ?? nextExpiry(state);
}

function withoutEnds(old: unknown): unknown {
  const state = old as { readonly keys: Readonly<Record<string, object>> };
  const keys = Object.entries(state.keys).map(([name, key]) => [
    name,
    { ...key, expiresAtMs: null },
  ]);
  return { ...state, keys: Object.fromEntries(keys) as unknown };
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
    timer,
    index: () => null,
    onCrash: restartThenPark,
    parked: (state, reason, now) => {
      const why = { failure: failure('actor/crashed', reason) };
      return state.phase === 'deleted'
        ? { ...state, ...why }
        : { ...state, ...why, phase: 'error', sinceMs: now };
    },
    snapshot: {
      schema: 2,
      decode: decoder('namespace', NamespaceState, 'actor/bad-snapshot'),
      // Keys had no end.
      migrations: { 1: withoutEnds },
    },
  }),
);

// A blob: fetched, checked and hashed by one node before it counts, kept while something uses it.
//
// initial ──fetched──▶ created ──last unuse──▶ delete-wait ──replicas-removed──▶ deleted
//    └── fetch refused or given up ──▶ error ──last unuse──▶ delete-wait
import { defineKind, next, refuse, restartThenPark, PATIENT, STANDING } from '../kernel/kind.ts';
import type { EffectPolicy, KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, forgetAtMs, isForgettable, newLife } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { BlobState, decodeBlobMessage, type BlobMessage } from './state.ts';

export type BlobEffect = 'fetch' | 'tell-users' | 'remove-replicas' | 'forget';

/** Longest a fetch may take from its first attempt; a broken-off one is resumed, not begun again. */
const FETCH_MS = 1_800_000;
const REMOVE_MS = 120_000;
const FETCHING: EffectPolicy = { deadlineMs: FETCH_MS, backoffMs: 500, maxBackoffMs: 15_000 };

export const initial: BlobState = {
  phase: 'none',
  source: null,
  content: null,
  nodes: [],
  users: [],
  progress: { step: '', percent: null },
  generation: 0,
  ...newLife,
};

function transition(
  state: BlobState,
  message: BlobMessage | KernelMessage,
  turn: Turn,
): Step<BlobState> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', `blob ${turn.id} does not exist`);
  }
  switch (message.kind) {
    case 'create':
      return create(state, message, turn);
    case 'progressed': {
      const { step, percent } = message;
      if (state.phase !== 'initial') return next(state);
      return next({ ...state, progress: { step, percent } }, [
        { type: 'status', message: 'fetching', extra: { step, percent } },
      ]);
    }
    case 'fetched':
      return fetched(state, message, turn);
    case 'use':
      return use(state, message.user, turn);
    case 'unuse':
      return unuse(state, message.user, turn);
    case 'delete':
      if (state.phase === 'delete-wait' || state.phase === 'deleted') return next(state);
      return startDeleting(state, turn);
    case 'replicas-removed':
      if (state.phase !== 'delete-wait') return next(state);
      return next(
        { ...state, phase: 'deleted', nodes: [], sinceMs: turn.now, deletedAtMs: turn.now },
        [{ type: 'audit', message: 'deleted' }],
      );
    case 'forgotten':
      return next<BlobState>(null);
    case 'effect-failed':
      if (state.phase !== 'initial') return next(state);
      return fail(state, message.code, message.reason, turn);
    case 'time-reached':
      if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true });
      return next(state);
  }
}

function create(
  state: BlobState,
  message: Extract<BlobMessage, { kind: 'create' }>,
  turn: Turn,
): Step<BlobState> {
  if (state.phase !== 'none') return next(state);
  const { source, node, user } = message;
  const asked = { ...state, source, nodes: [node], users: [user], generation: 1 };
  return next({ ...asked, phase: 'initial', sinceMs: turn.now }, [
    { type: 'audit', message: 'fetch started', extra: { node } },
  ]);
}

function fetched(
  state: BlobState,
  message: Extract<BlobMessage, { kind: 'fetched' }>,
  turn: Turn,
): Step<BlobState> {
  if (state.phase !== 'initial') return next(state);
  const { sizeBytes, sha512, virtualSizeBytes } = message.content;
  return next({ ...state, phase: 'created', content: message.content, sinceMs: turn.now }, [
    {
      type: 'audit',
      message: 'fetched',
      extra: { sizeBytes, sha512, virtualSizeBytes },
      durationMs: turn.now - state.sinceMs,
    },
  ]);
}

function use(state: BlobState, user: string, turn: Turn): Step<BlobState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') {
    return refuse(
      state,
      'image/missing',
      `blob ${turn.id} is being deleted; choose another image version`,
    );
  }
  if (state.users.includes(user)) return next(state);
  return next({ ...state, users: [...state.users, user] });
}

function unuse(state: BlobState, user: string, turn: Turn): Step<BlobState> {
  if (!state.users.includes(user)) return next(state);
  const left = { ...state, users: state.users.filter((other) => other !== user) };
  if (left.users.length > 0 || state.phase === 'delete-wait' || state.phase === 'deleted') {
    return next(left);
  }
  return startDeleting(left, turn);
}

function startDeleting(state: BlobState, turn: Turn): Step<BlobState> {
  const generation = state.generation + 1;
  return next({ ...state, phase: 'delete-wait', generation, sinceMs: turn.now }, [
    { type: 'audit', message: 'no longer used, deleting' },
  ]);
}

function fail(state: BlobState, code: ErrorCode, reason: string, turn: Turn): Step<BlobState> {
  return next({ ...state, phase: 'error', sinceMs: turn.now, failure: failure(code, reason) }, [
    { type: 'audit', message: 'fetch failed', extra: { code, reason } },
  ]);
}

function effects(state: BlobState): Wanted<BlobEffect>[] {
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      return [{ name: 'fetch', key: '' }];
    case 'created':
    case 'error':
      // A new user is told at once; the ones told before hear it again, harmlessly.
      return [{ name: 'tell-users', key: state.users.join() }];
    case 'delete-wait':
      return [{ name: 'remove-replicas', key: '' }];
    case 'deleted':
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

function passing(state: BlobState): Passing<BlobMessage> | null {
  const since = { sinceMs: state.sinceMs, cancel: { kind: 'delete' } } as const;
  if (state.phase === 'initial') {
    const { step, percent } = state.progress;
    const reason =
      percent === null ? `fetching: ${step || 'starting'}` : `fetching: ${step} ${percent} %`;
    return { ...since, reason, deadlineAtMs: state.sinceMs + FETCH_MS };
  }
  if (state.phase === 'delete-wait') {
    return { ...since, reason: 'removing replicas', deadlineAtMs: state.sinceMs + REMOVE_MS };
  }
  return null;
}

export const blob = defineKind<BlobState, BlobMessage, BlobEffect>({
  kind: 'blob',
  placement: 'sharded',
  initial,
  decodeMessage: decodeBlobMessage,
  transition,
  effects,
  policies: {
    fetch: FETCHING,
    'tell-users': PATIENT,
    'remove-replicas': STANDING,
    forget: STANDING,
  },
  passing,
  timer: forgetAtMs,
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
    decode: decoder('blob', BlobState, 'actor/bad-snapshot'),
    migrations: {},
  },
});

// A blob: fetched, checked and hashed by one node before it counts, kept while something uses it.
//
// initial ──fetched──▶ created ──last unuse──▶ delete-wait ──replicas-removed──▶ deleted
//    └── fetch refused or given up ──▶ error ──last unuse──▶ delete-wait
//
// B1  What was given up is removed from its node at once, under a newer generation than the fetch had.
// B2  A complete replica goes only when nothing uses the blob: disks may be based on it.
// B3  Users are told until they have heard; one that does not know the blob (any more) is no user.
import { defineKind, next, refuse, restartThenPark, STANDING } from '../kernel/kind.ts';
import type { EffectPolicy, KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, isForgettable, newLife } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import {
  INSISTENT,
  isPaused,
  isWanted,
  setBack,
  timerOf,
  tryAgain,
  withSetback,
} from '../kernel/setback.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { BlobState, decodeBlobMessage, type BlobMessage } from './state.ts';

export type BlobEffect = 'fetch' | 'tell-users' | 'remove-replicas' | 'forget';

type Of<K extends BlobMessage['kind']> = Extract<BlobMessage, { kind: K }>;

/** Longest a fetch may take; a broken-off one is resumed, not begun again. */
const TRY_MS = 1_800_000;
/** The same across restarts, which begin to count anew; longer, so that the effect's own reason is the one that is seen. */
const FETCH_MS = TRY_MS + 30_000;
const REMOVE_MS = 300_000;
const FETCHING: EffectPolicy = { deadlineMs: TRY_MS, backoffMs: 500, maxBackoffMs: 15_000 };

export const initial: BlobState = {
  phase: 'none',
  source: null,
  content: null,
  nodes: [],
  users: [],
  progress: { step: '', percent: null },
  generation: 0,
  setback: null,
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
    case 'progressed':
      return progressed(state, message);
    case 'fetched':
      return fetched(state, message, turn);
    case 'use':
      return use(state, message.user, turn);
    case 'unuse':
      return unuse(state, [message.user], turn);
    case 'users-gone':
      return unuse(state, message.users, turn);
    case 'account-for': {
      const isKept = state.nodes.includes(message.node) && state.phase !== 'deleted';
      return next(state, [], { isKept, generation: state.generation });
    }
    case 'delete':
      return requestDelete(state, turn);
    case 'replicas-removed':
      return replicasRemoved(state, message.generation, turn);
    case 'forgotten':
      return next(state.forgetting ? null : state);
    case 'effect-failed':
      if (!isWanted(effects(state), message)) return next(state);
      if (message.effect !== 'fetch') return setBack(state, message, turn);
      return fail(state, message.code, message.reason, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function create(state: BlobState, message: Of<'create'>, turn: Turn): Step<BlobState> {
  if (state.phase !== 'none') return next(state);
  const { source, node, user } = message;
  const asked = { ...state, source, nodes: [node], users: [user], generation: 1 };
  return next({ ...asked, phase: 'initial', sinceMs: turn.now }, [
    { type: 'audit', message: 'fetch started', extra: { node } },
  ]);
}

function progressed(state: BlobState, { step, percent }: Of<'progressed'>): Step<BlobState> {
  const { progress } = state;
  const isNews = progress.step !== step || progress.percent !== percent;
  if (state.phase !== 'initial' || !isNews) return next(state);
  return next({ ...state, progress: { step, percent } }, [
    { type: 'status', message: 'fetching', extra: { step, percent } },
  ]);
}

function fetched(state: BlobState, message: Of<'fetched'>, turn: Turn): Step<BlobState> {
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
    const reason = `blob ${turn.id} is being deleted; choose another image version`;
    return refuse(state, 'object/wrong-phase', reason);
  }
  if (state.users.includes(user)) return next(state);
  return next({ ...state, users: [...state.users, user], setback: null });
}

function unuse(state: BlobState, gone: readonly string[], turn: Turn): Step<BlobState> {
  const users = state.users.filter((user) => !gone.includes(user));
  if (users.length === state.users.length) return next(state);
  const left = { ...state, users };
  if (left.users.length > 0 || state.phase === 'delete-wait' || state.phase === 'deleted') {
    return next(left);
  }
  return startDeleting(left, turn);
}

function requestDelete(state: BlobState, turn: Turn): Step<BlobState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') return next(state);
  if (state.phase === 'initial') {
    return fail(state, 'image/missing', 'the fetch was called off', turn);
  }
  const [user] = state.users;
  if (user === undefined) return startDeleting(state, turn);
  const reason = `blob ${turn.id} is used by ${user}; delete its users first`;
  return refuse(state, 'object/wrong-phase', reason);
}

function startDeleting(state: BlobState, turn: Turn): Step<BlobState> {
  const leaving = {
    phase: 'delete-wait',
    generation: state.generation + 1,
    setback: null,
  } as const;
  return next({ ...state, ...leaving, sinceMs: turn.now }, [
    { type: 'audit', message: 'no longer used, deleting' },
  ]);
}

function replicasRemoved(state: BlobState, generation: number, turn: Turn): Step<BlobState> {
  if (generation !== state.generation) return next(state);
  const without = { ...state, nodes: [], setback: null };
  if (state.phase === 'error' && isRemovable(state)) {
    // Parked while it was being deleted: nobody else will ask for it again.
    return state.users.length > 0 ? next(without) : startDeleting(without, turn);
  }
  if (state.phase !== 'delete-wait') return next(state);
  return next({ ...without, phase: 'deleted', sinceMs: turn.now, deletedAtMs: turn.now }, [
    { type: 'audit', message: 'deleted' },
  ]);
}

function timeReached(state: BlobState, turn: Turn): Step<BlobState> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true, setback: null });
  if (state.phase === 'initial' && state.sinceMs + FETCH_MS <= turn.now) {
    const reason = `the image was not fetched within ${TRY_MS / 60_000} minutes`;
    return fail(state, 'object/deadline', reason, turn);
  }
  return next(tryAgain(state, turn.now));
}

function fail(state: BlobState, code: ErrorCode, reason: string, turn: Turn): Step<BlobState> {
  const failed = { phase: 'error', generation: state.generation + 1, setback: null } as const;
  return next({ ...state, ...failed, sinceMs: turn.now, failure: failure(code, reason) }, [
    { type: 'audit', message: 'fetch failed', extra: { code, reason } },
  ]);
}

function effects(state: BlobState): Wanted<BlobEffect>[] {
  if (isPaused(state)) return [];
  // A new user is told at once; the ones told before hear it again, harmlessly.
  const tell: Wanted<BlobEffect>[] =
    state.users.length > 0 ? [{ name: 'tell-users', key: state.users.join() }] : [];
  const remove = { name: 'remove-replicas', key: String(state.generation) } as const;
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      return [{ name: 'fetch', key: '' }];
    case 'created':
      return tell;
    case 'error':
      return state.nodes.length > 0 && isRemovable(state) ? [...tell, remove] : tell;
    case 'delete-wait':
      return [remove];
    case 'deleted':
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

/** Half made, or needed by nobody. */
function isRemovable(state: BlobState): boolean {
  return state.content === null || state.users.length === 0;
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
    const reason = withSetback('removing replicas', state);
    return { ...since, reason, deadlineAtMs: state.sinceMs + REMOVE_MS };
  }
  return null;
}

/** Crashes of its own logic: what was only half fetched is removed (B1), what may be in use stays (B2). */
function parked(state: BlobState, reason: string, now: number): BlobState {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  const generation = state.generation + (state.phase === 'error' ? 0 : 1);
  return { ...state, ...why, generation, phase: 'error', sinceMs: now };
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
    'tell-users': INSISTENT,
    'remove-replicas': INSISTENT,
    forget: STANDING,
  },
  passing,
  timer: timerOf,
  index: () => null,
  onCrash: restartThenPark,
  parked,
  snapshot: {
    schema: 1,
    decode: decoder('blob', BlobState, 'actor/bad-snapshot'),
    migrations: {},
  },
});

// An artifact: a name for an image whose versions are blobs. It makes the blob, holds a use of each
// version, and tells the instances that wait for the newest one.
//
// initial ──blob created──▶ created ──delete──▶ delete-wait ──released──▶ deleted
//    └── blob failed ──▶ error ──delete──▶ delete-wait
//
// A1  Whoever waits is told: the newest version, or why there will be none (also when it is deleted).
// A2  What is being fetched is used by the artifact from before it exists; releasing it calls the fetch off.
import {
  defineKind,
  next,
  refuse,
  restartThenPark,
  PATIENT,
  PROMPT,
  STANDING,
} from '../kernel/kind.ts';
import type { KernelMessage, Step, Turn } from '../kernel/kind.ts';
import { failure, isForgettable, newLife } from '../kernel/object.ts';
import { withMetadata } from '../kernel/metadata.ts';
import { decoder } from '../kernel/schema.ts';
import { INSISTENT, isWanted, setBack, tryAgain } from '../kernel/setback.ts';
import { blobHasChanged, blobProgressed, conclude, settles } from './blob-news.ts';
import { changed, notAdded } from './changes.ts';
import { fail, isLeaving, parked, startDeleting } from './ending.ts';
import { withAdditions, withChecks, withOrigins, withTwins } from './migrate.ts';
import { isToSeek, originFound, originGone } from './origins.ts';
import { refresh, sourceChecked } from './refresh.ts';
import { ArtifactState, decodeArtifactMessage, type ArtifactMessage } from './state.ts';
import { effects, passing, patienceOf, timer, type ArtifactEffect } from './wanted.ts';

type Of<K extends ArtifactMessage['kind']> = Extract<ArtifactMessage, { kind: K }>;

export const initial: ArtifactState = {
  phase: 'none',
  type: 'image',
  name: '',
  namespace: '',
  sourceUrl: '',
  source: null,
  shared: false,
  maxVersions: 3,
  minCopies: null,
  versions: [],
  lastIndex: 0,
  fetching: null,
  adding: [],
  settling: [],
  checking: null,
  checks: 0,
  addFailure: null,
  dropped: [],
  drops: 0,
  waiters: [],
  setback: null,
  ...newLife,
};

function transition(
  state: ArtifactState,
  message: ArtifactMessage | KernelMessage,
  turn: Turn,
): Step<ArtifactState> {
  if (state.phase === 'none' && message.kind !== 'create' && message.kind !== 'found') {
    return refuse(state, 'object/not-found', 'artifact not found');
  }
  switch (message.kind) {
    case 'create':
      return create(state, message, turn);
    case 'found':
      return found(state, message, turn);
    case 'add-version':
    case 'version-failed':
    case 'remove-version':
    case 'version-released':
    case 'set-max-versions':
    case 'set-min-copies':
    case 'set-shared':
      return changed(state, message, turn);
    case 'refresh':
      return refresh(state, message);
    case 'source-checked':
      return sourceChecked(state, message);
    case 'await':
      return addWaiter(state, message.waiter);
    case 'await-done':
      return dropWaiters(state, [message.waiter]);
    case 'waiters-told':
      return dropWaiters(state, message.waiters);
    case 'blob-changed':
      return blobHasChanged(state, message, turn);
    case 'origin-found':
      return originFound(state, message);
    case 'origin-gone':
      return originGone(state, message);
    case 'twin-found':
    case 'twin-held':
      return settles(state, message, turn);
    case 'blob-progressed':
      return blobProgressed(state, message);
    case 'delete':
      return startDeleting(state, turn);
    case 'released': {
      if (state.phase !== 'delete-wait') return next(state);
      const gone = { phase: 'deleted', fetching: null, checking: null, setback: null } as const;
      const released = { ...state, ...gone, adding: [], settling: [], dropped: [] };
      return next({ ...released, sinceMs: turn.now, deletedAtMs: turn.now }, [
        { type: 'audit', message: 'deleted' },
      ]);
    }
    case 'forgotten':
      return next(state.forgetting ? null : state);
    case 'effect-failed':
      return effectFailed(state, message, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function create(state: ArtifactState, message: Of<'create'>, turn: Turn): Step<ArtifactState> {
  if (state.phase !== 'none') return next(state);
  const { kind: _, blobId, node, ...asked } = message;
  const fetching = { blobId, node, isSought: isToSeek(message.source) };
  return next({ ...state, ...asked, phase: 'initial', fetching, sinceMs: turn.now }, [
    { type: 'audit', message: 'created artifact', extra: { 'source url': asked.sourceUrl } },
  ]);
}

function found(state: ArtifactState, message: Of<'found'>, turn: Turn): Step<ArtifactState> {
  if (state.phase !== 'none') return next(state);
  const { kind: _, ...asked } = message;
  return next({ ...state, ...asked, phase: 'initial', sinceMs: turn.now }, [
    { type: 'audit', message: 'created artifact', extra: { 'source url': asked.sourceUrl } },
  ]);
}

function addWaiter(state: ArtifactState, waiter: string): Step<ArtifactState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') {
    return refuse(state, 'object/wrong-phase', 'the artifact was deleted; ask for the image again');
  }
  if (state.waiters.includes(waiter)) return next(state);
  return next({ ...state, waiters: [...state.waiters, waiter] });
}

function dropWaiters(state: ArtifactState, told: readonly string[]): Step<ArtifactState> {
  const waiters = state.waiters.filter((one) => !told.includes(one));
  return next(waiters.length === state.waiters.length ? state : { ...state, waiters });
}

function effectFailed(
  state: ArtifactState,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<ArtifactState> {
  if (!isWanted(effects(state), message)) return next(state);
  const { effect, key: blobId, code, reason } = message;
  if (effect === 'add-version') return notAdded(state, { blobId, code, reason }, turn);
  if (effect === 'find-twin' || effect === 'hold-twin') {
    const [cameAs = ''] = blobId.split(' ');
    return conclude(state, { blobId: cameAs, isHeld: false }, turn);
  }
  if (effect === 'find-origin') {
    return originFound(state, { kind: 'origin-found', blobId, otherId: null });
  }
  if (effect === 'check-source') {
    const outcome = { verdict: 'unknown', reason } as const;
    return sourceChecked(state, { kind: 'source-checked', check: state.checks, outcome });
  }
  if (effect !== 'fetch-version') return setBack(state, message, turn);
  return fail(state, failure(message.code, message.reason), turn);
}

function timeReached(state: ArtifactState, turn: Turn): Step<ArtifactState> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true, setback: null });
  if ((state.expiresAtMs ?? Infinity) <= turn.now && !isLeaving(state)) {
    return startDeleting(state, turn, 'kept for as long as it was to be');
  }
  const patienceMs = patienceOf(state);
  if (state.phase === 'initial' && state.sinceMs + patienceMs <= turn.now) {
    const reason = `the image was not there within ${patienceMs / 60_000} minutes`;
    return fail(state, failure('object/deadline', reason), turn);
  }
  return next(tryAgain(state, turn.now));
}

export const artifact = withMetadata(
  defineKind<ArtifactState, ArtifactMessage, ArtifactEffect>({
    kind: 'artifact',
    placement: 'sharded',
    initial,
    decodeMessage: decodeArtifactMessage,
    transition,
    effects,
    policies: {
      'fetch-version': PATIENT,
      'add-version': PROMPT,
      'find-twin': PROMPT,
      'hold-twin': PROMPT,
      'check-source': PROMPT,
      'find-origin': PROMPT,
      'release-version': INSISTENT,
      'tell-waiters': INSISTENT,
      'release-blobs': INSISTENT,
      forget: STANDING,
    },
    passing,
    timer,
    index: (state) =>
      state.phase === 'deleted' ? null : { namespace: state.namespace, name: state.name },
    onCrash: restartThenPark,
    parked,
    snapshot: {
      schema: 5,
      decode: decoder('artifact', ArtifactState, 'actor/bad-snapshot'),
      migrations: {
        1: withAdditions,
        2: withChecks,
        3: withTwins,
        4: withOrigins,
      },
    },
  }),
);

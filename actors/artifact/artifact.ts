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
import type { KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, isForgettable, newLife, type Failure } from '../kernel/object.ts';
import { withMetadata } from '../kernel/metadata.ts';
import { decoder } from '../kernel/schema.ts';
import { drop } from './dropped.ts';
import { withAdditions, withChecks, withOrigins, withTwins } from './migrate.ts';
import { progressExtra } from '../blob/progress.ts';
import { isSought, isToSeek, originEffects, originFound, originGone } from './origins.ts';
import { isRefreshing, refresh, sourceChecked } from './refresh.ts';
import {
  INSISTENT,
  isPaused,
  isWanted,
  setBack,
  timerOf,
  tryAgain,
  withSetback,
} from '../kernel/setback.ts';
import {
  added,
  addFailed,
  addVersion,
  holds,
  isOver,
  isPending,
  pruned,
  removeVersion,
  versionEffects,
  versionOf,
  versionReleased,
} from './versions.ts';
import { isSettling, isToSettle, settle, settled, settleEffects, twinFound } from './twins.ts';
import { ArtifactState, decodeArtifactMessage, type ArtifactMessage } from './state.ts';

export type ArtifactEffect =
  | 'fetch-version'
  | 'add-version'
  | 'check-source'
  | 'find-origin'
  | 'find-twin'
  | 'hold-twin'
  | 'release-version'
  | 'tell-waiters'
  | 'release-blobs'
  | 'forget';
type Of<K extends ArtifactMessage['kind']> = Extract<ArtifactMessage, { kind: K }>;

/** The blob's own deadline plus time to hear of it. */
const FETCH_MS = 1_860_000;
/** The same for a disk that has to be copied first. */
const SNAPSHOT_MS = 10_800_000;
const RELEASE_MS = 300_000;

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

type Change = Of<
  | 'add-version'
  | 'version-failed'
  | 'remove-version'
  | 'version-released'
  | 'set-max-versions'
  | 'set-min-copies'
  | 'set-shared'
>;

function changed(state: ArtifactState, message: Change, turn: Turn): Step<ArtifactState> {
  switch (message.kind) {
    case 'add-version': {
      if (isOver(state, message.addition)) return next(state);
      const step = addVersion(revived(state, turn), message.addition);
      return step.refusal === null ? step : { ...step, state };
    }
    case 'version-failed':
      return versionFailed(state, message, turn);
    case 'remove-version': {
      const step = removeVersion(state, message.index);
      // The last one takes the artifact along (contract: artifacts 7.6).
      const isLast = step.refusal === null && step.state?.versions.length === 0;
      return isLast && state.adding.length === 0 ? startDeleting(state, turn) : step;
    }
    case 'version-released':
      return versionReleased(state, message);
    case 'set-max-versions':
      return pruned({ ...state, maxVersions: message.maxVersions }, [
        {
          type: 'audit',
          message: 'max versions set',
          extra: { max_versions: message.maxVersions },
        },
      ]);
    case 'set-min-copies':
      return minCopiesSet(state, message.minCopies);
    case 'set-shared':
      if (state.shared === message.shared) return next(state);
      return next({ ...state, shared: message.shared }, [
        { type: 'audit', message: message.shared ? 'shared' : 'unshared' },
      ]);
  }
}

/** Its blobs look at it when they decide how many copies there are to be. */
function minCopiesSet(state: ArtifactState, minCopies: number | null): Step<ArtifactState> {
  if (state.minCopies === minCopies) return next(state);
  return next({ ...state, minCopies }, [
    { type: 'audit', message: 'copies set', extra: { copies: minCopies } },
  ]);
}

/** A snapshot that came to nothing leaves the artifact to the next one. */
function revived(state: ArtifactState, turn: Turn): ArtifactState {
  const isAwaited = state.type === 'snapshot' && state.phase === 'error';
  if (!isAwaited || state.versions.length > 0) return state;
  return { ...state, phase: 'initial', failure: null, sinceMs: turn.now };
}

function versionFailed(
  state: ArtifactState,
  { blobId, code, reason }: Of<'version-failed'>,
  turn: Turn,
): Step<ArtifactState> {
  const isGoing = state.phase === 'delete-wait' || state.phase === 'deleted';
  const isTaken = isPending(state, blobId) || holds(state, blobId);
  if (isGoing || isTaken || state.addFailure?.blobId === blobId) return next(state);
  return notAdded(state, { blobId, code, reason }, turn);
}

/** A snapshot's artifact that nothing is on its way to any more has failed; of others the next upload makes a version. */
function notAdded(
  state: ArtifactState,
  why: NonNullable<ArtifactState['addFailure']>,
  turn: Turn,
): Step<ArtifactState> {
  const step = addFailed(state, why);
  const isAwaited = step.state?.phase === 'initial' && step.state.type === 'snapshot';
  if (step.state === null || !isAwaited || step.state.adding.length > 0) return step;
  const failed = fail(step.state, { code: why.code, reason: why.reason }, turn);
  return { ...failed, events: step.events };
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

function blobHasChanged(
  state: ArtifactState,
  message: Of<'blob-changed'>,
  turn: Turn,
): Step<ArtifactState> {
  const { blobId } = message;
  if (isSettling(state, blobId)) return next(state, [], holds(state, blobId));
  const isNew = isPending(state, blobId) || isFetched(state, blobId);
  const isStanding = state.phase === 'initial' || state.phase === 'created';
  if (message.phase === 'created' && isStanding && isNew && isToSettle(state, message)) {
    return settle(state, message);
  }
  if (isPending(state, blobId) && (state.phase === 'initial' || state.phase === 'created')) {
    if (message.phase === 'created') return { ...added(state, message, turn), reply: true };
    const why = message.failure ?? failure('image/missing', 'the blob failed');
    return { ...notAdded(state, { blobId, ...why }, turn), reply: false };
  }
  if (!isFetched(state, blobId)) return next(state, [], holds(state, blobId));
  if (message.phase === 'error') {
    return fail(state, message.failure ?? failure('image/missing', 'the fetch failed'), turn);
  }
  return { ...firstVersion(state, message, turn), reply: true };
}

function isFetched(state: ArtifactState, blobId: string): boolean {
  return state.phase === 'initial' && state.fetching?.blobId === blobId;
}

/** Whether other bytes are the same has been found out. */
function settles(
  state: ArtifactState,
  message: Of<'twin-found' | 'twin-held'>,
  turn: Turn,
): Step<ArtifactState> {
  if (state.phase !== 'initial' && state.phase !== 'created') return next(state);
  const { blobId } = message;
  if (message.kind === 'twin-found' && message.twinId !== null) {
    const found = twinFound(state, { blobId, twinId: message.twinId });
    if (found !== null) return next(found);
  }
  return conclude(state, { blobId, isHeld: message.kind === 'twin-held' && message.isHeld }, turn);
}

function conclude(
  state: ArtifactState,
  { blobId, isHeld }: { readonly blobId: string; readonly isHeld: boolean },
  turn: Turn,
): Step<ArtifactState> {
  const outcome = settled(state, blobId, isHeld);
  if (outcome === null) return next(state);
  const { version, events } = outcome;
  const adding = outcome.state.adding.filter((one) => one.blobId !== blobId);
  const step = isFetched(state, blobId)
    ? firstVersion(outcome.state, version, turn)
    : added({ ...outcome.state, adding }, version, turn);
  if (step.state === null) return step;
  // Unless the version is what came.
  return next(drop(step.state, [blobId]), [...events, ...step.events]);
}

function firstVersion(
  state: ArtifactState,
  made: { readonly blobId: string; readonly sha512?: string },
  turn: Turn,
): Step<ArtifactState> {
  const { blobId } = made;
  const index = state.lastIndex + 1;
  const versions = [...state.versions, versionOf(index, made)];
  const fetched = { phase: 'created', versions, lastIndex: index, fetching: null } as const;
  const extra = { index, blob_uuid: blobId };
  const event = { type: 'audit', message: 'artifact fetch complete', extra } as const;
  return next({ ...state, ...fetched, setback: null, sinceMs: turn.now }, [event]);
}

function blobProgressed(
  state: ArtifactState,
  { blobId, progress }: Of<'blob-progressed'>,
): Step<ArtifactState> {
  const isFetching = state.phase === 'initial' && state.fetching?.blobId === blobId;
  if (!isFetching && !isPending(state, blobId)) return next(state, [], []);
  const extra = progressExtra(progress);
  return next(state, [{ type: 'status', message: 'fetching', extra }], state.waiters);
}

function startDeleting(
  state: ArtifactState,
  turn: Turn,
  why = 'deletion requested',
): Step<ArtifactState> {
  if (isLeaving(state)) return next(state);
  const message = state.phase === 'initial' ? `${why}, fetch called off` : why;
  return next({ ...state, phase: 'delete-wait', setback: null, sinceMs: turn.now }, [
    { type: 'audit', message },
  ]);
}

/** Deleted, or on its way there. */
function isLeaving({ phase }: ArtifactState): boolean {
  return phase === 'delete-wait' || phase === 'deleted';
}

/** The nearest of what is to be looked at: an expiry, a pause that ends, the time to be forgotten. */
function timer(state: ArtifactState): number | null {
  const other = timerOf(state);
  const { expiresAtMs } = state;
  if (expiresAtMs === undefined || isLeaving(state)) return other;
  return Math.min(expiresAtMs, other ?? expiresAtMs);
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

function patienceOf({ type }: ArtifactState): number {
  return type === 'snapshot' ? SNAPSHOT_MS : FETCH_MS;
}

function fail(state: ArtifactState, why: Failure, turn: Turn): Step<ArtifactState> {
  const failed = { phase: 'error', failure: why, setback: null } as const;
  const event = { type: 'audit', message: 'artifact fetch failed', extra: { ...why } } as const;
  return next({ ...state, ...failed, sinceMs: turn.now }, [event], true);
}

function effects(state: ArtifactState): Wanted<ArtifactEffect>[] {
  if (isPaused(state)) return [];
  const { waiters, lastIndex } = state;
  const tell: Wanted<ArtifactEffect>[] =
    waiters.length > 0 ? [{ name: 'tell-waiters', key: `${lastIndex}:${waiters.join()}` }] : [];
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial': {
      const others = comingEffects(state);
      const blobId = state.fetching?.blobId;
      if (blobId === undefined || isSought(state, blobId)) return others;
      return [{ name: 'fetch-version', key: blobId }, ...others];
    }
    case 'created': {
      const { checking, checks } = state;
      const check = { name: 'check-source', key: String(checks), lane: 'source' } as const;
      return [
        ...(isRefreshing(state) ? [] : tell),
        ...(checking === null ? [] : [check]),
        ...comingEffects(state),
      ];
    }
    case 'error':
      return tell;
    case 'delete-wait':
      return [...tell, { name: 'release-blobs', key: '' }];
    case 'deleted':
      return state.forgetting ? [...tell, { name: 'forget', key: '' }] : tell;
  }
}

function comingEffects(state: ArtifactState): Wanted<ArtifactEffect>[] {
  return [...originEffects(state), ...versionEffects(state), ...settleEffects(state)];
}

function passing(state: ArtifactState): Passing<ArtifactMessage> | null {
  const { sinceMs } = state;
  const since = { sinceMs, cancel: { kind: 'delete' } } as const;
  if (state.phase === 'initial') {
    return { ...since, reason: 'waiting for its blob', deadlineAtMs: sinceMs + patienceOf(state) };
  }
  if (state.phase === 'delete-wait') {
    const reason = withSetback('giving back its blobs', state);
    return { ...since, reason, deadlineAtMs: sinceMs + RELEASE_MS };
  }
  return null;
}

/** Crashes of its own logic: a deleted one stays deleted, any other waits in error for a delete. */
function parked(state: ArtifactState, reason: string, now: number): ArtifactState {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  return { ...state, ...why, phase: 'error', sinceMs: now };
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

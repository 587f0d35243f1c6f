// An artifact: a name for an image whose versions are blobs. It makes the blob, holds a use of each
// version, and tells the instances that wait for the newest one.
//
// initial ──blob created──▶ created ──delete──▶ delete-wait ──released──▶ deleted
//    └── blob failed ──▶ error ──delete──▶ delete-wait
import { defineKind, next, refuse, restartThenPark, PATIENT, STANDING } from '../kernel/kind.ts';
import type { KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, forgetAtMs, isForgettable, newLife, type Failure } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import { ArtifactState, decodeArtifactMessage, type ArtifactMessage } from './state.ts';

export type ArtifactEffect = 'fetch-version' | 'tell-waiters' | 'release-blobs' | 'forget';

/** The blob's own deadline plus time to hear of it. */
const FETCH_MS = 1_860_000;
const RELEASE_MS = 120_000;

export const initial: ArtifactState = {
  phase: 'none',
  type: 'image',
  name: '',
  namespace: '',
  sourceUrl: '',
  source: null,
  shared: false,
  maxVersions: 3,
  versions: [],
  lastIndex: 0,
  fetching: null,
  waiters: [],
  ...newLife,
};

function transition(
  state: ArtifactState,
  message: ArtifactMessage | KernelMessage,
  turn: Turn,
): Step<ArtifactState> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', 'artifact not found');
  }
  switch (message.kind) {
    case 'create':
      return create(state, message, turn);
    case 'await':
      return addWaiter(state, message.waiter);
    case 'await-done':
      if (!state.waiters.includes(message.waiter)) return next(state);
      return next({ ...state, waiters: state.waiters.filter((one) => one !== message.waiter) });
    case 'blob-changed':
      return blobHasChanged(state, message, turn);
    case 'delete':
      if (state.phase === 'delete-wait' || state.phase === 'deleted') return next(state);
      return next({ ...state, phase: 'delete-wait', sinceMs: turn.now }, [
        { type: 'audit', message: 'deletion requested' },
      ]);
    case 'released':
      if (state.phase !== 'delete-wait') return next(state);
      return next({ ...state, phase: 'deleted', sinceMs: turn.now, deletedAtMs: turn.now }, [
        { type: 'audit', message: 'deleted' },
      ]);
    case 'forgotten':
      return next<ArtifactState>(null);
    case 'effect-failed':
      if (message.effect !== 'fetch-version' || state.phase !== 'initial') return next(state);
      return fail(state, failure(message.code, message.reason), turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function create(
  state: ArtifactState,
  message: Extract<ArtifactMessage, { kind: 'create' }>,
  turn: Turn,
): Step<ArtifactState> {
  if (state.phase !== 'none') return next(state);
  const { kind: _, blobId, node, ...asked } = message;
  const fetching = { blobId, node };
  return next({ ...state, ...asked, phase: 'initial', fetching, sinceMs: turn.now }, [
    { type: 'audit', message: 'created artifact', extra: { 'source url': asked.sourceUrl } },
  ]);
}

function addWaiter(state: ArtifactState, waiter: string): Step<ArtifactState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') {
    return refuse(state, 'image/missing', `artifact not ready (state=${state.phase})`);
  }
  if (state.waiters.includes(waiter)) return next(state);
  return next({ ...state, waiters: [...state.waiters, waiter] });
}

function blobHasChanged(
  state: ArtifactState,
  message: Extract<ArtifactMessage, { kind: 'blob-changed' }>,
  turn: Turn,
): Step<ArtifactState> {
  if (state.fetching?.blobId !== message.blobId || state.phase === 'delete-wait')
    return next(state);
  if (message.phase === 'error') {
    return fail(state, message.failure ?? failure('image/missing', 'the fetch failed'), turn);
  }
  const index = state.lastIndex + 1;
  const versions = [...state.versions, { index, blobId: message.blobId }];
  return next(
    { ...state, phase: 'created', versions, lastIndex: index, fetching: null, sinceMs: turn.now },
    [
      {
        type: 'audit',
        message: 'artifact fetch complete',
        extra: { index, blob_uuid: message.blobId },
      },
    ],
  );
}

function timeReached(state: ArtifactState, turn: Turn): Step<ArtifactState> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true });
  if (state.phase === 'initial' && state.sinceMs + FETCH_MS <= turn.now) {
    return fail(state, failure('object/deadline', 'the image was not there in time'), turn);
  }
  return next(state);
}

function fail(state: ArtifactState, why: Failure, turn: Turn): Step<ArtifactState> {
  return next({ ...state, phase: 'error', sinceMs: turn.now, failure: why }, [
    { type: 'audit', message: 'artifact fetch failed', extra: { ...why } },
  ]);
}

function effects(state: ArtifactState): Wanted<ArtifactEffect>[] {
  const tell = { name: 'tell-waiters', key: `${state.lastIndex}:${state.waiters.join()}` } as const;
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      return [{ name: 'fetch-version', key: state.fetching?.blobId ?? '' }];
    case 'created':
    case 'error':
      return state.waiters.length > 0 ? [tell] : [];
    case 'delete-wait':
      return [{ name: 'release-blobs', key: '' }];
    case 'deleted':
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

function passing(state: ArtifactState): Passing<ArtifactMessage> | null {
  const since = { sinceMs: state.sinceMs, cancel: { kind: 'delete' } } as const;
  if (state.phase === 'initial') {
    return { ...since, reason: 'waiting for its blob', deadlineAtMs: state.sinceMs + FETCH_MS };
  }
  if (state.phase === 'delete-wait') {
    return { ...since, reason: 'giving back its blobs', deadlineAtMs: state.sinceMs + RELEASE_MS };
  }
  return null;
}

export const artifact = defineKind<ArtifactState, ArtifactMessage, ArtifactEffect>({
  kind: 'artifact',
  placement: 'sharded',
  initial,
  decodeMessage: decodeArtifactMessage,
  transition,
  effects,
  policies: {
    'fetch-version': PATIENT,
    'tell-waiters': PATIENT,
    'release-blobs': STANDING,
    forget: STANDING,
  },
  passing,
  timer: forgetAtMs,
  index: (state) =>
    state.phase === 'deleted' ? null : { namespace: state.namespace, name: state.name },
  onCrash: restartThenPark,
  parked: (state, reason, now) => ({
    ...state,
    phase: 'error',
    sinceMs: now,
    failure: failure('actor/crashed', reason),
  }),
  snapshot: {
    schema: 1,
    decode: decoder('artifact', ArtifactState, 'actor/bad-snapshot'),
    migrations: {},
  },
});

// What an artifact makes of news of the blobs that it waits for.
import { progressExtra } from '../blob/progress.ts';
import { next, type Step, type Turn } from '../kernel/kind.ts';
import { failure } from '../kernel/object.ts';
import { notAdded } from './changes.ts';
import { drop } from './dropped.ts';
import { fail } from './ending.ts';
import type { ArtifactMessage, ArtifactState } from './state.ts';
import { isSettling, isToSettle, settle, settled, twinFound } from './twins.ts';
import { added, holds, isPending, versionOf } from './versions.ts';

type Of<K extends ArtifactMessage['kind']> = Extract<ArtifactMessage, { kind: K }>;

export function blobHasChanged(
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
export function settles(
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

export function conclude(
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

export function blobProgressed(
  state: ArtifactState,
  { blobId, progress }: Of<'blob-progressed'>,
): Step<ArtifactState> {
  const isFetching = state.phase === 'initial' && state.fetching?.blobId === blobId;
  if (!isFetching && !isPending(state, blobId)) return next(state, [], []);
  const extra = progressExtra(progress);
  return next(state, [{ type: 'status', message: 'fetching', extra }], state.waiters);
}

// What is asked of an artifact that is there: other versions, other settings.
import { next, type Step, type Turn } from '../kernel/kind.ts';
import { fail, startDeleting } from './ending.ts';
import type { ArtifactMessage, ArtifactState } from './state.ts';
import {
  addFailed,
  addVersion,
  holds,
  isOver,
  isPending,
  pruned,
  removeVersion,
  versionReleased,
} from './versions.ts';

type Of<K extends ArtifactMessage['kind']> = Extract<ArtifactMessage, { kind: K }>;
type Change = Of<
  | 'add-version'
  | 'version-failed'
  | 'remove-version'
  | 'version-released'
  | 'set-max-versions'
  | 'set-min-copies'
  | 'set-shared'
>;

export function changed(state: ArtifactState, message: Change, turn: Turn): Step<ArtifactState> {
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
export function notAdded(
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

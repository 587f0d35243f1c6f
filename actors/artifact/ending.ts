// How an artifact fails, and how it goes.
import { next, type Step, type Turn } from '../kernel/kind.ts';
import { failure, type Failure } from '../kernel/object.ts';
import type { ArtifactState } from './state.ts';

export function startDeleting(
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
export function isLeaving({ phase }: ArtifactState): boolean {
  return phase === 'delete-wait' || phase === 'deleted';
}

export function fail(state: ArtifactState, why: Failure, turn: Turn): Step<ArtifactState> {
  const failed = { phase: 'error', failure: why, setback: null } as const;
  const event = { type: 'audit', message: 'artifact fetch failed', extra: { ...why } } as const;
  return next({ ...state, ...failed, sinceMs: turn.now }, [event], true);
}

/** Crashes of its own logic: a deleted one stays deleted, any other waits in error for a delete. */
export function parked(state: ArtifactState, reason: string, now: number): ArtifactState {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  return { ...state, ...why, phase: 'error', sinceMs: now };
}

// How an instance gives back what it holds, after a failure or on deletion: domain, interfaces, images.
import { next, refuse, type Step, type Turn } from '../kernel/kind.ts';
import type { InstanceState } from './state.ts';

const CLEANING: readonly InstanceState['phase'][] = [
  'initial-error',
  'preflight-error',
  'creating-error',
  'created-error',
  'delete-wait',
];

export function isCleaning(state: InstanceState): boolean {
  return CLEANING.includes(state.phase);
}

/** On a delete. Asked again while it goes on: quiet. */
export function startCleaning(state: InstanceState, turn: Turn): Step<InstanceState> {
  if (state.phase === 'deleted') return refuse(state, 'object/not-found', 'instance not found');
  if (state.phase === 'delete-wait') return next(state);
  const generation = state.generation + 1;
  return clean({ ...state, phase: 'delete-wait', generation, sinceMs: turn.now }, turn, [
    { type: 'audit', message: 'deletion requested' },
  ]);
}

/** Moves on to `error` or `deleted` once nothing is held any more. */
export function clean(
  state: InstanceState,
  turn: Turn,
  events: Step<InstanceState>['events'] = [],
): Step<InstanceState> {
  const isDone =
    (state.node === null || state.isDomainGone) &&
    state.nics.every((nic) => nic.phase === 'deleted') &&
    state.areImagesReleased;
  if (!isCleaning(state) || !isDone) return next(state, events);
  const durationMs = turn.now - state.sinceMs;
  if (state.phase !== 'delete-wait') {
    return next({ ...state, phase: 'error', power: 'off', sinceMs: turn.now }, [
      ...events,
      { type: 'audit', message: 'cleaned up after failure', durationMs },
    ]);
  }
  return next(
    { ...state, phase: 'deleted', power: 'off', sinceMs: turn.now, deletedAtMs: turn.now },
    [...events, { type: 'audit', message: 'deleted', durationMs }],
  );
}

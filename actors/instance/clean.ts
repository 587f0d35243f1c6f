// How an instance gives back what it holds, after a failure or on deletion: domain, interfaces, images.
import { next, refuse, type Step, type Turn } from '../kernel/kind.ts';
import type { InstanceState as State } from './state.ts';

/** Not `created-error`: what a crashed guest has left on its disks is its owner's to look at, and to delete. */
const CLEANING: readonly State['phase'][] = [
  'initial-error',
  'preflight-error',
  'creating-error',
  'delete-wait',
];

export function isCleaning(state: State): boolean {
  return CLEANING.includes(state.phase);
}

/** True when its node was ever told to build it and has not yet said that nothing is left. */
export function mayHaveDomain(state: State): boolean {
  return state.node !== null && state.powerOns > 0 && !state.isDomainGone;
}

/** On a delete. Asked again while it goes on: quiet. */
export function startCleaning(state: State, turn: Turn): Step<State> {
  if (state.phase === 'deleted') return refuse(state, 'object/not-found', 'instance not found');
  if (state.phase === 'delete-wait') return next(state);
  const leaving = {
    phase: 'delete-wait',
    generation: state.generation + 1,
    setback: null,
  } as const;
  const step = clean({}, { ...state, ...leaving, sinceMs: turn.now }, turn);
  return { ...step, events: [{ type: 'audit', message: 'deletion requested' }, ...step.events] };
}

/** Takes in that something has been given back; moves on to `error` or `deleted` once nothing is held any more. */
export function clean(
  given: Partial<Pick<State, 'isDomainGone' | 'observed' | 'nics' | 'areImagesReleased'>>,
  before: State,
  turn: Turn,
): Step<State> {
  if (!isCleaning(before)) return next(before);
  const isProgress = Object.keys(given).length > 0;
  const state = { ...before, ...given, setback: isProgress ? null : before.setback };
  const isDone =
    !mayHaveDomain(state) &&
    state.nics.every((nic) => nic.phase === 'deleted') &&
    state.operations.length === 0 &&
    state.screenshots.length === 0 &&
    state.snapshots.length === 0 &&
    state.areImagesReleased;
  if (!isDone) return next(state);
  const durationMs = turn.now - state.sinceMs;
  const atRest = { power: 'off', setback: null, sinceMs: turn.now } as const;
  if (state.phase !== 'delete-wait') {
    return next({ ...state, ...atRest, phase: 'error' }, [
      { type: 'audit', message: 'cleaned up after failure', durationMs },
    ]);
  }
  return next({ ...state, ...atRest, phase: 'deleted', deletedAtMs: turn.now }, [
    { type: 'audit', message: 'deleted', durationMs },
  ]);
}

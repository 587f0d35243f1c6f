// How an instance fails: at once into X-error, where everything it holds is given back.
import { next, type Step, type Turn } from '../kernel/kind.ts';
import { failure, type Failure } from '../kernel/object.ts';
import type { InstanceState } from './state.ts';

const ERROR_PHASE: Partial<Record<InstanceState['phase'], InstanceState['phase']>> = {
  initial: 'initial-error',
  preflight: 'preflight-error',
  creating: 'creating-error',
  created: 'created-error',
};

/** Fails an instance that is being built or running; one that is on its way out is left alone. */
export function fail(state: InstanceState, why: Failure, turn: Turn): Step<InstanceState> {
  const phase = ERROR_PHASE[state.phase];
  if (phase === undefined) return next(state);
  const { code, reason } = why;
  const failed = { phase, failure: why, generation: state.generation + 1, setback: null };
  return next({ ...state, ...failed, sinceMs: turn.now }, [
    { type: 'audit', message: 'instance failed', extra: { phase: state.phase, code, reason } },
  ]);
}

/** Parked after crashes of its own logic: nothing is given back by code that just proved wrong; a delete tries to. */
export function crashed(state: InstanceState, reason: string, now: number): InstanceState {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  return { ...state, ...why, phase: 'error', sinceMs: now };
}

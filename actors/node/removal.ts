// A node that will not return. Its own daemon decides for a node; of one that is gone for good this is decided by
// whoever removes it, while nobody is a member under its name (src/daemon/node-removal.ts).
import { next, type Step } from '../kernel/kind.ts';
import type { NodeState } from './state.ts';

/** What it was stays to be read; nothing is promised to anybody there any more. Quiet when it is removed already. */
export function removed(state: NodeState, now: number): Step<NodeState> {
  if (state.phase === 'deleted' || state.phase === 'none') return next(state);
  const nothing = { reservations: {}, drifts: [], gauges: null, isDraining: false };
  return next({ ...state, ...nothing, phase: 'deleted', sinceMs: now, failure: null }, [
    {
      type: 'audit',
      message: 'removed from the cluster',
      extra: { reserved: Object.keys(state.reservations).length },
    },
  ]);
}

// The machine an instance is on, as others see it: missing, or with a daemon that has to be told again.
import { next, type EventDraft, type Step } from '../kernel/kind.ts';
import { failure } from '../kernel/object.ts';
import { isNewBoot, MISSING, type NodeSeen } from '../node/presence.ts';
import type { InstanceState as State } from './state.ts';

/** An instance on a missing node says so; it is not started elsewhere, since it may run on. */
export function sawNode(state: State, { node, boot }: NodeSeen): Step<State> {
  if (state.node !== node || state.nodeBoot === boot) return next(state);
  const seen = { ...state, nodeBoot: boot };
  if (boot === MISSING) return missing(seen, node);
  if (!isNewBoot(state.nodeBoot, boot)) return next(seen);
  const isBack = state.nodeBoot === MISSING;
  const events: EventDraft[] = isBack
    ? [{ type: 'status', message: 'node is there again', extra: { node } }]
    : [];
  // What could not be given back there is tried at once.
  const ready = { ...seen, setback: null };
  if (!isStanding(state)) return next(ready, events);
  // A generation more: the daemon there is told anew, and says what it finds.
  return next({ ...ready, generation: state.generation + 1, failure: null }, events);
}

function missing(state: State, node: string): Step<State> {
  const reason = `node ${node} is missing: whether the instance runs there is not known`;
  const events: EventDraft[] = [{ type: 'audit', message: 'node is missing', extra: { node } }];
  if (!isStanding(state)) return next(state, events);
  return next({ ...state, failure: failure('mesh/unreachable', reason), setback: null }, events);
}

function isStanding(state: State): boolean {
  return state.phase === 'created';
}

/** Nothing can be told there. */
export function isNodeMissing(state: State): boolean {
  return state.nodeBoot === MISSING;
}

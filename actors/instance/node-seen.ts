// The machine an instance is on, as others see it: missing, with a daemon that has to be told again, or gone for good.
import { next, type EventDraft, type Step, type Turn } from '../kernel/kind.ts';
import { failure } from '../kernel/object.ts';
import { isNewBoot, MISSING, type NodeSeen } from '../node/presence.ts';
import { clean, startCleaning } from './clean.ts';
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

/** Its machine was removed from the cluster: it is deleted, and nothing of it has to be removed there. */
export function nodeGone(state: State, node: string, turn: Turn): Step<State> {
  if (state.node !== node || state.phase === 'deleted') return next(state);
  const gone = { isDomainGone: true, observed: null } as const;
  if (state.phase === 'delete-wait') return clean(gone, state, turn);
  const extra = { node };
  const event = { type: 'audit', message: 'deleted with its node', extra } as const;
  const step = startCleaning({ ...state, ...gone }, turn);
  return { ...step, events: [event, ...step.events] };
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

// What the scheduler found, taken into the instance: each stage as an event (contract: instances 5), then the outcome.
import { next, type EventDraft, type Step, type Turn } from '../kernel/kind.ts';
import type { JsonObject } from '../kernel/json.ts';
import { failure } from '../kernel/object.ts';
import { fail } from './fail.ts';
import type { InstanceMessage, InstanceState } from './state.ts';

type Outcome = Extract<InstanceMessage, { kind: 'placed' | 'unplaceable' }>;
type Stage = Outcome['stages'][number];

/** Names in one event: more nodes than this are counted, not named. */
const MOST_NAMED = 400;
const LONGEST_REASON = 200;

export function scheduled(state: InstanceState, message: Outcome, turn: Turn): Step<InstanceState> {
  if (state.phase !== 'initial' || state.node !== null) return next(state);
  const events = message.stages.map((stage): EventDraft => {
    return { type: 'audit', message: `schedule by ${stage.stage}`, extra: extraOf(stage) };
  });
  if (message.kind === 'unplaceable') {
    const failed = fail(state, failure(message.code, message.reason), turn);
    return next(failed.state, [...events, ...failed.events]);
  }
  const { node } = message;
  const placed: EventDraft = { type: 'audit', message: 'placed', extra: { node } };
  return next({ ...state, node }, [...events, placed]);
}

/** `candidates` are those left (contract); `dropped` says of each other why. */
function extraOf({ candidates, dropped }: Stage): JsonObject {
  const reasons = Object.entries(dropped);
  const unnamed =
    Math.max(0, candidates.length - MOST_NAMED) + Math.max(0, reasons.length - MOST_NAMED);
  const named = reasons.slice(0, MOST_NAMED).map(([node, reason]) => {
    return [node, reason.slice(0, LONGEST_REASON)] as const;
  });
  return {
    candidates: candidates.slice(0, MOST_NAMED),
    dropped: Object.fromEntries(named),
    ...(unnamed === 0 ? {} : { unnamed }),
  };
}

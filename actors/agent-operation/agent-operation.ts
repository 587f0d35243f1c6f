// Commands for one guest, carried out by the agent in it: one operation after the other, in the order in which the
// instance has taken them.
//
// initial ──enlisted──▶ preflight ──blobs there──▶ queued ──start──▶ executing ──performed──▶ complete
//    └──────(nothing to bring)─────────────────▶                        └── failed ──▶ error
// every phase ──delete──▶ deleted
//
// O1  A command is given to a guest at most once: the boot of the node's daemon is recorded before it is given, a
//     daemon of another boot refuses it, and the one of that boot knows what it has been given.
// O2  Whatever it waits for has an end: no phase is passed through without a deadline, and what ends it is its failure.
// O3  Who waits behind it hears when it is over, however it ended (`settle`).
import {
  defineKind,
  isLate,
  next,
  refuse,
  restartThenPark,
  PATIENT,
  PROMPT,
  STANDING,
} from '../kernel/kind.ts';
import type {
  EffectPolicy,
  EventDraft,
  KernelMessage,
  Passing,
  Step,
  Turn,
  Wanted,
} from '../kernel/kind.ts';
import { failure, isForgettable, newLife, type Failure } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import {
  INSISTENT,
  isPaused,
  isWanted,
  setBack,
  timerOf,
  tryAgain,
  withSetback,
} from '../kernel/setback.ts';
import {
  AgentOperationState,
  decodeAgentOperationMessage,
  neededBlobs,
  type AgentOperationMessage,
  type AgentOperationState as State,
} from './state.ts';

export type AgentOperationEffect =
  | 'enlist'
  | 'bring-blobs'
  | 'report-ready'
  | 'perform'
  | 'keep-blobs'
  | 'settle'
  | 'forget';

type Of<K extends AgentOperationMessage['kind']> = Extract<AgentOperationMessage, { kind: K }>;
type Over = NonNullable<State['settled']>;

const INITIAL_MS = 90_000;
/** Longer than a blob may take. */
const PREFLIGHT_MS = 1_920_000;
/** As long as the most patient client waits. */
const QUEUED_MS = 3_600_000;
export const EXECUTING_MS = 3_600_000;
/** Shorter than the phase, so that what is recorded is the effect's own reason. */
const PERFORMING: EffectPolicy = { ...PATIENT, deadlineMs: EXECUTING_MS - 60_000 };

export const initial: State = {
  phase: 'none',
  namespace: '',
  instanceId: '',
  commands: [],
  results: {},
  node: null,
  boot: null,
  blobs: [],
  isAnswered: false,
  settled: null,
  setback: null,
  ...newLife,
};

function transition(
  state: State,
  message: AgentOperationMessage | KernelMessage,
  turn: Turn,
): Step<State> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', 'agent operation not found');
  }
  switch (message.kind) {
    case 'create': {
      if (state.phase !== 'none') return next(state);
      const { kind: _, ...asked } = message;
      const commands = asked.commands.map(({ command }) => command);
      return enter({ ...state, ...asked }, 'initial', turn, [
        { type: 'audit', message: 'agent operation asked for', extra: { commands } },
      ]);
    }
    case 'enlisted': {
      if (state.phase !== 'initial') return next(state);
      const placed = { ...state, node: message.node };
      return enter(placed, neededBlobs(state).length > 0 ? 'preflight' : 'queued', turn);
    }
    case 'blob-changed':
      return blobChanged(state, message, turn);
    case 'start':
      return start(state, message, turn);
    case 'performed':
      return performed(state, message, turn);
    case 'blobs-kept':
      return state.phase === 'executing' && state.isAnswered
        ? enter(state, 'complete', turn)
        : next(state);
    case 'settled':
      if (state.phase !== message.phase) return next(state);
      return next({ ...state, settled: message.phase, setback: null });
    case 'delete':
      return remove(state, turn);
    case 'forgotten':
      return next(state.forgetting ? null : state);
    case 'effect-failed':
      return effectFailed(state, message, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function enter(
  state: State,
  phase: State['phase'],
  turn: Turn,
  events?: readonly EventDraft[],
): Step<State> {
  const durationMs = turn.now - state.sinceMs;
  const told = events ?? [{ type: 'status' as const, message: phase, durationMs }];
  return next({ ...state, phase, setback: null, sinceMs: turn.now }, told);
}

/** Replies whether it needs the blob (still). */
function blobChanged(state: State, message: Of<'blob-changed'>, turn: Turn): Step<State> {
  const { blobId } = message;
  const isNeeded = neededBlobs(state).includes(blobId) && !isOver(state.phase);
  const isKept = state.blobs.includes(blobId) && state.phase !== 'deleted';
  if (!isNeeded || state.phase !== 'preflight') return next(state, [], isNeeded || isKept);
  const step =
    message.phase === 'error'
      ? fail(state, failure('image/missing', message.failure?.reason ?? 'the blob failed'), turn)
      : enter(state, 'queued', turn);
  return { ...step, reply: message.phase !== 'error' };
}

function start(state: State, { boot }: Of<'start'>, turn: Turn): Step<State> {
  // Asked again by an instance that has not heard: it goes on.
  if (state.phase !== 'queued') return next(state, [], !isOver(state.phase));
  return { ...enter({ ...state, boot }, 'executing', turn), reply: true };
}

function performed(state: State, message: Of<'performed'>, turn: Turn): Step<State> {
  if (state.phase !== 'executing' || state.isAnswered) return next(state);
  const results = Object.fromEntries(message.results.map((result, index) => [index, result]));
  const { blobs } = message;
  const answered = { ...state, results, blobs, isAnswered: true };
  if (message.failure !== null) return fail(answered, message.failure, turn);
  return blobs.length > 0 ? next(answered) : enter(answered, 'complete', turn);
}

function fail(state: State, why: Failure, turn: Turn): Step<State> {
  const { code, reason } = why;
  return enter({ ...state, failure: why }, 'error', turn, [
    { type: 'audit', message: 'agent operation failed', extra: { code, reason } },
  ]);
}

/** Replies the phase. */
function remove(state: State, turn: Turn): Step<State> {
  if (state.phase === 'deleted') return next(state, [], 'deleted');
  const gone = { ...state, deletedAtMs: turn.now };
  const step = enter(gone, 'deleted', turn, [{ type: 'audit', message: 'deleted' }]);
  return { ...step, reply: 'deleted' };
}

function effectFailed(
  state: State,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<State> {
  if (!isWanted(effects(state), message)) return next(state);
  const { effect, code, reason } = message;
  if (effect === 'settle') return setBack(state, message, turn);
  if (effect === 'forget') return next(state);
  return comeToNothing(state, failure(code, reason), turn);
}

/** An instance that has not taken it will not clear it away either. */
function comeToNothing(state: State, why: Failure, turn: Turn): Step<State> {
  if (state.phase === 'initial') return remove({ ...state, failure: why }, turn);
  return fail(state, why, turn);
}

function timeReached(state: State, turn: Turn): Step<State> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true, setback: null });
  const late = passing(state);
  if (isLate(late, turn.now)) {
    const why = failure('object/deadline', `${late.reason} took too long`);
    return comeToNothing(state, why, turn);
  }
  return next(tryAgain(state, turn.now));
}

export function isOver(phase: State['phase']): phase is Over {
  return phase === 'complete' || phase === 'error' || phase === 'deleted';
}

function effects(state: State): Wanted<AgentOperationEffect>[] {
  if (isPaused(state)) return [];
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      return [{ name: 'enlist', key: '' }];
    case 'preflight':
      return [{ name: 'bring-blobs', key: '' }];
    case 'queued':
      return [{ name: 'report-ready', key: '' }];
    case 'executing':
      return [{ name: state.isAnswered ? 'keep-blobs' : 'perform', key: '' }];
    case 'complete':
    case 'error':
    case 'deleted':
      if (state.settled !== state.phase) return [{ name: 'settle', key: state.phase }];
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

const WAITING: Partial<Record<State['phase'], readonly [reason: string, patienceMs: number]>> = {
  initial: ['waiting to be taken into the queue of its instance', INITIAL_MS],
  preflight: ["waiting for its blob on the instance's node", PREFLIGHT_MS],
  queued: ['waiting for its turn, and for the agent in the guest', QUEUED_MS],
  executing: ['being carried out by the agent in the guest', EXECUTING_MS],
};

function passing(state: State): Passing<AgentOperationMessage> | null {
  const [reason, patienceMs] = WAITING[state.phase] ?? [];
  if (reason === undefined || patienceMs === undefined) return null;
  const { sinceMs } = state;
  const deadlineAtMs = sinceMs + patienceMs;
  return { reason: withSetback(reason, state), sinceMs, deadlineAtMs, cancel: { kind: 'delete' } };
}

function parked(state: State, reason: string, now: number): State {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  return { ...state, ...why, phase: 'error', sinceMs: now };
}

export const agentOperation = defineKind<State, AgentOperationMessage, AgentOperationEffect>({
  kind: 'agentoperation',
  placement: 'sharded',
  initial,
  decodeMessage: decodeAgentOperationMessage,
  transition,
  effects,
  policies: {
    enlist: PROMPT,
    'bring-blobs': PATIENT,
    'report-ready': PATIENT,
    perform: PERFORMING,
    'keep-blobs': PATIENT,
    settle: INSISTENT,
    forget: STANDING,
  },
  passing,
  timer: timerOf,
  index: () => null,
  onCrash: restartThenPark,
  parked,
  snapshot: {
    schema: 1,
    decode: decoder('agent operation', AgentOperationState, 'actor/bad-snapshot'),
    migrations: {},
  },
});

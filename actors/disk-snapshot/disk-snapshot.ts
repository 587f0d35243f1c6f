// A snapshot of an instance's disks while it is made: copied on the instance's node, then given to the artifacts.
//
// initial ──enlisted──▶ copying ──copied──▶ keeping ──kept──▶ complete
//    └── refused ─┐         └── failed, called off, too late ─┐
//                 └──────────────────▶ error ◀────────────────┘
// complete, error ──told of and cleared away──▶ deleted
//
// It is an actor of its own, and no part of the instance, since an instance may have several under way, each with its
// deadline, and since what it does to the artifacts goes on when the instance is gone.
//
// W1  Copying may be begun again, by whichever daemon the node has by then: until it has been recorded that all is copied
//     nobody was given anything.
// W2  A promised blob becomes a version of its artifact, or the artifact hears why it does not.
// W3  It makes the artifacts that are missing: who asks for it may die before it has.
// W4  What is over clears the node of what was not taken; a node that never answers does so itself, by age (spool.ts).
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
import { plainEqual } from '../kernel/equal.ts';
import { progressExtra } from '../blob/progress.ts';
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
  decodeDiskSnapshotMessage,
  DiskSnapshotState,
  type DiskSnapshotMessage,
  type DiskSnapshotState as State,
} from './state.ts';

export type DiskSnapshotEffect = 'enlist' | 'copy' | 'keep' | 'settle' | 'clear' | 'forget';

type Of<K extends DiskSnapshotMessage['kind']> = Extract<DiskSnapshotMessage, { kind: K }>;

const INITIAL_MS = 90_000;
export const COPYING_MS = 7_200_000;
const KEEPING_MS = 600_000;
/** Shorter than the phase, so that what is recorded is the effect's own reason. */
const COPYING: EffectPolicy = { ...PATIENT, deadlineMs: COPYING_MS - 60_000 };
const CLEARING: EffectPolicy = { ...PATIENT, deadlineMs: 3_600_000 };

export const initial: State = {
  phase: 'none',
  namespace: '',
  instanceId: '',
  maxVersions: 3,
  disks: [],
  node: null,
  progress: { step: '', percent: null },
  askedAtMs: 0,
  isSettled: false,
  isCleared: false,
  setback: null,
  ...newLife,
};

function transition(
  state: State,
  message: DiskSnapshotMessage | KernelMessage,
  turn: Turn,
): Step<State> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', 'disk snapshot not found');
  }
  switch (message.kind) {
    case 'create':
      return create(state, message, turn);
    case 'enlisted':
      return state.phase === 'initial'
        ? enter({ ...state, node: message.node }, 'copying', turn)
        : next(state);
    case 'progressed':
      return progressed(state, message);
    case 'copied':
      return state.phase === 'copying' ? enter(state, 'keeping', turn) : next(state);
    case 'copy-failed':
      return state.phase === 'copying' ? fail(state, message, turn) : next(state);
    case 'kept':
      return state.phase === 'keeping' ? enter(state, 'complete', turn) : next(state);
    case 'settled':
    case 'cleared':
      return done(state, message.kind === 'settled' ? 'isSettled' : 'isCleared', turn);
    case 'delete':
      if (isOver(state) || state.phase === 'deleted') return next(state);
      return fail(state, failure('actor/stopped', 'the snapshot was called off'), turn);
    case 'forgotten':
      return next(state.forgetting ? null : state);
    case 'effect-failed':
      return effectFailed(state, message, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function create(state: State, message: Of<'create'>, turn: Turn): Step<State> {
  if (state.phase !== 'none') return next(state);
  const { kind: _, ...asked } = message;
  const devices = asked.disks.map(({ device }) => device);
  return enter({ ...state, ...asked, askedAtMs: turn.now }, 'initial', turn, [
    { type: 'audit', message: 'snapshot asked for', extra: { devices } },
  ]);
}

function progressed(state: State, message: Of<'progressed'>): Step<State> {
  const { kind: _, ...progress } = message;
  if (state.phase !== 'copying' || plainEqual(progress, state.progress)) return next(state);
  const { step, ...extra } = progressExtra(progress);
  return next({ ...state, progress }, [{ type: 'status', message: step, extra }]);
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

/** Once it has been told of and cleared away, nobody needs it any more. */
function done(state: State, what: 'isSettled' | 'isCleared', turn: Turn): Step<State> {
  if (!isOver(state) || state[what]) return next(state);
  const left = { ...state, [what]: true, setback: null };
  if (!left.isSettled || !left.isCleared) return next(left);
  return enter({ ...left, deletedAtMs: turn.now }, 'deleted', turn);
}

function fail(state: State, { code, reason }: Failure, turn: Turn): Step<State> {
  const event = { type: 'audit', message: 'snapshot failed', extra: { code, reason } } as const;
  return enter({ ...state, failure: { code, reason } }, 'error', turn, [event]);
}

function effectFailed(
  state: State,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<State> {
  if (!isWanted(effects(state), message)) return next(state);
  const { effect, code, reason } = message;
  switch (effect as DiskSnapshotEffect) {
    case 'enlist':
    case 'copy':
    case 'keep':
      return fail(state, failure(code, reason), turn);
    case 'settle':
      return setBack(state, message, turn);
    case 'clear':
      return done(state, 'isCleared', turn); // W4
    case 'forget':
      return next(state);
  }
}

function timeReached(state: State, turn: Turn): Step<State> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true, setback: null });
  const late = passing(state);
  if (isLate(late, turn.now)) {
    const why = failure('object/deadline', `${late.reason} took too long`);
    return fail(state, why, turn);
  }
  return next(tryAgain(state, turn.now));
}

function isOver({ phase }: State): boolean {
  return phase === 'complete' || phase === 'error';
}

function effects(state: State): Wanted<DiskSnapshotEffect>[] {
  if (isPaused(state)) return [];
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      return [{ name: 'enlist', key: '' }];
    case 'copying':
      return [{ name: 'copy', key: '' }];
    case 'keeping':
      return [{ name: 'keep', key: '' }];
    case 'complete':
    case 'error': {
      const settle = { name: 'settle', key: '' } as const;
      const clear = { name: 'clear', key: '' } as const;
      return [...(state.isSettled ? [] : [settle]), ...(state.isCleared ? [] : [clear])];
    }
    case 'deleted':
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

const WAITING: Partial<Record<State['phase'], readonly [reason: string, patienceMs: number]>> = {
  initial: ['waiting to be taken in by its instance', INITIAL_MS],
  copying: ['copying the disks', COPYING_MS],
  keeping: ['giving the copies to their artifacts', KEEPING_MS],
};

function passing(state: State): Passing<DiskSnapshotMessage> | null {
  const [what, patienceMs] = WAITING[state.phase] ?? [];
  if (what === undefined || patienceMs === undefined) return null;
  const { step, percent } = state.progress;
  const detail = percent === null ? step : `${step} ${percent} %`;
  const reason = state.phase === 'copying' && step !== '' ? `${what}: ${detail}` : what;
  const { sinceMs } = state;
  const deadlineAtMs = sinceMs + patienceMs;
  return { reason: withSetback(reason, state), sinceMs, deadlineAtMs, cancel: { kind: 'delete' } };
}

function parked(state: State, reason: string, now: number): State {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  return { ...state, ...why, phase: 'error', sinceMs: now };
}

export const diskSnapshot = defineKind<State, DiskSnapshotMessage, DiskSnapshotEffect>({
  kind: 'disksnapshot',
  placement: 'sharded',
  initial,
  decodeMessage: decodeDiskSnapshotMessage,
  transition,
  effects,
  policies: {
    enlist: PROMPT,
    copy: COPYING,
    keep: PATIENT,
    settle: INSISTENT,
    clear: CLEARING,
    forget: STANDING,
  },
  passing,
  timer: timerOf,
  index: () => null,
  onCrash: restartThenPark,
  parked,
  snapshot: {
    schema: 3,
    decode: decoder('disk snapshot', DiskSnapshotState, 'actor/bad-snapshot'),
    // All were full; of how far they were only the percentage was told.
    migrations: { 1: (state) => state, 2: (state) => state },
  },
});

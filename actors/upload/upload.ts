// An upload: says on which node a client's bytes are, and sees to it that they do not stay for ever.
//
// created ──delete, or untouched for long──▶ delete-wait ──file removed──▶ gone
//    └── its node is gone for good ──▶ gone
//
// U1  Its file is removed before the record goes; a node that is out of reach removes what is too old by itself (spool.ts).
import { defineKind, isLate, next, PATIENT, refuse, restartThenPark } from '../kernel/kind.ts';
import type { KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { newLife } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import { decodeUploadMessage, UploadState, type UploadMessage } from './state.ts';

export type UploadEffect = 'remove-file';

/** Of those from before it was said: since they were begun. */
const OLD_IDLE_MS = 7 * 86_400_000;
/** That it was touched is worth writing this often within the time after which it expires. */
const TOUCHES = 24;
/** Longer than the effect tries. */
const REMOVE_MS = 660_000;

export const initial: UploadState = {
  phase: 'none',
  node: '',
  namespace: '',
  touchedAtMs: 0,
  idleMs: OLD_IDLE_MS,
  ...newLife,
};

function transition(
  state: UploadState,
  message: UploadMessage | KernelMessage,
  turn: Turn,
): Step<UploadState> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', 'upload not found');
  }
  switch (message.kind) {
    case 'create': {
      if (state.phase !== 'none') return next(state);
      const { kind: _, ...asked } = message;
      const begun = { phase: 'created', sinceMs: turn.now, touchedAtMs: turn.now } as const;
      return next({ ...state, ...asked, ...begun }, [
        { type: 'audit', message: 'upload begun', extra: { node: asked.node } },
      ]);
    }
    case 'touched':
      return next(isTouchNews(state, turn.now) ? { ...state, touchedAtMs: turn.now } : state);
    case 'node-gone':
      return next(message.node === state.node ? null : state);
    case 'delete':
      return leave(state, 'upload ended', turn);
    case 'file-removed':
    case 'effect-failed':
      return next(state.phase === 'delete-wait' ? null : state);
    case 'time-reached':
      if (state.phase === 'delete-wait')
        return next(isLate(passing(state), turn.now) ? null : state);
      return turn.now < expiryOf(state) ? next(state) : leave(state, 'upload expired', turn);
  }
}

/** When it is removed if nothing more comes, ms since the epoch. */
function expiryOf({ touchedAtMs, idleMs }: UploadState): number {
  return touchedAtMs + idleMs;
}

/** Whether it is time to say again that the upload is still being brought. */
export function isTouchNews({ phase, touchedAtMs, idleMs }: UploadState, now: number): boolean {
  return phase === 'created' && now - touchedAtMs >= idleMs / TOUCHES;
}

function leave(state: UploadState, message: string, turn: Turn): Step<UploadState> {
  if (state.phase === 'delete-wait') return next(state);
  return next({ ...state, phase: 'delete-wait', sinceMs: turn.now }, [{ type: 'audit', message }]);
}

function effects({ phase }: UploadState): Wanted<UploadEffect>[] {
  return phase === 'delete-wait' ? [{ name: 'remove-file', key: '' }] : [];
}

function withTouch(state: unknown): unknown {
  const { sinceMs } = state as UploadState;
  return { ...(state as object), touchedAtMs: sinceMs, idleMs: OLD_IDLE_MS };
}

function passing({ phase, sinceMs }: UploadState): Passing<UploadMessage> | null {
  if (phase !== 'delete-wait') return null;
  return { reason: 'removing its bytes', sinceMs, deadlineAtMs: sinceMs + REMOVE_MS, cancel: null };
}

export const upload = defineKind<UploadState, UploadMessage, UploadEffect>({
  kind: 'upload',
  placement: 'sharded',
  initial,
  decodeMessage: decodeUploadMessage,
  transition,
  effects,
  policies: { 'remove-file': PATIENT },
  passing,
  timer: (state) => (state.phase === 'created' ? expiryOf(state) : null),
  index: () => null,
  onCrash: restartThenPark,
  // Nobody can do anything with a broken one; its file goes with its age.
  parked: (state, _reason, now) => ({ ...state, phase: 'delete-wait', sinceMs: now }),
  snapshot: {
    schema: 2,
    decode: decoder('upload', UploadState, 'actor/bad-snapshot'),
    migrations: { 1: withTouch },
  },
});

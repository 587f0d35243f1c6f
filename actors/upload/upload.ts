// An upload: says on which node a client's bytes are, and sees to it that they do not stay for ever.
//
// created ──delete, or expired──▶ delete-wait ──file removed──▶ gone
//
// U1  Its file is removed before the record goes; a node that is out of reach removes what is too old by itself (spool.ts).
import { defineKind, isLate, next, PATIENT, refuse, restartThenPark } from '../kernel/kind.ts';
import type { KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { newLife } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import { decodeUploadMessage, UploadState, type UploadMessage } from './state.ts';

export type UploadEffect = 'remove-file';

/** Since it was begun (contract: artifacts 9.2). */
export const EXPIRY_MS = 7 * 86_400_000;
/** Longer than the effect tries. */
const REMOVE_MS = 660_000;

export const initial: UploadState = { phase: 'none', node: '', namespace: '', ...newLife };

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
      const { node, namespace } = message;
      return next({ ...state, phase: 'created', node, namespace, sinceMs: turn.now }, [
        { type: 'audit', message: 'upload begun', extra: { node } },
      ]);
    }
    case 'delete':
      return leave(state, 'upload ended', turn);
    case 'file-removed':
    case 'effect-failed':
      return next(state.phase === 'delete-wait' ? null : state);
    case 'time-reached':
      if (state.phase === 'delete-wait')
        return next(isLate(passing(state), turn.now) ? null : state);
      return turn.now < state.sinceMs + EXPIRY_MS
        ? next(state)
        : leave(state, 'upload expired', turn);
  }
}

function leave(state: UploadState, message: string, turn: Turn): Step<UploadState> {
  if (state.phase === 'delete-wait') return next(state);
  return next({ ...state, phase: 'delete-wait', sinceMs: turn.now }, [{ type: 'audit', message }]);
}

function effects({ phase }: UploadState): Wanted<UploadEffect>[] {
  return phase === 'delete-wait' ? [{ name: 'remove-file', key: '' }] : [];
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
  timer: ({ phase, sinceMs }) => (phase === 'created' ? sinceMs + EXPIRY_MS : null),
  index: () => null,
  onCrash: restartThenPark,
  // Nobody can do anything with a broken one; its file goes with its age.
  parked: (state, _reason, now) => ({ ...state, phase: 'delete-wait', sinceMs: now }),
  snapshot: {
    schema: 1,
    decode: decoder('upload', UploadState, 'actor/bad-snapshot'),
    migrations: {},
  },
});

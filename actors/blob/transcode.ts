// What a disk starts from when the blob's own bytes are none that it could: they were brought packed, or in a format that
// a disk is not based on (contract: artifacts 11.5). Its transcode is a blob of its own, used by this one.
//
// X1  Made once, when the first disk wants it, on a node where that disk's replica is: then it is there at once.
// X2  One that could not be made is tried again for the next disk that comes, not by itself: the bytes stay as they are.
// X4  One that no disk has used for a while is given back, and made again when a disk wants it.
// X3  Who wants a disk is told of the transcode beside the blob, and has to ask for that itself.
import { next, type EventDraft, type Step, type Turn, type Wanted } from '../kernel/kind.ts';
import { failure } from '../kernel/object.ts';
import { randomUuid } from '../kernel/uuid.ts';
import type { BlobMessage, BlobState, Content } from './state.ts';

type Of<K extends BlobMessage['kind']> = Extract<BlobMessage, { kind: K }>;

/** Whether a disk cannot be based on the bytes as they are. */
export function needsTranscode(content: Content | null): boolean {
  return content !== null && content.format === 'raw' && content.sourceFormat !== 'raw';
}

/** Somebody is about to base a disk on it. */
export function wantedAsDisk(state: BlobState, user: string): BlobState {
  if (state.diskUsers.includes(user)) return state;
  const transcode = state.transcode?.phase === 'failed' ? null : state.transcode;
  return { ...state, transcode, diskUsers: [...state.diskUsers, user] };
}

/** With a transcode on its way, if one is wanted and can be made. */
export function withTranscode(step: Step<BlobState>, turn: Turn): Step<BlobState> {
  const { state } = step;
  if (state?.phase !== 'created' || step.refusal !== null) return step;
  if (state.transcode !== null) return { ...step, state: idleness(state, turn.now) };
  if (!needsTranscode(state.content)) return step;
  const nodes = state.diskUsers.map((user) => state.needs[user] ?? '');
  const node = nodes.find((one) => state.replicas[one]?.phase === 'verified');
  if (node === undefined) return step;
  const blobId = randomUuid(turn.random);
  const event: EventDraft = {
    type: 'audit',
    message: 'transcode wanted',
    extra: { node, blob_uuid: blobId },
  };
  const transcode = { blobId, node, phase: 'making', failure: null, ...IN_USE } as const;
  return { ...step, state: { ...state, transcode }, events: [...step.events, event] };
}

const IN_USE = { idleSinceMs: null, dropAtMs: null };

/** Whether disks use the transcode says for how long none has. */
function idleness(state: BlobState, now: number): BlobState {
  const { transcode, diskUsers } = state;
  if (transcode?.phase !== 'created') return state;
  const isIdle = diskUsers.length === 0;
  if (isIdle === (transcode.idleSinceMs !== null)) return state;
  const times = isIdle ? { idleSinceMs: now, dropAtMs: null } : IN_USE;
  return { ...state, transcode: { ...transcode, ...times } };
}

/** How long one may be idle is the cluster's setting. */
export function transcodeIdle(state: BlobState, message: Of<'transcode-idle'>): Step<BlobState> {
  const { transcode } = state;
  if (transcode?.phase !== 'created' || transcode.idleSinceMs !== message.sinceMs) {
    return next(state);
  }
  return next({ ...state, transcode: { ...transcode, dropAtMs: message.untilMs } });
}

/** When transcodeAt() has something to do; null: never. */
export function transcodeTimer({ phase, transcode }: BlobState): number | null {
  return phase === 'created' && transcode?.phase === 'created' ? transcode.dropAtMs : null;
}

export function transcodeAt(state: BlobState, now: number): BlobState {
  const { transcode } = state;
  const dropAtMs = transcodeTimer(state);
  if (transcode === null || dropAtMs === null || dropAtMs > now) return state;
  return { ...state, transcode: { ...transcode, phase: 'dropping' } };
}

/** It was given back: the next disk has another one made. */
export function transcodeDropped(state: BlobState, blobId: string): Step<BlobState> {
  const { transcode } = state;
  if (transcode?.phase !== 'dropping' || transcode.blobId !== blobId) return next(state);
  const event: EventDraft = {
    type: 'audit',
    message: 'transcode dropped, no disk has used it for long',
    extra: { blob_uuid: blobId },
  };
  return next({ ...state, transcode: null }, [event]);
}

export function transcodeEffect({
  transcode,
}: BlobState): Wanted<'make-transcode' | 'time-transcode' | 'drop-transcode'>[] {
  const lane = 'transcode';
  const key = transcode?.blobId ?? '';
  if (transcode?.phase === 'making') return [{ name: 'make-transcode', key, lane }];
  if (transcode?.phase === 'dropping') return [{ name: 'drop-transcode', key, lane }];
  if (transcode?.phase !== 'created' || transcode.idleSinceMs === null) return [];
  const since = String(transcode.idleSinceMs);
  return transcode.dropAtMs === null ? [{ name: 'time-transcode', key: since, lane }] : [];
}

/** Replies whether it is (still) the one that is wanted. */
export function transcodeChanged(state: BlobState, message: Of<'blob-changed'>): Step<BlobState> {
  const { transcode } = state;
  if (transcode?.blobId !== message.blobId || state.phase === 'deleted') {
    return next(state, [], false);
  }
  if (message.phase === 'created') {
    if (transcode.phase !== 'making') return next(state, [], transcode.phase === 'created');
    const made = { ...transcode, phase: 'created' } as const;
    return next({ ...state, transcode: made }, [], true);
  }
  const why = message.failure ?? failure('image/missing', 'the transcode failed');
  return { ...transcodeFailed(state, why), reply: false };
}

export function transcodeFailed(
  state: BlobState,
  why: { readonly code: string; readonly reason: string },
): Step<BlobState> {
  const { transcode } = state;
  if (transcode?.phase !== 'making') return next(state);
  const failed = { ...transcode, phase: 'failed', failure: { ...why } } as const;
  return next({ ...state, transcode: failed }, [
    { type: 'audit', message: 'transcode failed', extra: { ...why } },
  ]);
}

// Identical content is kept once: bytes that came anew become a version only once it is known that no other blob had them
// first. If one did, the version is that one, and the bytes that came are given back.
//
// T1  Who had them first is a claim on their hash, which is the blob's own and goes with it (actors/blob/effects.ts).
// T2  The twin is in the state before it is used, so that it is given back whatever comes; the bytes that came are given back
//     only once the twin is used for sure.
// T3  Whatever hinders it, the artifact gets its version: of the bytes that came.
// T4  Snapshots stay as they were promised (contract: artifacts 10.1), and labels name blobs that were there before.
import { next, type EventDraft, type Step, type Wanted } from '../kernel/kind.ts';
import { drop } from './dropped.ts';
import type { ArtifactMessage, ArtifactState } from './state.ts';

type Of<K extends ArtifactMessage['kind']> = Extract<ArtifactMessage, { kind: K }>;
type Settling = ArtifactState['settling'][number];

/** What has become of bytes that came: `blobId` is to be the version. */
export interface Settled extends Settling {
  readonly cameAs: string;
}

/** Whether it has to be found out before the blob becomes a version. */
export function isToSettle(state: ArtifactState, { blobId, sha512 }: Of<'blob-changed'>): boolean {
  const { type, fetching, adding, versions } = state;
  if (type === 'snapshot' || sha512 === undefined) return false;
  if (versions.at(-1)?.sha512 === sha512) return false;
  const addition = adding.find((one) => one.blobId === blobId);
  return fetching?.blobId === blobId || (addition?.source ?? null) !== null;
}

export function settle(
  state: ArtifactState,
  { blobId, sha512 = '' }: Of<'blob-changed'>,
): Step<ArtifactState> {
  if (isSettling(state, blobId)) return next(state, [], true);
  const settling = [...state.settling, { blobId, sha512, twinId: null }];
  return next({ ...state, settling }, [], true);
}

export function isSettling({ settling }: ArtifactState, blobId: string): boolean {
  return settling.some((one) => one.blobId === blobId);
}

/** The effect that looks for a twin, or begins to use it. */
export function settleEffects({ settling }: ArtifactState): Wanted<'find-twin' | 'hold-twin'>[] {
  return settling.map(({ blobId, twinId }) =>
    twinId === null
      ? { name: 'find-twin', key: blobId, lane: blobId }
      : { name: 'hold-twin', key: `${blobId} ${twinId}`, lane: blobId },
  );
}

/** There is one, which is to be used. Null: nothing to do about it, or it is being given back. */
export function twinFound(
  state: ArtifactState,
  { blobId, twinId }: { readonly blobId: string; readonly twinId: string },
): ArtifactState | null {
  const isFree = !state.dropped.some((one) => one.blobId === twinId);
  if (!isFree || !isSettling(state, blobId)) return null;
  const settling = state.settling.map((one) => (one.blobId === blobId ? { ...one, twinId } : one));
  return { ...state, settling };
}

/** The version is to be the twin, or what came (T3); the other one is given back. */
export function settled(
  state: ArtifactState,
  blobId: string,
  isTwinHeld: boolean,
): {
  readonly state: ArtifactState;
  readonly version: Settled;
  readonly events: EventDraft[];
} | null {
  const found = state.settling.find((one) => one.blobId === blobId);
  if (found === undefined) return null;
  const settling = state.settling.filter((one) => one !== found);
  const { twinId } = found;
  const left = { ...state, settling };
  if (twinId === null || !isTwinHeld) {
    const kept = twinId === null ? left : drop(left, [twinId]);
    return { state: kept, version: { ...found, cameAs: blobId }, events: [] };
  }
  const event: EventDraft = {
    type: 'audit',
    message: 'the same content was there already, and is used',
    extra: { blob_uuid: twinId, dropped: blobId },
  };
  return { state: left, version: { ...found, blobId: twinId, cameAs: blobId }, events: [event] };
}

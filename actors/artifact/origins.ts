// One download in the whole cluster: before bytes are fetched from an address it is found out which blob fetches from it, or
// has fetched from it last, for an artifact of whatever namespace.
//
// O1  That is a claim on the address, which is the blob's own and goes with it (actors/blob/origin.ts). A claim whose blob is
//     not there yet is one whose artifact is about to make it: whoever comes makes it under that id, and all use it.
// O2  The blob is in the state before it is used, so that it is given back whatever comes. It is fetched for as long as one
//     artifact wants it.
// O3  What has come already is used only when the server, asked again now, says that it still has the same.
// O4  Whatever hinders it, the artifact fetches for itself. A blob that has failed, or goes, is nobody's any more: the next
//     one begins anew.
// O5  An artifact learns of no other one: neither from the claim, nor from the blob.
import { next, type EventDraft, type Step, type Wanted } from '../kernel/kind.ts';
import { originOf } from '../blob/origin.ts';
import type { Source } from '../blob/state.ts';
import type { Addition, ArtifactMessage, ArtifactState } from './state.ts';

type Of<K extends ArtifactMessage['kind']> = Extract<ArtifactMessage, { kind: K }>;
type Adding = ArtifactState['adding'][number];

/** What is about to be fetched, and on which node. */
export interface Pending {
  readonly blobId: string;
  readonly source: Source | null;
  readonly node: string | null;
  readonly isSought: boolean;
}

/** Whether it has to be found out who else fetches it. */
export function isToSeek(source: Source | null): boolean {
  return originOf(source) !== null;
}

export function sought(addition: Addition): Adding {
  return { ...addition, isSought: isToSeek(addition.source) };
}

/** All that is on its way. */
export function pendingOf({ fetching, source, adding }: ArtifactState): Pending[] {
  return fetching === null ? [...adding] : [{ ...fetching, source }, ...adding];
}

export function isSought(state: ArtifactState, blobId: string): boolean {
  return pendingOf(state).some((one) => one.blobId === blobId && one.isSought);
}

export function originEffects(state: ArtifactState): Wanted<'find-origin'>[] {
  const seeking = pendingOf(state).filter((one) => one.isSought);
  return seeking.map(({ blobId }) => ({ name: 'find-origin', key: blobId, lane: blobId }));
}

/** Another blob has the bytes or fetches them, and becomes what is waited for; or nobody else does. */
export function originFound(
  state: ArtifactState,
  { blobId, otherId }: Of<'origin-found'>,
): Step<ArtifactState> {
  if (!isStanding(state) || !isSought(state, blobId)) return next(state);
  // One that is being given back is not taken again (versions.ts).
  const isGoing = state.dropped.some((one) => one.blobId === otherId);
  if (otherId === null || otherId === blobId || isGoing) {
    return next(renamed(state, blobId, { blobId, isSought: false }));
  }
  const isThere = state.versions.at(-1)?.blobId === otherId;
  if (isThere || pendingOf(state).some((one) => one.blobId === otherId)) {
    return next({ ...state, adding: state.adding.filter((one) => one.blobId !== blobId) });
  }
  const event: EventDraft = {
    type: 'audit',
    message: 'no download of its own: this blob has what the address gives, or fetches it',
    extra: { blob_uuid: otherId },
  };
  return next(renamed(state, blobId, { blobId: otherId, isSought: false }), [event]);
}

/** The blob will not come any more: another id, for which the address is looked at again. */
export function originGone(
  state: ArtifactState,
  { blobId, insteadId }: Of<'origin-gone'>,
): Step<ArtifactState> {
  if (!isStanding(state) || blobId === insteadId) return next(state);
  return next(renamed(state, blobId, { blobId: insteadId, isSought: true }));
}

function isStanding({ phase }: ArtifactState): boolean {
  return phase === 'initial' || phase === 'created';
}

function renamed(
  state: ArtifactState,
  blobId: string,
  now: { readonly blobId: string; readonly isSought: boolean },
): ArtifactState {
  const { fetching } = state;
  const changed = <T extends { readonly blobId: string }>(one: T): T =>
    one.blobId === blobId ? { ...one, ...now } : one;
  return {
    ...state,
    fetching: fetching === null ? null : changed(fetching),
    adding: state.adding.map(changed),
  };
}

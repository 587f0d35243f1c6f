// An artifact's versions: how one comes to be, and which go (contract: artifacts 7.6).
//
// V1  An index is never used again.
// V2  The artifact uses each blob of its versions once, however many of them have it. A blob that no version has any more
//     is dropped: given back, and until then not taken again, so that no use is lost to a release that comes late.
// V3  What fails to become a version changes nothing but addFailure.
import {
  next,
  refuse,
  type EventDraft,
  type Step,
  type Turn,
  type Wanted,
} from '../kernel/kind.ts';
import { drop } from './dropped.ts';
import { isOutsideSource } from '../blob/state.ts';
import { sought } from './origins.ts';
import type { Addition, ArtifactMessage, ArtifactState, Version } from './state.ts';

/** Whether the artifact will still give back its use of the blob. */
export function holds(state: ArtifactState, blobId: string): boolean {
  if (state.phase === 'deleted') return false;
  return blobsOf(state).includes(blobId);
}

/** Every blob it uses, is about to use, or has not given back yet. */
export function blobsOf(state: ArtifactState): string[] {
  const { versions, fetching, adding, dropped, settling } = state;
  const ids = [...versions, ...adding, ...dropped].map(({ blobId }) => blobId);
  ids.push(...settling.flatMap(({ twinId }) => twinId ?? []));
  if (fetching !== null) ids.push(fetching.blobId);
  return [...new Set(ids)];
}

/**
 * What was to be made for it is a version, or has come to nothing: it is made once, and who asks once more is late. One
 * that is there anyway may be added again.
 */
export function isOver({ versions, addFailure }: ArtifactState, addition: Addition): boolean {
  const { blobId, source } = addition;
  if (source === null) return false;
  return addFailure?.blobId === blobId || versions.some((one) => one.blobId === blobId);
}

export function addVersion(state: ArtifactState, addition: Addition): Step<ArtifactState> {
  if (state.phase !== 'initial' && state.phase !== 'created') {
    return refuse(state, 'object/wrong-phase', `artifact not ready (state=${state.phase})`);
  }
  const { blobId } = addition;
  if (state.dropped.some((one) => one.blobId === blobId)) {
    return refuse(state, 'object/not-ready', `blob ${blobId} is being given back; try again`);
  }
  const isKnown = state.adding.some((one) => one.blobId === blobId);
  // The newest already: nothing is added.
  if (isKnown || state.versions.at(-1)?.blobId === blobId) return next(state);
  return next({ ...state, adding: [...state.adding, sought(addition)], addFailure: null });
}

/** A blob that is there. */
interface Made {
  readonly blobId: string;
  readonly sha512?: string;
}

export function versionOf(index: number, { blobId, sha512 }: Made): Version {
  return { index, blobId, ...(sha512 === undefined ? {} : { sha512 }) };
}

/** The blob is there; `isPending` has said so. */
export function added(state: ArtifactState, made: Made, turn: Turn): Step<ArtifactState> {
  const { blobId } = made;
  const adding = state.adding.filter((one) => one.blobId !== blobId);
  const newest = state.versions.at(-1);
  // Not of snapshots: who asked for one waits for the very blob that was promised (contract: artifacts 10.1).
  const isSame = newest?.sha512 !== undefined && newest.sha512 === made.sha512;
  if (isSame && state.type !== 'snapshot') {
    return sameAgain({ ...state, adding, setback: null }, blobId);
  }
  const index = state.lastIndex + 1;
  const grown = {
    ...state,
    adding,
    versions: [...state.versions, versionOf(index, made)],
    lastIndex: index,
  };
  const isFirst = state.phase === 'initial';
  const ready = isFirst ? ({ phase: 'created', sinceMs: turn.now } as const) : {};
  const event: EventDraft = {
    type: 'mutate',
    message: 'added index to artifact',
    extra: { index, blob_uuid: blobId },
  };
  return pruned({ ...grown, ...ready, setback: null }, [event]);
}

/** The content of the newest version once more: no version, and its blob is given back. */
function sameAgain(state: ArtifactState, blobId: string): Step<ArtifactState> {
  const event: EventDraft = {
    type: 'mutate',
    message: 'same content as the newest version, nothing added',
    extra: { blob_uuid: blobId },
  };
  return next(drop(state, [blobId]), [event]);
}

export function isPending({ adding }: ArtifactState, blobId: string): boolean {
  return adding.some((one) => one.blobId === blobId);
}

export function addFailed(
  state: ArtifactState,
  why: NonNullable<ArtifactState['addFailure']>,
): Step<ArtifactState> {
  const failed = state.adding.find((one) => one.blobId === why.blobId);
  const adding = state.adding.filter((one) => one !== failed);
  // Whether or not it was made: what is claimed for it is given back with it.
  if (isOutsideSource(failed?.source ?? null))
    return next(drop({ ...state, adding }, [why.blobId]), [notUpdated(why.reason)]);
  return next({ ...state, adding, addFailure: why }, [
    { type: 'audit', message: 'version not added', extra: { ...why } },
  ]);
}

/** Of one whose version stays the newest. */
export function notUpdated(reason: string): EventDraft {
  const message = 'updating image failed, using already cached version';
  return { type: 'audit', message, extra: { reason } };
}

/** Only the newest are kept. */
export function pruned(state: ArtifactState, events: readonly EventDraft[]): Step<ArtifactState> {
  const surplus = state.versions.slice(0, Math.max(0, state.versions.length - state.maxVersions));
  return without(
    state,
    surplus.map(({ index }) => index),
    events,
  );
}

export function removeVersion(state: ArtifactState, index: number): Step<ArtifactState> {
  if (!state.versions.some((version) => version.index === index)) {
    return refuse(state, 'object/not-found', 'artifact index not found');
  }
  return without(state, [index], []);
}

function without(
  state: ArtifactState,
  gone: readonly number[],
  events: readonly EventDraft[],
): Step<ArtifactState> {
  if (gone.length === 0) return next(state, events);
  const versions = state.versions.filter(({ index }) => !gone.includes(index));
  const left = { ...state, versions };
  const surplus = state.versions.filter(({ index }) => gone.includes(index));
  const blobIds = surplus.map(({ blobId }) => blobId);
  const told = gone.map((index): EventDraft => {
    return { type: 'mutate', message: 'deleted index from artifact', extra: { index } };
  });
  return next(drop(left, blobIds), [...events, ...told]);
}

/** If it had the bytes of the newest version, these are known by what its source calls them now. */
export function versionReleased(
  state: ArtifactState,
  { blobId, at, came }: Extract<ArtifactMessage, { kind: 'version-released' }>,
): Step<ArtifactState> {
  const dropped = state.dropped.filter((one) => one.blobId !== blobId || one.at !== at);
  if (dropped.length === state.dropped.length) return next(state);
  const newest = state.versions.at(-1);
  const isSame = newest?.sha512 !== undefined && newest.sha512 === came?.sha512;
  if (!isSame || newest.blobId === blobId) return next({ ...state, dropped });
  const versions = [...state.versions.slice(0, -1), { ...newest, marks: came.marks }];
  return next({ ...state, dropped, versions });
}

export function versionEffects({
  adding,
  dropped,
}: ArtifactState): Wanted<'add-version' | 'release-version'>[] {
  return [
    ...adding
      .filter(({ isSought }) => !isSought)
      .map(({ blobId }) => ({ name: 'add-version', key: blobId, lane: blobId }) as const),
    ...dropped.map(({ blobId, at }) => {
      return { name: 'release-version', key: `${at} ${blobId}`, lane: blobId } as const;
    }),
  ];
}

// Whether the newest version is still what its source has, asked each time the image is used (contract: artifacts 6.2).
//
// R1  Who waits for the artifact is told once that is known, and has a newer version if there is one.
// R2  What comes of it never takes away the version that there is.
// R3  One asks at a time: whoever uses the image meanwhile waits for the same answer.
import { isOutsideSource } from '../blob/state.ts';
import { next, type EventDraft, type Step } from '../kernel/kind.ts';
import { addVersion, notUpdated } from './versions.ts';
import type { ArtifactMessage, ArtifactState } from './state.ts';

type Of<K extends ArtifactMessage['kind']> = Extract<ArtifactMessage, { kind: K }>;

export function refresh(state: ArtifactState, message: Of<'refresh'>): Step<ArtifactState> {
  if (state.phase !== 'created' || isRefreshing(state)) return next(state);
  const { source, blobId, node } = message;
  return next({ ...state, checking: { source, blobId, node }, checks: state.checks + 1 });
}

/** The source is being asked, or its newer version is on its way. */
export function isRefreshing({ checking, adding }: ArtifactState): boolean {
  return checking !== null || adding.some(({ source }) => isOutsideSource(source));
}

export function sourceChecked(
  state: ArtifactState,
  { check, outcome }: Of<'source-checked'>,
): Step<ArtifactState> {
  const { checking } = state;
  if (checking === null || check !== state.checks || state.phase !== 'created') return next(state);
  const { source, blobId, node } = checking;
  const asked = { ...state, checking: null };
  switch (outcome.verdict) {
    case 'same':
      return next(asked);
    case 'unknown':
      return next(asked, [notUpdated(outcome.reason)]);
    case 'changed': {
      const { what, before, now } = outcome;
      const step = addVersion({ ...asked, source }, { blobId, source, node });
      const event: EventDraft = {
        type: 'audit',
        message: `image requires fetch, ${what} changed`,
        extra: { old: before, new: now },
      };
      return { ...step, events: [...step.events, event] };
    }
  }
}

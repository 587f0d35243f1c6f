// What an artifact's state asks for: the effects that ought to run, what it waits for, when it is to be woken.
import type { Passing, Wanted } from '../kernel/kind.ts';
import { isPaused, timerOf, withSetback } from '../kernel/setback.ts';
import { isLeaving } from './ending.ts';
import { isSought, originEffects } from './origins.ts';
import { isRefreshing } from './refresh.ts';
import type { ArtifactMessage, ArtifactState } from './state.ts';
import { settleEffects } from './twins.ts';
import { versionEffects } from './versions.ts';

export type ArtifactEffect =
  | 'fetch-version'
  | 'add-version'
  | 'check-source'
  | 'find-origin'
  | 'find-twin'
  | 'hold-twin'
  | 'release-version'
  | 'tell-waiters'
  | 'release-blobs'
  | 'forget';

/** The blob's own deadline plus time to hear of it. */
const FETCH_MS = 1_860_000;
/** The same for a disk that has to be copied first. */
const SNAPSHOT_MS = 10_800_000;
const RELEASE_MS = 300_000;

export function effects(state: ArtifactState): Wanted<ArtifactEffect>[] {
  if (isPaused(state)) return [];
  const { waiters, lastIndex } = state;
  const tell: Wanted<ArtifactEffect>[] =
    waiters.length > 0 ? [{ name: 'tell-waiters', key: `${lastIndex}:${waiters.join()}` }] : [];
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial': {
      const others = comingEffects(state);
      const blobId = state.fetching?.blobId;
      if (blobId === undefined || isSought(state, blobId)) return others;
      return [{ name: 'fetch-version', key: blobId }, ...others];
    }
    case 'created': {
      const { checking, checks } = state;
      const check = { name: 'check-source', key: String(checks), lane: 'source' } as const;
      return [
        ...(isRefreshing(state) ? [] : tell),
        ...(checking === null ? [] : [check]),
        ...comingEffects(state),
      ];
    }
    case 'error':
      return tell;
    case 'delete-wait':
      return [...tell, { name: 'release-blobs', key: '' }];
    case 'deleted':
      return state.forgetting ? [...tell, { name: 'forget', key: '' }] : tell;
  }
}

function comingEffects(state: ArtifactState): Wanted<ArtifactEffect>[] {
  return [...originEffects(state), ...versionEffects(state), ...settleEffects(state)];
}

/** The nearest of what is to be looked at: an expiry, a pause that ends, the time to be forgotten. */
export function timer(state: ArtifactState): number | null {
  const other = timerOf(state);
  const { expiresAtMs } = state;
  if (expiresAtMs === undefined || isLeaving(state)) return other;
  return Math.min(expiresAtMs, other ?? expiresAtMs);
}

export function passing(state: ArtifactState): Passing<ArtifactMessage> | null {
  const { sinceMs } = state;
  const since = { sinceMs, cancel: { kind: 'delete' } } as const;
  if (state.phase === 'initial') {
    return { ...since, reason: 'waiting for its blob', deadlineAtMs: sinceMs + patienceOf(state) };
  }
  if (state.phase === 'delete-wait') {
    const reason = withSetback('giving back its blobs', state);
    return { ...since, reason, deadlineAtMs: sinceMs + RELEASE_MS };
  }
  return null;
}

export function patienceOf({ type }: ArtifactState): number {
  return type === 'snapshot' ? SNAPSHOT_MS : FETCH_MS;
}

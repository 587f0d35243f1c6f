// Blobs that the artifact uses no more, until they are given back.
import type { ArtifactState } from './state.ts';

/** Those of them that it does not need for anything else. */
export function drop(state: ArtifactState, blobIds: readonly string[]): ArtifactState {
  const { versions, adding, settling, fetching, dropped } = state;
  const needed = new Set(
    [...versions, ...adding, ...settling, ...dropped].map(({ blobId }) => blobId),
  );
  for (const { twinId } of settling) if (twinId !== null) needed.add(twinId);
  if (fetching !== null) needed.add(fetching.blobId);
  const at = state.drops + 1;
  const entries = [...new Set(blobIds)]
    .filter((blobId) => !needed.has(blobId))
    .map((blobId) => ({ blobId, at }));
  if (entries.length === 0) return state;
  return { ...state, dropped: [...dropped, ...entries], drops: at };
}

// The phases of an artifact and the moves between them (contract: artifacts 3, which has no `delete-wait`:
// clients see `deleted` while its blobs are given back).
import type { ArtifactState } from './state.ts';

export const PHASES: Readonly<Record<ArtifactState['phase'], readonly ArtifactState['phase'][]>> = {
  none: ['initial'],
  initial: ['created', 'error', 'delete-wait'],
  created: ['error', 'delete-wait'],
  error: ['initial', 'delete-wait'],
  // To `error` when it is parked after crashes; deleted again, it goes on.
  'delete-wait': ['deleted', 'error'],
  deleted: [],
};

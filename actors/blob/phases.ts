// The phases of a blob and the moves between them (contract: artifacts 11.2, which has no `delete-wait`:
// removing replicas takes a moment).
import type { BlobState } from './state.ts';

export const PHASES: Readonly<Record<BlobState['phase'], readonly BlobState['phase'][]>> = {
  none: ['initial'],
  initial: ['created', 'error', 'delete-wait'],
  created: ['error', 'delete-wait'],
  error: ['delete-wait'],
  // To `error` when it is parked after crashes; no longer used, it goes on.
  'delete-wait': ['deleted', 'error'],
  deleted: [],
};

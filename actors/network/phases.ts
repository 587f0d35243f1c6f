// The phases of a network and the moves between them (contract: networks 1.2, where `initial` and `error`
// go to `deleted` at once: giving back what was reserved takes a moment, spent in `delete-wait`).
import type { NetworkState } from './state.ts';

export const PHASES: Readonly<Record<NetworkState['phase'], readonly NetworkState['phase'][]>> = {
  none: ['initial'],
  initial: ['created', 'error', 'delete-wait'],
  created: ['error', 'delete-wait'],
  error: ['delete-wait'],
  // To `error` when it is parked after crashes; deleted again, it goes on.
  'delete-wait': ['deleted', 'error'],
  deleted: [],
};

// The phases of an interface and the moves between them (contract: networks 3.2, which has no
// `delete-wait`: giving an address back takes a moment, and clients see `created` meanwhile).
import type { InterfaceState } from './state.ts';

export const PHASES: Readonly<Record<InterfaceState['phase'], readonly InterfaceState['phase'][]>> =
  {
    none: ['initial'],
    initial: ['created', 'error', 'delete-wait'],
    created: ['error', 'delete-wait'],
    error: ['delete-wait'],
    // To `error` when it is parked after crashes; deleted again, it goes on.
    'delete-wait': ['deleted', 'error'],
    deleted: [],
  };

// The phases of a node and the moves between them: it is there as soon as its daemon has registered.
import type { NodeState } from './state.ts';

export const PHASES: Readonly<Record<NodeState['phase'], readonly NodeState['phase'][]>> = {
  none: ['created'],
  created: ['error', 'deleted'],
  // Registered again by a daemon that got over what parked it.
  error: ['created', 'deleted'],
  // Another machine was invited under its name.
  deleted: ['created'],
};

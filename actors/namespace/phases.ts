// The phases of a namespace and the moves between them.
import type { NamespaceState } from './state.ts';

type Phase = NamespaceState['phase'];

export const PHASES: Readonly<Record<Phase, readonly Phase[]>> = {
  none: ['created'],
  created: ['error'],
  error: [],
  deleted: [],
};

// The phases of a namespace and the moves between them.
import type { NamespaceState } from './state.ts';

type Phase = NamespaceState['phase'];

export const PHASES: Readonly<Record<Phase, readonly Phase[]>> = {
  none: ['created'],
  created: ['deleted', 'error'],
  error: ['deleted'],
  deleted: ['created'],
};

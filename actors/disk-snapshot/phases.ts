// The phases of a disk snapshot and the moves between them.
import type { DiskSnapshotState } from './state.ts';

type Phase = DiskSnapshotState['phase'];

export const PHASES: Readonly<Record<Phase, readonly Phase[]>> = {
  none: ['initial'],
  initial: ['copying', 'error'],
  copying: ['keeping', 'error'],
  keeping: ['complete', 'error'],
  // To `error` when parked after crashes.
  complete: ['deleted', 'error'],
  error: ['deleted'],
  deleted: [],
};

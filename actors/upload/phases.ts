// The phases of an upload and the moves between them; from `delete-wait` it goes for good (contract: artifacts 9.1).
import type { UploadState } from './state.ts';

type Phase = UploadState['phase'];

export const PHASES: Readonly<Record<Phase, readonly Phase[]>> = {
  none: ['created'],
  created: ['delete-wait'],
  'delete-wait': [],
};

// What hangs on an instance beside its machine: agent operations, pictures of its screen, snapshots of its disks.
import { next, type Step, type Turn } from '../kernel/kind.ts';
import {
  enlist,
  operationOver,
  operationReady,
  operationsDropped,
  operationStarted,
} from './operations.ts';
import { keepScreenshot, screenshotsDropped } from './screenshots.ts';
import { enlistSnapshot, snapshotOver, snapshotsDropped } from './snapshots.ts';
import type { InstanceMessage, InstanceState } from './state.ts';

export type AttachmentMessage = Extract<
  InstanceMessage,
  {
    kind:
      | 'enlist'
      | 'operation-ready'
      | 'operation-started'
      | 'operation-over'
      | 'operations-dropped'
      | 'keep-screenshot'
      | 'screenshots-dropped'
      | 'enlist-snapshot'
      | 'snapshot-over'
      | 'snapshots-dropped';
  }
>;

export function attachmentChanged(
  state: InstanceState,
  message: AttachmentMessage,
  turn: Turn,
): Step<InstanceState> {
  switch (message.kind) {
    case 'enlist':
      return enlist(state, message, turn);
    case 'operation-ready':
      return operationReady(state, message);
    case 'operation-started':
      return operationStarted(state, message);
    case 'operation-over':
      return operationOver(state, message);
    case 'operations-dropped':
      return next(operationsDropped(state, message));
    case 'keep-screenshot':
      return keepScreenshot(state, message);
    case 'screenshots-dropped':
      return next(screenshotsDropped(state, message));
    case 'enlist-snapshot':
      return enlistSnapshot(state, message, turn);
    case 'snapshot-over':
      return snapshotOver(state, message);
    case 'snapshots-dropped':
      return next(snapshotsDropped(state, message));
  }
}

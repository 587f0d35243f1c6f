// What reaches into the guests of this machine, or reads their disks and screens.
import { OUTCOME_WAIT_MS } from '../../../actors/agent-operation/effects.ts';
import { PROGRESS_WAIT_MS } from '../../../actors/disk-snapshot/effects.ts';
import type { DiskCopying } from '../../../actors/node/disk-copying.ts';
import type { GuestOperations } from '../../../actors/node/guest-operations.ts';
import type { Handlers } from './handlers.ts';

export interface Guests {
  readonly operations: Pick<GuestOperations, 'bootFor' | 'run' | 'end'>;
  readonly diskCopying: Pick<DiskCopying, 'run' | 'end'>;
  /** Takes a picture of the screen into the spool; resolves to its id there. */
  takeScreenshot(instanceId: string): Promise<string>;
}

export function guestHandlers(
  guests: Guests,
): Handlers<
  | 'guest-boot'
  | 'run-agent-operation'
  | 'end-agent-operation'
  | 'copy-disks'
  | 'end-copy-disks'
  | 'take-screenshot'
> {
  const { operations, diskCopying } = guests;
  return {
    'guest-boot': ({ instanceId }) => operations.bootFor(instanceId),
    'run-agent-operation': (message) => operations.run(message, OUTCOME_WAIT_MS),
    'end-agent-operation': ({ operationId }) => operations.end(operationId),
    'copy-disks': (message, trace) => diskCopying.run(message, PROGRESS_WAIT_MS, trace),
    'end-copy-disks': ({ snapshotId, blobIds }) => diskCopying.end(snapshotId, blobIds),
    'take-screenshot': ({ instanceId }) => guests.takeScreenshot(instanceId),
  };
}

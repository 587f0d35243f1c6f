// What a simulated machine's daemon answers when it is asked itself, as src/daemon/machine-service does.
import { OUTCOME_WAIT_MS } from '../../actors/agent-operation/effects.ts';
import { PROGRESS_WAIT_MS } from '../../actors/disk-snapshot/effects.ts';
import type { SourceVerdict } from '../../actors/artifact/state.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { Message } from '../../actors/kernel/kind.ts';
import type { DiskCopying } from '../../actors/node/disk-copying.ts';
import type { GuestOperations } from '../../actors/node/guest-operations.ts';
import { decodeMachineMessage, type MachineMessage } from '../../actors/node/machine-message.ts';
import type { Handlers } from '../../src/daemon/machine-service/handlers.ts';
import type { SimImages } from './sim-images.ts';

export interface SimMachineParts {
  readonly operations: Pick<GuestOperations, 'bootFor' | 'run' | 'end'>;
  readonly copying: DiskCopying;
  readonly images: SimImages;
}

type Answers = (message: MachineMessage) => unknown;

/** What is not simulated is answered with null. */
export async function answerAsMachine(
  { operations, copying, images }: SimMachineParts,
  body: Message,
): Promise<Json> {
  const handlers: Partial<Handlers> = {
    'guest-boot': ({ instanceId }) => operations.bootFor(instanceId),
    'run-agent-operation': (message) => operations.run(message, OUTCOME_WAIT_MS),
    'end-agent-operation': ({ operationId }) => operations.end(operationId),
    'copy-disks': (message) => copying.run(message, PROGRESS_WAIT_MS, 'sim'),
    'end-copy-disks': ({ snapshotId, blobIds }) => copying.end(snapshotId, blobIds),
    'keep-console': ({ instanceId, spoolId }) => keepConsole(images, instanceId, spoolId),
    'spool-remove': ({ id }) => void images.spooled.delete(id),
    'read-through': ({ blobId }) => images.readable(blobId) !== undefined,
    'check-source': ({ url, etag }) => compare(images, url, etag),
  };
  const message = decodeMachineMessage(body);
  const answer = handlers[message.kind] as Answers | undefined;
  return JSON.parse(JSON.stringify((await answer?.(message)) ?? null)) as Json;
}

/** Every guest has said its own name. */
function keepConsole(images: SimImages, instanceId: string, spoolId: string): number {
  const sizeBytes = instanceId.length;
  const content = `console of ${instanceId}`;
  images.spooled.set(spoolId, { sizeBytes, virtualSizeBytes: sizeBytes, format: 'raw', content });
  return sizeBytes;
}

function compare(images: SimImages, url: string, etag: string | null): SourceVerdict {
  const there = images.web.get(url);
  if (there === undefined) return { verdict: 'unknown', reason: `${url} cannot be reached` };
  const now = there.etag ?? '';
  if (now === (etag ?? '')) return { verdict: 'same' };
  return { verdict: 'changed', what: 'ETag', before: etag ?? '', now };
}

// Bytes of blobs, and of what is to become one, on this machine's disk.
import type { SourceVerdict } from '../../../actors/artifact/state.ts';
import type { ReplicaFacts } from '../../../actors/blob/ports.ts';
import type { HeldReplica } from '../../drivers/image/held-replica.ts';
import type { KnownSource } from '../../drivers/image/source-check.ts';
import type { Exports } from '../../drivers/image/nbd/exports.ts';
import type { Reads } from '../../drivers/image/nbd/reads.ts';
import type { Spool } from '../../drivers/image/spool.ts';
import type { Handlers } from './handlers.ts';

export interface MachineFiles {
  readonly spool: Pick<Spool, 'write' | 'resize' | 'size' | 'remove'>;
  open(blobId: string): Promise<Pick<HeldReplica, 'sizeBytes' | 'read' | 'close'>>;
  describe(blobId: string, trace: string): Promise<ReplicaFacts>;
  checkSource(known: KnownSource): Promise<SourceVerdict>;
  readonly exports: Pick<Exports, 'serve'>;
  readonly reads: Pick<Reads, 'announce'>;
  checkFile(path: string, etag: string | null): Promise<SourceVerdict>;
}

export function fileHandlers(
  files: MachineFiles,
): Handlers<
  | 'spool-write'
  | 'spool-resize'
  | 'spool-size'
  | 'spool-remove'
  | 'read-replica'
  | 'describe-replica'
  | 'serve-replica'
  | 'read-through'
  | 'check-source'
  | 'check-file'
> {
  const { spool } = files;
  return {
    'spool-write': ({ id, offset, bytes }) => spool.write(id, offset, bytes),
    'spool-resize': ({ id, sizeBytes }) => spool.resize(id, sizeBytes),
    'spool-size': ({ id }) => spool.size(id),
    'spool-remove': ({ id }) => spool.remove(id),
    'read-replica': (message) => readReplica(files, message),
    'describe-replica': ({ blobId }, trace) => files.describe(blobId, trace),
    'serve-replica': ({ blobId }, trace) => files.exports.serve(blobId, trace),
    'read-through': async ({ blobId }, trace) => {
      await files.reads.announce(blobId, trace);
      return true;
    },
    'check-source': (message) => files.checkSource(message),
    'check-file': ({ path, etag }) => files.checkFile(path, etag),
  };
}

async function readReplica(
  files: MachineFiles,
  { blobId, offset, lengthBytes }: { blobId: string; offset: number; lengthBytes: number },
): Promise<Uint8Array> {
  const replica = await files.open(blobId);
  try {
    const bytes = Buffer.alloc(Math.max(0, Math.min(lengthBytes, replica.sizeBytes - offset)));
    await replica.read(bytes, offset);
    return bytes;
  } finally {
    await replica.close();
  }
}

// The executor of replicas: this machine's copy of a blob.
import { decoder, closed, nullable, Type } from '../kernel/schema.ts';
import type { BlobStore, ReplicaProgress } from '../blob/ports.ts';
import { blobRef, Content, Source } from '../blob/state.ts';
import type { Router } from '../kernel/ports.ts';
import type { Converger } from './executors.ts';

/** Nodes that hold the blob, to be copied from. */
const Peers = closed({
  kind: Type.Literal('peers'),
  nodes: Type.Array(Type.String()),
  peers: Type.Optional(Type.Array(Type.String())),
  content: Content,
});

const decodeReplica = decoder(
  'replica',
  closed({
    source: Type.Union([Source, Peers]),
    maxSizeBytes: Type.Number(),
    sha512: nullable(Type.String()),
  }),
  'actor/bad-message',
);

/** Progress becomes an event on the blob at most this often, per cent. */
const STEP_PERCENT = 10;

export function replicaConverger(blobs: BlobStore, router: Router): Converger {
  return {
    ownerKind: 'blob',
    ensure: async (blobId, spec, by) => {
      const tellProgress = (step: string, percent: number | null) =>
        router.tell(blobRef(blobId), { kind: 'progressed', step, percent }, { trace: by.trace });
      const report = await blobs.ensureReplica(
        { blobId, ...decodeReplica(spec) },
        by,
        coarse(tellProgress),
      );
      return { ...report };
    },
    remove: (blobId, by) => blobs.removeReplica(blobId, by),
  };
}

/** Lets through a new step and every tenth of it. */
function coarse(
  tell: (step: string, percent: number | null) => void,
): (progress: ReplicaProgress) => void {
  let last = '';
  return ({ step, doneBytes, totalBytes }) => {
    const exact = totalBytes === null || totalBytes === 0 ? null : (100 * doneBytes) / totalBytes;
    const percent = exact === null ? null : Math.floor(exact / STEP_PERCENT) * STEP_PERCENT;
    const now = `${step} ${percent}`;
    if (now === last) return;
    last = now;
    tell(step, percent);
  };
}

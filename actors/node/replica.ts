// The executor of replicas: this machine's copy of a blob.
import { received, closed, nullable, Type } from '../kernel/schema.ts';
import type { BlobStore } from '../blob/ports.ts';
import { blobRef, Content, Source } from '../blob/state.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Router } from '../kernel/ports.ts';
import { progressMeter } from './progress.ts';
import type { Converger } from './executors.ts';

/** Nodes that hold the blob, to be copied from. */
const Peers = closed({
  kind: Type.Literal('peers'),
  nodes: Type.Array(Type.String()),
  isUrgent: Type.Optional(Type.Boolean()),
  peers: Type.Optional(Type.Array(Type.String())),
  content: Content,
});

const decodeReplica = received(
  'replica',
  closed({
    source: Type.Union([Source, Peers]),
    maxSizeBytes: Type.Number(),
    sha512: nullable(Type.String()),
  }),
);

export interface ReplicaHost {
  readonly node: string;
  readonly clock: Pick<Clock, 'monoMs'>;
}

export function replicaConverger(
  blobs: BlobStore,
  router: Router,
  { node, clock }: ReplicaHost,
): Converger {
  return {
    ownerKind: 'blob',
    ensure: async (blobId, spec, by) => {
      const onProgress = progressMeter(clock, (progress) =>
        router.tell(
          blobRef(blobId),
          { kind: 'progressed', node, ...progress },
          { trace: by.trace },
        ),
      );
      const report = await blobs.ensureReplica({ blobId, ...decodeReplica(spec) }, by, onProgress);
      const { facts, ...rest } = report;
      return facts === undefined ? rest : { ...rest, facts: { ...facts } };
    },
    remove: (blobId, by) => blobs.removeReplica(blobId, by),
  };
}

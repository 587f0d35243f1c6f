// Every kind of object, joined with what carries out its effects.
import { agentOperation } from '../../actors/agent-operation/agent-operation.ts';
import { agentOperationPerformers } from '../../actors/agent-operation/effects.ts';
import { artifact } from '../../actors/artifact/artifact.ts';
import { artifactPerformers } from '../../actors/artifact/effects.ts';
import { blob } from '../../actors/blob/blob.ts';
import { blobPerformers } from '../../actors/blob/effects.ts';
import { diskSnapshot } from '../../actors/disk-snapshot/disk-snapshot.ts';
import { diskSnapshotPerformers } from '../../actors/disk-snapshot/effects.ts';
import { instancePerformers } from '../../actors/instance/effects.ts';
import { instance } from '../../actors/instance/instance.ts';
import { interfacePerformers } from '../../actors/interface/effects.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import type { Claims } from '../../actors/kernel/ports.ts';
import type { Runtime } from '../../actors/kernel/runtime.ts';
import { namespace } from '../../actors/namespace/namespace.ts';
import { networkPerformers } from '../../actors/network/effects.ts';
import { network } from '../../actors/network/network.ts';
import { nodePerformers, type Standing } from '../../actors/node/effects.ts';
import { node } from '../../actors/node/node.ts';
import { uploadPerformers } from '../../actors/upload/effects.ts';
import { upload } from '../../actors/upload/upload.ts';
import type { Config } from '../config.ts';
import type { ReadModel } from '../read/read-model.ts';
import { blobNodes, wantedCopies } from './blob-nodes.ts';
import { candidates } from './candidates.ts';

/** Grows with every change of a kind's snapshot: see Member.format. */
export const STORED_FORMAT = [
  agentOperation,
  artifact,
  blob,
  diskSnapshot,
  instance,
  interfaceKind,
  namespace,
  network,
  node,
  upload,
]
  .map(({ snapshot }) => snapshot.schema)
  .reduce((sum, schema) => sum + schema, 0);

/** One attempt at a download; what has come is kept for the next. */
const FETCH_TIMEOUT_MS = 1_800_000;

export interface KindOptions extends Standing {
  readonly config: Pick<Config, 'zone' | 'upstreamDns' | 'floatingBlock' | 'image' | 'node'>;
  readonly claims: Claims;
  readonly read: ReadModel;
  /** Whether the node's daemon is in the cluster now. */
  readonly isMember: (node: string) => boolean;
}

/** Makes all kinds known to the runtime. */
export function registerKinds(
  runtime: Pick<Runtime, 'register'>,
  { config, claims, read, isMember, carry }: KindOptions,
): void {
  const { zone, upstreamDns, floatingBlock, image } = config;
  const vtepOf = (name: string) => read.nodes.get(name)?.state.machine?.vtep || undefined;
  runtime.register(node, nodePerformers({ carry }));
  runtime.register(namespace, {});
  runtime.register(
    network,
    networkPerformers({ claims, zone, upstreamDns, floatingBlock, vtepOf }),
  );
  runtime.register(interfaceKind, interfacePerformers(claims));
  runtime.register(
    blob,
    blobPerformers({
      claims,
      maxSizeBytes: image.maxDownloadBytes,
      fetchTimeoutMs: FETCH_TIMEOUT_MS,
      copies: (state) => wantedCopies(read, state, image.copies),
      patienceMs: image.copyAfterMs,
      transcodeIdleMs: image.transcodeIdleMs,
      nodes: () => blobNodes(read, isMember),
    }),
  );
  runtime.register(agentOperation, agentOperationPerformers());
  runtime.register(diskSnapshot, diskSnapshotPerformers());
  runtime.register(artifact, artifactPerformers(claims));
  runtime.register(upload, uploadPerformers());
  runtime.register(
    instance,
    instancePerformers({
      candidates: (instanceId) => candidates(read, instanceId, isMember),
      lazyFromBytes: image.lazyFromBytes,
      consoleDays: image.consoleDays,
    }),
  );
}

// Which nodes can hold blobs, and what blobs are told when those come and go.
import { planCopies, type NodeView } from '../../actors/blob/copies.ts';
import { canHoldBlobs } from '../../actors/node/capacity.ts';
import { blobRef, type BlobMessage } from '../../actors/blob/state.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { ReadModel } from '../read/read-model.ts';

/** Every machine that has said what it is. */
export function blobNodes(read: ReadModel, isUp: (node: string) => boolean): NodeView[] {
  return [...read.nodes.all()].flatMap(({ id, state }) => {
    if (state.machine === null || state.phase === 'deleted') return [];
    const takesMore = canHoldBlobs(state) && !state.isDraining;
    return [{ node: id, isUp: state.phase === 'created' && isUp(id), takesMore }];
  });
}

export interface BlobsOptions {
  readonly read: ReadModel;
  readonly isUp: (node: string) => boolean;
  /** Whether this daemon decides for it: the others are left to theirs, before anything is planned. */
  readonly isOurs: (blob: Address) => boolean;
  /** How many nodes keep each blob. */
  readonly copies: number;
  readonly patienceMs: number;
}

/** The blobs that know the nodes otherwise than they are, or would keep their copies on others, and what to tell them. */
export function* blobsToTell({
  read,
  isUp,
  isOurs,
  copies,
  patienceMs,
}: BlobsOptions): Generator<{ readonly to: Address; readonly message: BlobMessage }> {
  const nodes = blobNodes(read, isUp);
  const message = { kind: 'nodes-changed', nodes, copies, patienceMs } as const;
  for (const { id, state } of read.blobs.all()) {
    const to = blobRef(id);
    const isFetched = state.phase === 'created';
    if ((!isFetched && state.phase !== 'initial') || !isOurs(to)) continue;
    const { replicas, needs } = state;
    const isNews = nodes.some(({ node, isUp: is }) => {
      const replica = replicas[node];
      const counts = replica !== undefined && (isFetched || replica.phase === 'copying');
      return counts && (replica.awayUntilMs === null) !== is;
    });
    if (isNews && !isFetched) yield { to, message };
    if (!isFetched) continue;
    const needed = new Set(Object.values(needs));
    const plan = planCopies({ blobId: id, copies, nodes, replicas, needed });
    if (isNews || plan.make.length > 0 || plan.giveUp.length > 0) yield { to, message };
  }
}

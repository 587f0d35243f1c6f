// Which nodes can hold blobs, how many copies are wanted, and what blobs are told when either changes.
import { planCopies, type NodeView } from '../../actors/blob/copies.ts';
import { shortageAfter } from '../../actors/blob/shortage.ts';
import { canHoldBlobs, capacityOf } from '../../actors/node/capacity.ts';
import { blobRef, type BlobMessage, type BlobState } from '../../actors/blob/state.ts';
import { parseAddress, type Address } from '../../actors/kernel/kind.ts';
import type { NodeState } from '../../actors/node/state.ts';
import type { ReadModel } from '../read/read-model.ts';

const GIB = 2 ** 30;
/** A machine is low on disk when less than so many times what it keeps free is left (contract: artifacts 11.6). */
export const LOW = 3;

/** Every machine that has said what it is. */
export function blobNodes(
  read: Pick<ReadModel, 'nodes'>,
  isUp: (node: string) => boolean,
): NodeView[] {
  return [...read.nodes.all()].flatMap(({ id, state }) => {
    const { machine, phase, isDraining } = state;
    if (machine === null || phase === 'deleted') return [];
    const { failureDomain } = machine;
    return [
      {
        node: id,
        isUp: phase === 'created' && isUp(id),
        takesMore: canHoldBlobs(state) && !isDraining,
        ...(isDraining ? { sheds: true } : {}),
        ...(failureDomain === null ? {} : { failureDomain }),
        ...roomOf(state),
      },
    ];
  });
}

/** After what disks that are not built yet will take; nothing, while it has measured nothing. */
function roomOf(state: NodeState): Pick<NodeView, 'roomBytes' | 'untilLowBytes'> {
  const capacity = capacityOf(state, '');
  if (capacity === null) return {};
  const { limits, gauges, outstanding } = capacity;
  const kept = limits.reservedDiskGiB;
  const free = gauges.freeDiskGiB - outstanding.diskGiB;
  return { roomBytes: Math.max(0, free - kept) * GIB, untilLowBytes: (free - LOW * kept) * GIB };
}

/** The largest number that an artifact which has the blob asks for; `initial` is what one asks that names none. */
export function wantedCopies(
  read: Pick<ReadModel, 'artifacts'>,
  { users }: Pick<BlobState, 'users'>,
  initial: number,
): number {
  const asked = users.flatMap((user) => {
    const address = parseAddress(user);
    const artifact = address?.kind === 'artifact' ? read.artifacts.get(address.id) : undefined;
    return artifact === undefined ? [] : [artifact.state.minCopies ?? initial];
  });
  return asked.length === 0 ? initial : Math.max(...asked);
}

export interface BlobsOptions {
  readonly read: Pick<ReadModel, 'nodes' | 'blobs' | 'artifacts'>;
  readonly isUp: (node: string) => boolean;
  /** Whether this daemon decides for it: the others are left to theirs, before anything is planned. */
  readonly isOurs: (blob: Address) => boolean;
  /** How many nodes keep each blob, where nobody asks for another number. */
  readonly copies: number;
  readonly patienceMs: number;
}

/** The blobs that know the nodes otherwise than they are, or would keep their copies on others, and what to tell them. */
export function* blobsToTell({
  read,
  isUp,
  isOurs,
  copies: initial,
  patienceMs,
}: BlobsOptions): Generator<{ readonly to: Address; readonly message: BlobMessage }> {
  const nodes = blobNodes(read, isUp);
  for (const { id, state } of read.blobs.all()) {
    const to = blobRef(id);
    const isFetched = state.phase === 'created';
    if ((!isFetched && state.phase !== 'initial') || !isOurs(to)) continue;
    const { replicas, needs, content } = state;
    const isNews = nodes.some(({ node, isUp: is }) => {
      const replica = replicas[node];
      const counts = replica !== undefined && (isFetched || replica.phase === 'copying');
      return counts && (replica.awayUntilMs === null) !== is;
    });
    const copies = wantedCopies(read, state, initial);
    const message = { kind: 'nodes-changed', nodes, copies, patienceMs } as const;
    if (isNews && !isFetched) yield { to, message };
    if (!isFetched) continue;
    const needed = new Set(Object.values(needs));
    const sizeBytes = content?.sizeBytes ?? 0;
    const view = { blobId: id, sizeBytes, copies, nodes, replicas, needed };
    const plan = planCopies(view);
    const isChanged = plan.make.length > 0 || plan.giveUp.length > 0;
    const isTold = shortageAfter(state.shortage, view, plan).events.length === 0;
    if (isNews || isChanged || !isTold) yield { to, message };
  }
}

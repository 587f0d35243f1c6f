// The nodes as the scheduler sees them: what each says of itself, as this daemon last read it.
import type { ArtifactState } from '../../actors/artifact/state.ts';
import { isGood } from '../../actors/blob/copies.ts';
import type { BlobState, Replica } from '../../actors/blob/state.ts';
import { candidateOf, placedInstance } from '../../actors/instance/candidate.ts';
import { holdsPlace } from '../../actors/instance/place.ts';
import type { Candidate, PlacedInstance } from '../../actors/instance/scheduler.ts';
import type { InstanceState } from '../../actors/instance/state.ts';
import type { NodeState } from '../../actors/node/state.ts';
import type { ReadCollection } from '../read/collection.ts';

/** What placing and its audits need of the copy of the store. */
export interface PlacementRecords {
  readonly nodes: Pick<ReadCollection<NodeState>, 'get' | 'all'>;
  readonly instances: Pick<ReadCollection<InstanceState>, 'get' | 'all'>;
  /** What instances are based on; without them no node is preferred for having it. */
  readonly artifacts?: Pick<ReadCollection<ArtifactState>, 'get'>;
  readonly blobs?: Pick<ReadCollection<BlobState>, 'get'>;
}

/** Every node there is a record of. One that is no member now would not answer: nobody is to wait for it. */
export function candidates(
  read: PlacementRecords,
  instanceId: string,
  isMember: (node: string) => boolean,
): Candidate[] {
  const placed = placedByNode(read);
  const bases = basesOf(read, instanceId);
  return [...read.nodes.all()].map(({ id, state }) =>
    candidateOf(id, state, {
      hasImages: bases.length > 0 && bases.every(({ replicas }) => isHeld(replicas[id])),
      instanceId,
      instances: placed.get(id) ?? [],
      isMember: isMember(id),
    }),
  );
}

/** Blobs that its disks will start from, as far as they are known now: of a label or an image the newest version. */
function basesOf(read: PlacementRecords, instanceId: string): BlobState[] {
  const disks = read.instances.get(instanceId)?.state.disks ?? [];
  return disks.flatMap(({ artifactId, blobId, transcodeId }) => {
    const newest =
      artifactId === null ? undefined : read.artifacts?.get(artifactId)?.state.versions.at(-1);
    const id = transcodeId ?? blobId ?? newest?.blobId ?? null;
    const state = id === null ? undefined : read.blobs?.get(id)?.state;
    return state === undefined ? [] : [state];
  });
}

function isHeld(replica: Replica | undefined): boolean {
  return replica !== undefined && isGood(replica);
}

function placedByNode(read: PlacementRecords): Map<string, PlacedInstance[]> {
  const placed = new Map<string, PlacedInstance[]>();
  for (const { state } of read.instances.all()) {
    if (state.node === null || !holdsPlace(state)) continue;
    const there = placed.get(state.node) ?? [];
    there.push(placedInstance(state));
    placed.set(state.node, there);
  }
  return placed;
}

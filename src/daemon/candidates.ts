// The nodes as the scheduler sees them: what each says of itself, as this daemon last read it.
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
}

/** Every node there is a record of. One that is no member now would not answer: nobody is to wait for it. */
export function candidates(
  read: PlacementRecords,
  instanceId: string,
  isMember: (node: string) => boolean,
): Candidate[] {
  const placed = placedByNode(read);
  return [...read.nodes.all()].map(({ id, state }) =>
    candidateOf(id, state, {
      instanceId,
      instances: placed.get(id) ?? [],
      isMember: isMember(id),
    }),
  );
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

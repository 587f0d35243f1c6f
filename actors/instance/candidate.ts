// A node as the scheduler sees it, from its state and from the instances that are placed there.
import { capacityOf, hasRole } from '../node/capacity.ts';
import type { NodeState } from '../node/state.ts';
import type { Candidate, PlacedInstance, Wish } from './scheduler.ts';
import type { InstanceState } from './state.ts';

interface Surroundings {
  /** Who is to be placed; it does not stand in its own way. */
  readonly instanceId: string;
  /** Placed on the node. */
  readonly instances: readonly PlacedInstance[];
  /** What its disks are based on is there. */
  readonly hasImages?: boolean;
  /** The node's daemon is a member of the cluster now. */
  readonly isMember: boolean;
}

export function candidateOf(
  node: string,
  state: NodeState,
  { instanceId, instances, isMember, hasImages = false }: Surroundings,
): Candidate {
  return {
    node,
    unfit: isMember ? unfitness(state) : 'its daemon is away',
    capacity: capacityOf(state, instanceId),
    isHolding: Object.hasOwn(state.reservations, instanceId),
    refusal: null,
    hasImages,
    instances,
  };
}

function unfitness(state: NodeState): string | null {
  if (state.phase !== 'created') return `is in state ${state.phase}`;
  if (state.isDraining) return 'is being drained';
  return hasRole(state, 'hypervisor') ? null : 'is no hypervisor';
}

export function placedInstance({ namespace, metadata }: InstanceState): PlacedInstance {
  // Words only: a tenant's metadata may hold any JSON, some of which String() throws on.
  const tags = Array.isArray(metadata['tags']) ? metadata['tags'].filter(isText) : [];
  return { namespace, tags };
}

function isText(tag: unknown): tag is string {
  return typeof tag === 'string';
}

export function wishOf(state: InstanceState): Wish {
  const { namespace, cpus, memoryMiB, requestedNode } = state;
  const affinity = affinityOf(state.metadata);
  return { namespace, cpus, memoryMiB, diskGiB: diskOf(state), requestedNode, affinity };
}

/** The disks whose size is given: of the others nobody knows yet. */
export function diskOf({ disks }: Pick<InstanceState, 'disks'>): number {
  return disks.reduce((total, disk) => total + (disk.sizeGiB ?? 0), 0);
}

/** Weights may come as text (the CLI of old sends them so); what is no number weighs nothing. */
function affinityOf(metadata: InstanceState['metadata']): Wish['affinity'] {
  const affinity = metadata['affinity'];
  if (typeof affinity !== 'object' || affinity === null) return new Map();
  const weights = Object.entries(affinity).map(([word, weight]) => [word, Number(weight)] as const);
  return new Map(weights.filter(([, weight]) => Number.isFinite(weight)));
}

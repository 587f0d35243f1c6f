// The nodes as the scheduler sees them, from the read model and this machine's own gauges.
import {
  OVERCOMMIT,
  type Candidate,
  type Overcommit,
  type PlacedInstance,
} from '../../actors/instance/scheduler.ts';
import type { InstanceState } from '../../actors/instance/state.ts';
import type { Config } from '../config.ts';
import type { ReadModel } from '../read/read-model.ts';
import type { Load } from './machine.ts';

const GIB = 1024 ** 3;
/** Of all memory: what a small machine keeps for itself instead of the contract's 2 GiB. */
const RESERVED_SHARE = 8;
/** Nothing runs there any more, or yet. */
const GONE: readonly InstanceState['phase'][] = ['deleted', 'error', 'none'];

/** Placement limits for machines of this size. */
export function overcommitOf(config: Pick<Config, 'image'>, memoryMiB: number): Overcommit {
  return {
    ...OVERCOMMIT,
    reservedMemoryMiB: Math.min(
      OVERCOMMIT.reservedMemoryMiB,
      Math.floor(memoryMiB / RESERVED_SHARE),
    ),
    reservedDiskGiB: Math.ceil(config.image.keepFreeBytes / GIB),
  };
}

/** Every node that is ready; the gauges of this one are read now. */
export function candidates(read: ReadModel, ownNode: string, load: () => Load): Candidate[] {
  const placed = placedByNode(read);
  return [...read.nodes.all()].flatMap(({ id, state }) => {
    if (state.machine === null) return [];
    const { cpus, memoryMiB, diskGiB } = state.machine;
    const idle = { availableMemoryMiB: memoryMiB, freeDiskGiB: diskGiB, load: 0 };
    const gauges = id === ownNode ? load() : idle;
    const isReady = state.phase === 'created';
    const instances = placed.get(id) ?? [];
    return [{ node: id, isReady, isHypervisor: true, cpus, memoryMiB, instances, ...gauges }];
  });
}

function placedByNode(read: ReadModel): Map<string, PlacedInstance[]> {
  const placed = new Map<string, PlacedInstance[]>();
  for (const { state } of read.instances.all()) {
    if (state.node === null || GONE.includes(state.phase)) continue;
    const { namespace, cpus, memoryMiB, metadata } = state;
    // Words only: a tenant's metadata may hold any JSON, some of which String() throws on.
    const tags = Array.isArray(metadata['tags']) ? metadata['tags'].filter(isText) : [];
    const there = placed.get(state.node) ?? [];
    there.push({ namespace, cpus, memoryMiB, tags });
    placed.set(state.node, there);
  }
  return placed;
}

function isText(tag: unknown): tag is string {
  return typeof tag === 'string';
}

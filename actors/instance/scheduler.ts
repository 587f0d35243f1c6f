// Which node an instance goes to: filters in the contract's order (instances 5), each stage recorded.
//
// Pure: the caller brings what is known of the nodes, and the random number that breaks ties.

/** A node as the scheduler sees it. Memory in MiB, disk in GiB. */
export interface Candidate {
  readonly node: string;
  readonly isReady: boolean;
  readonly isHypervisor: boolean;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly availableMemoryMiB: number;
  readonly freeDiskGiB: number;
  /** One-minute load. */
  readonly load: number;
  /** Every instance placed there, whatever its namespace. */
  readonly instances: readonly PlacedInstance[];
}

export interface PlacedInstance {
  readonly namespace: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly tags: readonly string[];
}

export interface Wish {
  readonly namespace: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly diskGiB: number;
  readonly requestedNode: string | null;
  /** Word to weight: see affinityScore(). */
  readonly affinity: ReadonlyMap<string, number>;
}

export interface Overcommit {
  readonly cpuRatio: number;
  readonly memoryRatio: number;
  readonly reservedMemoryMiB: number;
  readonly reservedDiskGiB: number;
  readonly maxCpusPerInstance: number;
}

/** The contract's defaults (conventions 13), but for the disk that a try-out on a laptop would not have. */
export const OVERCOMMIT: Overcommit = {
  cpuRatio: 16,
  memoryRatio: 3,
  reservedMemoryMiB: 2048,
  reservedDiskGiB: 20,
  maxCpusPerInstance: 255,
};

export interface Stage {
  readonly stage: string;
  readonly candidates: readonly string[];
}

export type Choice =
  | { readonly ok: true; readonly node: string; readonly stages: readonly Stage[] }
  | { readonly ok: false; readonly reason: string; readonly stages: readonly Stage[] };

type Keep = (candidate: Candidate) => boolean;

/** Chooses a node; `random` is uniform in [0, 1). */
export function schedule(
  wish: Wish,
  candidates: readonly Candidate[],
  limits: Overcommit,
  random: number,
): Choice {
  const stages: Stage[] = [];
  let left = candidates.filter(
    (one) => wish.requestedNode === null || one.node === wish.requestedNode,
  );
  for (const [stage, keep, reason] of filters(wish, limits)) {
    left = left.filter(keep);
    stages.push({ stage, candidates: left.map((one) => one.node) });
    if (left.length === 0) return { ok: false, reason, stages };
  }
  left = best(left, (one) => affinityScore(wish, one));
  stages.push({ stage: 'affinity', candidates: left.map((one) => one.node) });
  left = best(left, (one) => -Math.floor(one.load));
  stages.push({ stage: 'load', candidates: left.map((one) => one.node) });
  const chosen = left[Math.floor(random * left.length)];
  if (chosen === undefined) return { ok: false, reason: 'No nodes with metrics', stages };
  return { ok: true, node: chosen.node, stages };
}

function filters(wish: Wish, limits: Overcommit): [stage: string, keep: Keep, reason: string][] {
  const memoryFits: Keep = (one) =>
    one.availableMemoryMiB - limits.reservedMemoryMiB >= wish.memoryMiB &&
    (sum(one, 'memoryMiB') + wish.memoryMiB) / one.memoryMiB <= limits.memoryRatio;
  return [
    ['hypervisors', (one) => one.isReady && one.isHypervisor, 'No nodes with metrics'],
    [
      'vCPU limit',
      () => wish.cpus <= limits.maxCpusPerInstance,
      'Requested vCPUs exceeds vCPU limit',
    ],
    [
      'idle CPU',
      (one) => sum(one, 'cpus') + wish.cpus <= one.cpus * limits.cpuRatio,
      'No nodes with enough idle CPU',
    ],
    ['idle RAM', memoryFits, 'No nodes with enough idle RAM'],
    [
      'disk space',
      (one) => wish.diskGiB <= one.freeDiskGiB - limits.reservedDiskGiB,
      'No nodes with enough disk space',
    ],
  ];
}

function sum(candidate: Candidate, member: 'cpus' | 'memoryMiB'): number {
  return candidate.instances.reduce((total, one) => total + one[member], 0);
}

/** The sum of the weights of every wanted word on every instance there of the same namespace. */
function affinityScore(wish: Wish, candidate: Candidate): number {
  let score = 0;
  for (const instance of candidate.instances) {
    if (instance.namespace !== wish.namespace) continue;
    for (const tag of instance.tags) score += wish.affinity.get(tag) ?? 0;
  }
  return score;
}

function best(candidates: readonly Candidate[], score: (one: Candidate) => number): Candidate[] {
  const highest = Math.max(...candidates.map(score));
  return candidates.filter((one) => score(one) === highest);
}

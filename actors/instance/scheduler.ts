// Which node an instance goes to: filters in the contract's order (instances 5), each stage recorded.
//
// S1  Pure: the caller brings what is known of the nodes, and the random number that breaks ties.
// S2  Every candidate is named once as dropped, with the reason and its numbers, or is the one chosen.
// S3  What is known may be old. The node itself has the last word (`reserve`); a refusal comes back here as part of
//     its candidate, and counts at the stage that it names.
import { CHECKS, type Capacity } from '../node/capacity.ts';
import type { Amount } from '../node/state.ts';

/** A node as the scheduler sees it. */
export interface Candidate {
  readonly node: string;
  /** Why it takes no instances at all; null: it does. */
  readonly unfit: string | null;
  /** Null only for one that is unfit. */
  readonly capacity: Capacity | null;
  /** It has a reservation for this very instance, from an attempt that was cut short. */
  readonly isHolding: boolean;
  /** What it answered when it was asked for a reservation just now. */
  readonly refusal: Refusal | null;
  /** A copy of everything that the instance's disks are based on is there, as far as that is known. */
  readonly hasImages: boolean;
  /** Every instance placed there, whatever its namespace. */
  readonly instances: readonly PlacedInstance[];
}

export interface Refusal {
  /** A stage of schedule(). */
  readonly check: string;
  readonly reason: string;
}

export interface PlacedInstance {
  readonly namespace: string;
  readonly tags: readonly string[];
}

export interface Wish extends Amount {
  readonly namespace: string;
  readonly requestedNode: string | null;
  /** Word to weight: see affinityScore(). */
  readonly affinity: ReadonlyMap<string, number>;
}

/** Who is left after a stage, and why the others are not. */
export interface Stage {
  readonly stage: string;
  readonly candidates: readonly string[];
  readonly dropped: Readonly<Record<string, string>>;
}

export type Choice =
  | { readonly ok: true; readonly node: string; readonly stages: readonly Stage[] }
  | { readonly ok: false; readonly code: Code; readonly reason: string; readonly stages: Stage[] };

type Code = 'scheduler/no-node' | 'object/not-found';

/** Why the candidate is dropped; null: it is kept. */
type Judge = (candidate: Candidate) => string | null;

const HYPERVISORS = 'hypervisors';

/** What the contract says when nobody is left. */
const NOBODY: Readonly<Record<string, string>> = {
  'vCPU limit': 'Requested vCPUs exceeds vCPU limit',
  'idle CPU': 'No nodes with enough idle CPU',
  'idle RAM': 'No nodes with enough idle RAM',
  'disk space': 'No nodes with enough disk space',
};

/** Chooses a node; `random` is uniform in [0, 1). */
export function schedule(wish: Wish, candidates: readonly Candidate[], random: number): Choice {
  const stages: Stage[] = [];
  let left = candidates;
  for (const [stage, judge] of filters(wish)) {
    left = keep(stages, stage, left, judge);
    if (left.length === 0) return { ok: false, ...nobody(wish, stage), stages };
  }
  const held = left.filter((one) => one.isHolding);
  if (held.length > 0) {
    left = keep(stages, 'reservation', left, (one) => (one.isHolding ? null : 'holds none for it'));
  }
  left = keep(stages, 'affinity', left, byAffinity(wish, left));
  left = keep(stages, 'load', left, byLoad(left));
  left = keep(stages, 'image', left, byImages(wish, left));
  const chosen = left[Math.floor(random * left.length)];
  if (chosen === undefined) throw new Error('the last stages leave somebody');
  keep(stages, 'chance', left, (one) => (one === chosen ? null : 'as good, not drawn'));
  return { ok: true, node: chosen.node, stages };
}

/** Keeps those in which nobody finds a fault, and records the stage. */
function keep(stages: Stage[], stage: string, left: readonly Candidate[], judge: Judge) {
  const judged = left.map((one) => [one, judge(one)] as const);
  const kept = judged.flatMap(([one, fault]) => (fault === null ? [one] : []));
  const dropped = judged.flatMap(([{ node }, fault]) => (fault === null ? [] : [[node, fault]]));
  const candidates = kept.map((one) => one.node);
  stages.push({ stage, candidates, dropped: Object.fromEntries(dropped) });
  return kept;
}

function filters(wish: Wish): (readonly [stage: string, judge: Judge])[] {
  const checks = CHECKS.map(([stage, test]): readonly [string, Judge] => {
    const judge: Judge = ({ capacity }) => (capacity === null ? null : test(wish, capacity));
    return [stage, withRefusal(stage, judge)];
  });
  return [[HYPERVISORS, withRefusal(HYPERVISORS, isHypervisor(wish))], ...checks];
}

function isHypervisor({ requestedNode }: Wish): Judge {
  return ({ node, unfit, capacity }) => {
    if (requestedNode !== null && node !== requestedNode) return `${requestedNode} was asked for`;
    if (unfit !== null) return unfit;
    return capacity === null ? 'has measured nothing yet' : null;
  };
}

/** S3: by what is known it fits, by what the node says it does not. */
function withRefusal(stage: string, judge: Judge): Judge {
  return (one) => judge(one) ?? (one.refusal?.check === stage ? one.refusal.reason : null);
}

function nobody({ requestedNode }: Wish, stage: string): { code: Code; reason: string } {
  if (stage === HYPERVISORS && requestedNode !== null) {
    return { code: 'object/not-found', reason: `node not found: ${requestedNode}` };
  }
  return { code: 'scheduler/no-node', reason: NOBODY[stage] ?? 'No nodes with metrics' };
}

function byAffinity(wish: Wish, left: readonly Candidate[]): Judge {
  const scores = new Map(left.map((one) => [one, affinityScore(wish, one)]));
  const highest = highestOf(scores.values());
  return (one) => {
    const score = scores.get(one) ?? 0;
    return score === highest ? null : `affinity ${score}, the best has ${highest}`;
  };
}

/** The sum of the weights of every wanted word on every instance there of the same namespace. */
function affinityScore(wish: Wish, candidate: Candidate): number {
  let score = 0;
  for (const instance of candidate.instances) {
    if (instance.namespace !== wish.namespace) continue;
    // A word counts once per instance, however often its list has it.
    for (const tag of new Set(instance.tags)) score += wish.affinity.get(tag) ?? 0;
  }
  return score;
}

function byLoad(left: readonly Candidate[]): Judge {
  const loadOf = ({ capacity }: Candidate) => Math.floor(capacity?.gauges.load ?? 0);
  const lowest = -highestOf(left.map((one) => -loadOf(one)));
  return (one) =>
    loadOf(one) === lowest ? null : `load ${loadOf(one)}, the least loaded has ${lowest}`;
}

/**
 * Those that need not wait for the image first, as long as they have real CPUs left: many instances of one image do not
 * crowd the few nodes that have it.
 */
function byImages({ cpus }: Wish, left: readonly Candidate[]): Judge {
  const isReady = ({ hasImages, capacity }: Candidate) =>
    hasImages && capacity !== null && capacity.reserved.cpus + cpus <= capacity.cpus;
  const isAny = left.some(isReady);
  return (one) => {
    if (!isAny || isReady(one)) return null;
    if (!one.hasImages) return 'has to fetch the image first, others have it';
    return `has the image, but no whole CPUs left: ${one.capacity?.reserved.cpus ?? 0} of ${one.capacity?.cpus ?? 0} are reserved`;
  };
}

function highestOf(numbers: Iterable<number>): number {
  return [...numbers].reduce((highest, one) => Math.max(highest, one), -Infinity);
}

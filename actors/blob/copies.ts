// How many copies of a blob there are to be, and where. Pure.
//
// C1  Copies that are good, being made, or on a node that has been away for a short time count; more are made when they
//     are fewer than wanted and a node without one is there.
// C2  One is given up only while as many as wanted are good and in reach without it (promise 4: never below the last
//     good copy), and never where a user needs it or a disk is based on it.
// C3  A copy on a node that takes no more, because it is drained or not there for that, does not count towards the
//     wanted number: it may be gone soon.
// C4  Deciding twice from the same view decides nothing more. All daemons choose alike: by the highest score of blob and
//     node, so that a node that joins takes its share of new copies and moves none.
import type { Replica } from './state.ts';

/** A node that can hold replicas. */
export interface NodeView {
  readonly node: string;
  /** It is a member at the moment. */
  readonly isUp: boolean;
  /** It may be given a copy more: it is there for that, and is not being drained. */
  readonly takesMore: boolean;
}

export interface CopiesView {
  readonly blobId: string;
  /** How many are wanted. */
  readonly copies: number;
  readonly nodes: readonly NodeView[];
  readonly replicas: Readonly<Record<string, Replica>>;
  /** Nodes on which a user needs one. */
  readonly needed: ReadonlySet<string>;
}

export interface CopiesPlan {
  /** Nodes to make one on, anew or again. */
  readonly make: readonly string[];
  readonly giveUp: readonly string[];
}

/** Enough to find some that are quick; a message has an end. */
const MOST_BESIDE = 64;

export function planCopies(view: CopiesView): CopiesPlan {
  const { blobId, copies, replicas } = view;
  const byScore = (a: string, b: string) =>
    scoreOf(blobId, b) - scoreOf(blobId, a) || (a < b ? -1 : 1);
  const up = view.nodes.flatMap((one) => (one.isUp && one.takesMore ? [one.node] : []));
  const passing = new Set(view.nodes.flatMap((one) => (one.takesMore ? [] : [one.node])));
  const all = Object.entries(replicas);
  const good = all.flatMap(([node, one]) => (isGood(one) ? [node] : []));
  const counted = all.filter(([node, one]) => isCounted(one) && !passing.has(node)).length;
  const missing = copies - counted;
  const make = missing > 0 ? candidatesFor(view, up, byScore).slice(0, missing) : [];
  const lasting = good.filter((node) => !passing.has(node));
  return { make, giveUp: surplus(view, { good, lasting }, byScore) };
}

/** Best first. Nodes are scored only when a copy is missing: all blobs are planned at each change of members. */
function candidatesFor(
  { replicas }: CopiesView,
  up: readonly string[],
  byScore: (a: string, b: string) => number,
): string[] {
  const free = up.filter((node) => mayMake(replicas[node])).toSorted(byScore);
  return free.toSorted((a, b) => rankOf(replicas[a]) - rankOf(replicas[b]));
}

/** Good copies beyond the wanted number, and those half made that are not wanted any more. */
function surplus(
  { copies, replicas, needed }: CopiesView,
  { good, lasting }: { readonly good: readonly string[]; readonly lasting: readonly string[] },
  byScore: (a: string, b: string) => number,
): string[] {
  const least = Math.max(1, copies);
  if (lasting.length < least) return [];
  const isFree = (node: string) => !needed.has(node) && replicas[node]?.isInUse === false;
  const spare = lasting.filter(isFree).toSorted(byScore).toReversed();
  const passing = good.filter((node) => !lasting.includes(node) && isFree(node));
  const halfMade = Object.entries(replicas).flatMap(([node, one]) => {
    const isHalf = one.phase === 'copying' || one.phase === 'failed';
    return isHalf && one.awayUntilMs === null && isFree(node) ? [node] : [];
  });
  return [...passing, ...spare.slice(0, lasting.length - least), ...halfMade];
}

/** Verified, and its node can be asked for it. */
export function isGood({ phase, awayUntilMs }: Replica): boolean {
  return phase === 'verified' && awayUntilMs === null;
}

function isCounted({ phase }: Replica): boolean {
  return phase === 'verified' || phase === 'copying';
}

/** None is there, or what failed may be tried again, or what was to be removed can be taken back. */
function mayMake(replica: Replica | undefined): boolean {
  if (replica === undefined || replica.phase === 'removing') return true;
  return replica.phase === 'failed' && replica.retryAtMs === null;
}

/** What is most likely still there first, where it has failed last. */
function rankOf(replica: Replica | undefined): number {
  if (replica === undefined) return 1;
  return replica.phase === 'removing' ? 0 : 2;
}

/** Rendezvous hashing. FNV-1a with a final mix: near names of nodes must not give near scores. */
function scoreOf(blobId: string, node: string): number {
  let hash = 0x811c9dc5;
  for (const char of `${blobId}/${node}`) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Those that copy it too, if they are in reach; different targets begin with different ones. */
export function copyingBeside(
  target: string,
  blobId: string,
  replicas: Readonly<Record<string, Replica>>,
): string[] {
  const beside = Object.entries(replicas).flatMap(([node, { phase, awayUntilMs }]) =>
    phase === 'copying' && awayUntilMs === null && node !== target ? [node] : [],
  );
  const order = (node: string) => scoreOf(`${blobId}/${target}`, node);
  return beside.toSorted((a, b) => order(a) - order(b)).slice(0, MOST_BESIDE);
}

/** Holders to copy from, the ones in reach first; different targets begin with different ones. */
export function sourcesFor(
  target: string,
  blobId: string,
  replicas: Readonly<Record<string, Replica>>,
): string[] {
  const holders = Object.entries(replicas).filter(
    ([node, { phase }]) => phase === 'verified' && node !== target,
  );
  const order = ([node, { awayUntilMs }]: [string, Replica]) =>
    (awayUntilMs === null ? 0 : 2 ** 32) + scoreOf(`${blobId}/${target}`, node);
  return holders.toSorted((a, b) => order(a) - order(b)).map(([node]) => node);
}

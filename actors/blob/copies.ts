// How many copies of a blob there are to be, and where. Pure.
//
// C1  Copies that are good, being made, or on a node that has been away for a short time count; more are made when they
//     are fewer than wanted and a node without one is there that has room for it.
// C2  One is given up only while as many as wanted are good and in reach without it (promise 4: never below the last
//     good copy), and never where a user needs it or a disk is based on it. More than are wanted stay, as a cache, until
//     their node sheds them.
// C3  A copy on a node that takes no more, because it is drained or not there for that, does not count towards the
//     wanted number: it may be gone soon.
// C4  Deciding twice from the same view decides nothing more. All daemons choose alike: by the highest score of blob and
//     node, so that a node that joins takes its share of new copies and moves none. Shares are as the room there is.
// C5  Copies are in as many failure domains as are wanted, where nodes of so many can have one; a node that names none is
//     its own.
// C6  A damaged copy counts as none. It is made again where it is needed, or wanted for the number.
// C7  Of just as many as are wanted none can go. For one whose node sheds for want of disk one more is made, on a node that
//     has enough after that: as soon as it is there the other one can (contract: artifacts 11.6).
import type { Replica } from './state.ts';

/** A node that can hold replicas. */
export interface NodeView {
  readonly node: string;
  /** It is a member at the moment. */
  readonly isUp: boolean;
  /** It may be given a copy more: it is there for that, and is not being drained. */
  readonly takesMore: boolean;
  /** It gives up copies beyond the wanted number: it is being drained, or low on disk. */
  readonly sheds?: boolean;
  /** What it fails together with, such as a rack. */
  readonly failureDomain?: string;
  /** Left for copies, bytes, after what is kept free; undefined: not known. */
  readonly roomBytes?: number;
  /** What can still come until it is low on disk, bytes, 0 or less: it is low; undefined: not known. */
  readonly untilLowBytes?: number;
}

export interface CopiesView {
  readonly blobId: string;
  readonly sizeBytes: number;
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
  /** Of those to make, the one that is made so that another can go (C7); null: none is. */
  readonly relief: string | null;
}

const GIB = 2 ** 30;
/** Enough to find some that are quick; a message has an end. */
const MOST_BESIDE = 64;

export function planCopies(view: CopiesView): CopiesPlan {
  const { replicas } = view;
  const passing = new Set(view.nodes.flatMap((one) => (one.takesMore ? [] : [one.node])));
  const all = Object.entries(replicas);
  const good = all.flatMap(([node, one]) => (isGood(one) ? [node] : []));
  const repairs = good.length > 0 ? toRepair(view) : [];
  const counted = all.flatMap(([node, one]) => {
    const isComing = isCounted(one) || repairs.includes(node);
    return isComing && !passing.has(node) ? [node] : [];
  });
  const lasting = good.filter((node) => !passing.has(node));
  const missing = toMake(view, counted, good.length > 0);
  const first = [...repairs, ...missing];
  const giveUp = surplus(view, { good, lasting }).filter((node) => !first.includes(node));
  const stays = (node: string) => !giveUp.includes(node);
  const isExact = counted.filter(stays).length === lasting.filter(stays).length;
  if (missing.length > 0 || !isExact) return { make: first, giveUp, relief: null };
  const others = view.nodes.filter(({ node }) => stays(node) && !repairs.includes(node));
  const relief = toRelieve({ ...view, nodes: others }, lasting.filter(stays));
  return { make: relief === null ? first : [...first, relief], giveUp, relief };
}

/** Damaged ones that cannot simply go (C6). */
function toRepair({ nodes, replicas, needed }: CopiesView): string[] {
  return nodes.flatMap(({ node, isUp }) => {
    const replica = replicas[node];
    const isBound = needed.has(node) || replica?.isInUse === true;
    return isUp && replica?.phase === 'damaged' && isBound ? [node] : [];
  });
}

/** Best first. Nodes are scored only when a copy is missing: all blobs are planned at each change of members. */
function toMake(view: CopiesView, counted: readonly string[], hasGood: boolean): string[] {
  const { copies } = view;
  const domainOf = domains(view);
  const there = new Set(counted.map(domainOf));
  if (counted.length >= copies && there.size >= copies) return [];
  const free = ranked(view, hasGood).map(({ node }) => node);
  const best = free.filter((node) => !counted.includes(node));
  const made: string[] = [];
  for (;;) {
    const left = best.filter((node) => !made.includes(node));
    const elsewhere = left.find((node) => !there.has(domainOf(node)));
    const isShort = counted.length + made.length < copies;
    const isCrowded = there.size < copies && elsewhere !== undefined;
    const node = elsewhere ?? left[0];
    if (node === undefined || !(isShort || isCrowded)) return made;
    made.push(node);
    there.add(domainOf(node));
  }
}

/** Nodes that can be given one, best first. */
function ranked(view: CopiesView, hasGood: boolean): NodeView[] {
  const { blobId, nodes, replicas } = view;
  const free = nodes.filter(
    (one) =>
      one.isUp && one.takesMore && mayMake(replicas[one.node], hasGood) && hasRoom(view, one),
  );
  return free
    .map((one) => ({ one, score: weightedScore(blobId, one), rank: rankOf(replicas[one.node]) }))
    .toSorted((a, b) => a.rank - b.rank || b.score - a.score || (a.one.node < b.one.node ? -1 : 1))
    .map(({ one }) => one);
}

/** C7: all that count are good, and in reach. */
function toRelieve(view: CopiesView, lasting: readonly string[]): string | null {
  const { copies, replicas } = view;
  if (lasting.length !== copies) return null;
  const going = leaving(view, lasting).filter(({ sheds }) => sheds === true);
  if (going.length === 0) return null;
  const found = ranked(view, true).find(
    (one) =>
      // What was just given up there would come and go.
      replicas[one.node]?.phase !== 'removing' &&
      takesOver(view, one) &&
      going.some(({ node }) => canGo(view, node, [...lasting, one.node])),
  );
  return found?.node ?? null;
}

/** C7: whose good copies would rather be elsewhere, and may. */
function leaving(view: CopiesView, lasting: readonly string[]): NodeView[] {
  return view.nodes.filter(
    (one) => isLow(one) && lasting.includes(one.node) && isFree(one.node, view),
  );
}

/** It has enough after that. */
function takesOver({ sizeBytes }: CopiesView, { sheds, untilLowBytes }: NodeView): boolean {
  return sheds !== true && (untilLowBytes === undefined || untilLowBytes >= sizeBytes);
}

function isLow({ sheds, untilLowBytes }: NodeView): boolean {
  return untilLowBytes === undefined ? sheds === true : untilLowBytes <= 0;
}

/** Without the one on this node there are still enough, in as many failure domains as there could be. */
function canGo(view: CopiesView, node: string, all: readonly string[]): boolean {
  const least = Math.max(1, view.copies);
  const domainOf = domains(view);
  const without = all.filter((one) => one !== node);
  const most = Math.min(least, domainsOf(all, domainOf));
  return without.length >= least && domainsOf(without, domainOf) >= most;
}

function isFree(node: string, { replicas, needed }: Pick<CopiesView, 'replicas' | 'needed'>) {
  return !needed.has(node) && replicas[node]?.isInUse === false;
}

/** Good copies beyond the wanted number whose nodes shed them, and those half made that are not wanted any more. */
function surplus(
  view: CopiesView,
  { good, lasting }: { readonly good: readonly string[]; readonly lasting: readonly string[] },
): string[] {
  const { blobId, copies, nodes, replicas } = view;
  const least = Math.max(1, copies);
  if (lasting.length < least) return [];
  const domainOf = domains(view);
  const shedding = new Set(nodes.flatMap((one) => (one.sheds === true ? [one.node] : [])));
  const goes = (node: string) => isFree(node, view) && shedding.has(node);
  const passing = good.filter((node) => !lasting.includes(node) && goes(node));
  let left = lasting;
  const spare = lasting.filter(goes);
  for (const node of spare.toSorted((a, b) => scoreOf(blobId, a) - scoreOf(blobId, b))) {
    if (canGo(view, node, left)) left = left.filter((one) => one !== node);
  }
  const there = new Set(lasting.map(domainOf));
  const halfMade = Object.entries(replicas).flatMap(([node, one]) => {
    const isKept = one.isWhole && !shedding.has(node);
    const isHalf = one.phase === 'failed' || one.phase === 'damaged' || one.phase === 'copying';
    const spreads = there.size < least && !there.has(domainOf(node));
    const isOurs = one.awayUntilMs === null && isFree(node, view);
    return isHalf && isOurs && !isKept && !spreads ? [node] : [];
  });
  const relieving = toKeep(view, lasting, halfMade);
  const unwanted = halfMade.filter((node) => !relieving.includes(node));
  return [...passing, ...lasting.filter((node) => !left.includes(node)), ...unwanted];
}

/**
 * C7: the one that is being made so that a node that is low on disk can give up its own, and those that failed and wait for
 * their time: given up they would be made again at once.
 */
function toKeep(
  view: CopiesView,
  lasting: readonly string[],
  halfMade: readonly string[],
): string[] {
  const { copies, nodes, replicas } = view;
  if (lasting.length !== copies) return [];
  const going = leaving(view, lasting);
  const relieving = nodes.flatMap((one) => {
    if (!halfMade.includes(one.node) || !one.takesMore || isLow(one)) return [];
    const canRelieve = going.some((low) => canGo(view, low.node, [...lasting, one.node]));
    return canRelieve ? [one.node] : [];
  });
  const copying = relieving.find((node) => replicas[node]?.phase === 'copying');
  return relieving.filter((node) => node === copying || replicas[node]?.phase === 'failed');
}

function domainsOf(nodes: Iterable<string>, domainOf: (node: string) => string): number {
  return new Set([...nodes].map(domainOf)).size;
}

/** C5. A node's own name and the name of a domain are never the same text. */
function domains({ nodes }: CopiesView): (node: string) => string {
  const named = new Map(nodes.map(({ node, failureDomain }) => [node, failureDomain]));
  return (node) => {
    const failureDomain = named.get(node);
    return failureDomain === undefined ? `node ${node}` : `domain ${failureDomain}`;
  };
}

/** What is there already, if only half, takes no more room. */
function hasRoom({ sizeBytes, replicas }: CopiesView, { node, roomBytes }: NodeView): boolean {
  if (roomBytes === undefined || replicas[node]?.phase === 'removing') return true;
  return roomBytes >= sizeBytes;
}

/** Verified, and its node can be asked for it. */
export function isGood({ phase, awayUntilMs }: Replica): boolean {
  return phase === 'verified' && awayUntilMs === null;
}

function isCounted({ phase }: Replica): boolean {
  return phase === 'verified' || phase === 'copying';
}

/** None is there, or what failed may be tried again, or what was to be removed can be taken back, or repaired. */
function mayMake(replica: Replica | undefined, hasGood: boolean): boolean {
  // Where none is there is nothing to find: without a good one it would only fail.
  if (replica === undefined) return hasGood;
  if (replica.phase === 'removing') return true;
  if (replica.phase === 'damaged') return hasGood && replica.awayUntilMs === null;
  return replica.phase === 'failed' && replica.retryAtMs === null;
}

/** What is most likely still there first, where it has failed last. */
function rankOf(replica: Replica | undefined): number {
  if (replica === undefined) return 1;
  return replica.phase === 'removing' || replica.phase === 'damaged' ? 0 : 2;
}

/** Weighted rendezvous hashing: of many blobs each node is chosen for a share as its room. */
function weightedScore(blobId: string, { node, roomBytes = GIB }: NodeView): number {
  const uniform = (scoreOf(blobId, node) + 0.5) / 2 ** 32;
  return Math.max(1, roomBytes / GIB) / -Math.log(uniform);
}

/** Where to make the first one, of the nodes that are there and take more; null: there is none. */
export function bestNode(blobId: string, nodes: readonly NodeView[]): string | null {
  const there = nodes.flatMap(({ node, isUp, takesMore }) => (isUp && takesMore ? [node] : []));
  const byScore = (a: string, b: string) => scoreOf(blobId, b) - scoreOf(blobId, a);
  return there.toSorted(byScore)[0] ?? null;
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

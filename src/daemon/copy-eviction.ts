// Frees this machine's disk of copies beyond the wanted number, which are kept as a cache, when it runs low: those that
// were last used longest ago go first, until enough is free. If that is not enough, of those that are just as many as are
// wanted the longest unused ones are moved to other machines.
//
// E1  A machine is low on disk when less than three times what it keeps free is left (contract: artifacts 11.6).
// E2  Only the blob decides (copies.ts C2, C7): it is told that this node sheds, and gives the copy up if it can spare it,
//     or has one more made elsewhere. So one whose other copies are fewer by now stays.
// E3  Copies of one run are told in turn, at most as many as free what is missing; the rest is left for the next run,
//     when the gauges show what came of it. What is on its way elsewhere for that counts as if it were gone.
// E4  As soon as the other one is there its blob is told again, and not at the next run only.
// E5  A plan is made for as many blobs as are told, and for those that turn out to be bound: a machine may have thousands.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import { blobRef } from '../../actors/blob/state.ts';
import { isGood, planCopies, type CopiesView, type NodeView } from '../../actors/blob/copies.ts';
import type { Gauges, NodeState } from '../../actors/node/state.ts';
import type { ReadModel } from '../read/read-model.ts';
import { blobNodes, LOW, wantedCopies, type BlobsOptions } from './blob-nodes.ts';
import { Repeating } from './repeating.ts';

const EVERY_MS = 30_000;
const GIB = 2 ** 30;

export interface CopyEvictionOptions extends Pick<BlobsOptions, 'isUp' | 'copies' | 'patienceMs'> {
  readonly node: string;
  readonly read: BlobsOptions['read'] & Pick<ReadModel, 'onChange'>;
  readonly gauges: () => Gauges;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface Candidate {
  readonly id: string;
  /** The blob can do without the one here; one more has to be made elsewhere first; that is being made. */
  readonly way: 'spare' | 'movable' | 'moving';
  readonly copies: number;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
}

const MOVING = 0;
const SPARE = 1;
const MOVABLE = 2;

interface Held {
  readonly candidate: Omit<Candidate, 'way'>;
  readonly view: CopiesView;
  readonly rank: number;
}

/** Runs until stopped. */
export class CopyEviction {
  readonly #options: CopyEvictionOptions;
  readonly #repeating: Repeating;
  readonly #forget: () => void;
  /** Blobs that were asked for one more elsewhere (E4). */
  readonly #moving = new Set<string>();
  #following: Promise<void> = Promise.resolve();

  constructor(options: CopyEvictionOptions) {
    this.#options = options;
    const { clock, random, log, read } = options;
    this.#repeating = new Repeating({
      clock,
      log,
      everyMs: EVERY_MS,
      trace: () => random.uuid(),
      failed: FAILED,
      run: (trace) => this.#evict([...read.blobs.all()], trace),
    });
    this.#forget = read.onChange((changes) => this.#follow(changes));
  }

  /** Waits for what is being told. */
  async stop(): Promise<void> {
    this.#forget();
    await this.#repeating.stop();
    await this.#following;
  }

  /** E4. */
  #follow(changes: readonly Address[]): void {
    const { read, random, log } = this.#options;
    const moved = changes.filter(({ kind, id }) => kind === 'blob' && this.#moving.has(id));
    if (moved.length === 0) return;
    const trace = random.uuid();
    this.#following = this.#following
      .then(() =>
        this.#evict(
          moved.flatMap(({ id }) => read.blobs.get(id) ?? []),
          trace,
        ),
      )
      .catch((error: unknown) => log('warn', FAILED, { trace, error }));
  }

  async #evict(blobs: Iterable<Blob>, trace: string): Promise<void> {
    const { node, read, isUp, router, patienceMs, gauges, log } = this.#options;
    const state = read.nodes.get(node)?.state;
    if (state === undefined) return;
    let missing = missingBytes(state, gauges());
    if (missing <= 0) return this.#moving.clear();
    const nodes = blobNodes(read, isUp).map((one) =>
      one.node === node ? { ...one, sheds: true } : one,
    );
    for (const { id, way, copies, sizeBytes, usedAtMs } of this.#candidates(blobs, nodes)) {
      if (missing <= 0) return;
      missing -= sizeBytes;
      if (way === 'moving') continue;
      if (way === 'movable') this.#moving.add(id);
      else this.#moving.delete(id);
      const message = { kind: 'nodes-changed', nodes, copies, patienceMs } as const;
      await router.ask(blobRef(id), message, { trace });
      log('info', TOLD[way], { trace, kind: 'blob', id, usedAtMs });
    }
  }

  /** Copies here that may go, or be moved, in that order, the least recently used first; planned one by one (E5). */
  *#candidates(blobs: Iterable<Blob>, nodes: readonly NodeView[]): Generator<Candidate> {
    const { node } = this.#options;
    const held = [...blobs].flatMap((blob) => this.#held(blob, nodes));
    const inOrder = held.toSorted(
      (a, b) => a.rank - b.rank || a.candidate.usedAtMs - b.candidate.usedAtMs,
    );
    const isRoomElsewhere = nodes.some(
      (one) => one.node !== node && one.isUp && one.takesMore && (one.untilLowBytes ?? 1) > 0,
    );
    for (const { candidate, view, rank } of inOrder) {
      if (rank === MOVABLE && !isRoomElsewhere) return;
      const plan = rank === MOVING ? null : planCopies(view);
      if (plan === null) yield { ...candidate, way: 'moving' };
      else if (plan.giveUp.includes(node)) yield { ...candidate, way: 'spare' };
      else if (plan.relief !== null) yield { ...candidate, way: 'movable' };
    }
  }

  /** What has a good copy here that nothing holds, and may have enough without it. */
  #held({ id, state }: Blob, nodes: readonly NodeView[]): Held[] {
    const { node, read, copies: initial } = this.#options;
    const { replicas } = state;
    const here = replicas[node];
    const isFree = here?.phase === 'verified' && !here.isInUse;
    const needed = new Set(Object.values(state.needs));
    if (state.phase !== 'created' || !isFree || needed.has(node)) return [];
    const copies = wantedCopies(read, state, initial);
    const good = Object.values(replicas).filter(isGood).length;
    if (good < copies) return [];
    const sizeBytes = state.content?.sizeBytes ?? 0;
    const view = { blobId: id, sizeBytes, copies, nodes, replicas, needed };
    const candidate = { id, copies, sizeBytes, usedAtMs: here.usedAtMs };
    if (good > copies) return [{ candidate, view, rank: SPARE }];
    return [{ candidate, view, rank: isMoving(view) ? MOVING : MOVABLE }];
  }
}

type Blob = NonNullable<ReturnType<BlobsOptions['read']['blobs']['get']>>;

const FAILED = 'copies of blobs were not given up for want of disk';
const TOLD = {
  spare: 'a copy of a blob may go for want of disk',
  movable: 'a copy of a blob is to be made elsewhere for want of disk here',
} as const;

/** One more is being made elsewhere, for which nobody waits. */
function isMoving({ replicas, needed }: CopiesView): boolean {
  return Object.entries(replicas).some(
    ([node, { phase, awayUntilMs }]) =>
      phase === 'copying' && awayUntilMs === null && !needed.has(node),
  );
}

/** E1: until the machine is not low any more; 0 or less: it is not. */
export function missingBytes({ machine }: Pick<NodeState, 'machine'>, gauges: Gauges): number {
  const kept = machine?.limits.reservedDiskGiB ?? 0;
  return (LOW * kept - gauges.freeDiskGiB) * GIB;
}

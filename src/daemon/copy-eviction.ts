// Frees this machine's disk of copies beyond the wanted number, which are kept as a cache, when it runs low: those that
// were last used longest ago go first, until enough is free.
//
// E1  A machine is low on disk when less than three times what it keeps free is left (contract: artifacts 11.6).
// E2  Only the blob decides (copies.ts C2): it is told that this node sheds, and gives the copy up if it can spare it.
//     So one whose other copies are fewer by now stays.
// E3  Copies of one run are told in turn, at most as many as free what is missing; the rest is left for the next run,
//     when the gauges show what came of it.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import { blobRef, type BlobState } from '../../actors/blob/state.ts';
import { planCopies } from '../../actors/blob/copies.ts';
import type { Gauges, NodeState } from '../../actors/node/state.ts';
import { blobNodes, wantedCopies, type BlobsOptions } from './blob-nodes.ts';
import { Repeating } from './repeating.ts';

const EVERY_MS = 60_000;
const GIB = 2 ** 30;
const LOW = 3;

export interface CopyEvictionOptions extends Pick<
  BlobsOptions,
  'read' | 'isUp' | 'copies' | 'patienceMs'
> {
  readonly node: string;
  readonly gauges: () => Gauges;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Runs until stopped. */
export function evictCopies(options: CopyEvictionOptions): Repeating {
  const { clock, random, log } = options;
  return new Repeating({
    clock,
    log,
    everyMs: EVERY_MS,
    trace: () => random.uuid(),
    failed: 'copies of blobs were not given up for want of disk',
    run: (trace) => evict(options, trace),
  });
}

async function evict(options: CopyEvictionOptions, trace: string): Promise<void> {
  const { node, read, isUp, router, patienceMs, gauges } = options;
  const state = read.nodes.get(node)?.state;
  if (state === undefined) return;
  let missing = missingBytes(state, gauges());
  if (missing <= 0) return;
  const nodes = blobNodes(read, isUp).map((one) =>
    one.node === node ? { ...one, sheds: true } : one,
  );
  for (const { id, state: blob, copies, sizeBytes } of spare(options, nodes)) {
    if (missing <= 0) return;
    const message = { kind: 'nodes-changed', nodes, copies, patienceMs } as const;
    await router.ask(blobRef(id), message, { trace });
    options.log('info', 'a copy of a blob may go for want of disk', {
      trace,
      kind: 'blob',
      id,
      usedAtMs: blob.replicas[node]?.usedAtMs,
    });
    missing -= sizeBytes;
  }
}

/** E1: until the machine is not low any more; 0 or less: it is not. */
export function missingBytes({ machine }: Pick<NodeState, 'machine'>, gauges: Gauges): number {
  const kept = machine?.limits.reservedDiskGiB ?? 0;
  return (LOW * kept - gauges.freeDiskGiB) * GIB;
}

/** Copies here that their blobs could spare, least recently used first. */
function spare(
  { node, read, copies: initial }: CopyEvictionOptions,
  nodes: ReturnType<typeof blobNodes>,
) {
  const found = [...read.blobs.all()].flatMap(({ id, state }) => {
    if (state.phase !== 'created' || state.replicas[node]?.phase !== 'verified') return [];
    const copies = wantedCopies(read, state, initial);
    const sizeBytes = state.content?.sizeBytes ?? 0;
    const needed = new Set(Object.values(state.needs));
    const { replicas } = state;
    const plan = planCopies({ blobId: id, sizeBytes, copies, nodes, replicas, needed });
    return plan.giveUp.includes(node) ? [{ id, state, copies, sizeBytes }] : [];
  });
  const usedAt = ({ replicas }: BlobState) => replicas[node]?.usedAtMs ?? 0;
  return found.toSorted((a, b) => usedAt(a.state) - usedAt(b.state));
}

// Copies that have rotted, or whose files are gone, as their nodes find out when they read them again.
//
// H1  A bad copy is made again from a good one in reach; its node keeps the bad bytes until the good ones are there, so
//     that disks based on it have a base all the time.
// H2  With no good one in reach nothing is removed, or made from it: it is marked, which is an event of its own. As soon
//     as a good one is there again (its node is back, the file was restored) the marked one is made again or given up.
// H3  What was found of a copy that has been made again since says nothing.
import { next, type EventDraft, type Step } from '../kernel/kind.ts';
import { failure } from '../kernel/object.ts';
import { isGood } from './copies.ts';
import { changed, newReplica } from './replicas.ts';
import type { BlobMessage, BlobState, Replica } from './state.ts';

type Of<K extends BlobMessage['kind']> = Extract<BlobMessage, { kind: K }>;

/** By these words existing clients find them (contract: artifacts 11.4). */
const FOUND = {
  size: 'blob failed size validation',
  checksum: 'blob failed checksum validation',
  missing: 'the file of a copy is missing',
} as const;

/** Its node has read it again, and it is not (all of) the blob. */
export function copyDamaged(state: BlobState, message: Of<'copy-damaged'>): Step<BlobState> {
  const { node, generation, problem, reason } = message;
  const replica = state.replicas[node];
  const isMeant = replica?.phase === 'verified' && replica.generation === generation;
  if (state.phase !== 'created' || !isMeant) return next(state);
  const { [node]: _, ...others } = state.replicas;
  const raised = state.generation + 1;
  const found: EventDraft = { type: 'audit', message: FOUND[problem], extra: { node, reason } };
  if (Object.values(others).some(isGood)) {
    const again = { ...newReplica(raised, replica), isWhole: false, isInUse: replica.isInUse };
    return changed(state, { ...others, [node]: again }, [found]);
  }
  const why = failure(
    problem === 'missing' ? 'image/missing' : 'image/damaged',
    `the copy on ${node} is the last in reach, and is damaged: ${reason}; ${wayOut(others)}`,
  );
  const marked = { ...replica, phase: 'damaged', generation: raised, failure: why } as const;
  return changed(state, { ...others, [node]: marked }, [
    found,
    { type: 'audit', message: 'no good copy is left', extra: { node, reason: why.reason } },
  ]);
}

/** One that was damaged has been read again and is good: somebody put its file right. */
export function copyGood(state: BlobState, { node, generation }: Of<'copy-good'>): Step<BlobState> {
  const replica = state.replicas[node];
  const isMeant = replica?.phase === 'damaged' && replica.generation === generation;
  if (state.phase !== 'created' || !isMeant) return next(state);
  const verified = { ...replica, phase: 'verified', failure: null } as const;
  const event: EventDraft = {
    type: 'audit',
    message: 'a damaged copy is good again',
    extra: { node },
  };
  return changed(state, { ...state.replicas, [node]: verified }, [event]);
}

function wayOut(others: Readonly<Record<string, Replica>>): string {
  const away = Object.entries(others).flatMap(([node, { phase, awayUntilMs }]) =>
    awayUntilMs !== null && (phase === 'verified' || phase === 'lost') ? [node] : [],
  );
  if (away.length > 0) return `bring back ${away.join(', ')}, which had one`;
  return 'put its file right, or fetch the image again and delete this version';
}

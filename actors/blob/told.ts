// Who can be told how it went: those whose outcome is known.
//
// T1  Who bases a disk on it and has said so need not wait for the replica on its node while that is being made and
//     another node has a good one: until then its disk is read from there (src/drivers/image/nbd/reads.ts).
import type { Failure } from '../kernel/object.ts';
import { isGood } from './copies.ts';
import { parentOf } from './parent.ts';
import { needsTranscode } from './transcode.ts';
import type { BlobState } from './state.ts';

export interface Told {
  readonly user: string;
  /** Null: the blob is there, on the user's node too if it needs it there. */
  readonly failed: Failure | null;
  /** What its disk has to start from, if that is another blob. */
  readonly diskBlobId?: string;
  /** T1. */
  readonly isOnItsWay?: boolean;
}

export function toBeTold(state: BlobState): Told[] {
  const { phase, users, needs, replicas, failure } = state;
  return users.flatMap((user): Told[] => {
    if (phase === 'error') return failure === null ? [] : [{ user, failed: failure }];
    const node = needs[user];
    if (node === undefined) return [{ user, failed: null }];
    const replica = replicas[node];
    if (replica?.phase === 'verified') return ofDisk(state, user);
    if (mayBegin(state, user, node)) return [{ user, failed: null, isOnItsWay: true }];
    const isHopeless = replica?.phase === 'failed' || replica?.phase === 'damaged';
    return isHopeless ? [{ user, failed: replica.failure }] : [];
  });
}

/** What a user says of how long it waits; undefined: until the replica is there. */
export function withPatience(
  state: BlobState,
  user: string,
  lazyFromBytes: number | undefined,
): BlobState {
  const { [user]: before, ...others } = state.lazyFrom;
  if (before === lazyFromBytes) return state;
  const lazyFrom = lazyFromBytes === undefined ? others : { ...others, [user]: lazyFromBytes };
  return { ...state, lazyFrom };
}

function mayBegin(state: BlobState, user: string, node: string): boolean {
  const { content, replicas, lazyFrom, diskUsers, phase } = state;
  const leastBytes = lazyFrom[user];
  if (phase !== 'created' || leastBytes === undefined || !diskUsers.includes(user)) return false;
  const replica = replicas[node];
  const isComing = replica?.phase === 'copying' && replica.awayUntilMs === null;
  // What it is read through has to be on the node as well.
  if (parentOf(state) !== null) return false;
  if (!isComing || content?.format !== 'qcow2' || content.sizeBytes < leastBytes) return false;
  return Object.values(replicas).some(isGood);
}

/** The blob is on the user's node. */
function ofDisk({ diskUsers, content, transcode }: BlobState, user: string): Told[] {
  if (!diskUsers.includes(user) || !needsTranscode(content)) return [{ user, failed: null }];
  if (transcode?.phase === 'created') return [{ user, failed: null, diskBlobId: transcode.blobId }];
  return transcode?.phase === 'failed' ? [{ user, failed: transcode.failure }] : [];
}

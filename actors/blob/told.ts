// Who can be told how it went: those whose outcome is known.
import type { Failure } from '../kernel/object.ts';
import { needsTranscode } from './transcode.ts';
import type { BlobState } from './state.ts';

export interface Told {
  readonly user: string;
  /** Null: the blob is there, on the user's node too if it needs it there. */
  readonly failed: Failure | null;
  /** What its disk has to start from, if that is another blob. */
  readonly diskBlobId?: string;
}

export function toBeTold(state: BlobState): Told[] {
  const { phase, users, needs, replicas, failure } = state;
  return users.flatMap((user): Told[] => {
    if (phase === 'error') return failure === null ? [] : [{ user, failed: failure }];
    const node = needs[user];
    if (node === undefined) return [{ user, failed: null }];
    const replica = replicas[node];
    if (replica?.phase === 'verified') return ofDisk(state, user);
    const isHopeless = replica?.phase === 'failed' || replica?.phase === 'damaged';
    return isHopeless ? [{ user, failed: replica.failure }] : [];
  });
}

/** The blob is on the user's node. */
function ofDisk({ diskUsers, content, transcode }: BlobState, user: string): Told[] {
  if (!diskUsers.includes(user) || !needsTranscode(content)) return [{ user, failed: null }];
  if (transcode?.phase === 'created') return [{ user, failed: null, diskBlobId: transcode.blobId }];
  return transcode?.phase === 'failed' ? [{ user, failed: transcode.failure }] : [];
}

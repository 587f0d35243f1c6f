// Who can be told how it went: those whose outcome is known.
import type { Failure } from '../kernel/object.ts';
import type { BlobState } from './state.ts';

export interface Told {
  readonly user: string;
  /** Null: the blob is there, on the user's node too if it needs it there. */
  readonly failed: Failure | null;
}

export function toBeTold({ phase, users, needs, replicas, failure }: BlobState): Told[] {
  return users.flatMap((user): Told[] => {
    if (phase === 'error') return failure === null ? [] : [{ user, failed: failure }];
    const node = needs[user];
    if (node === undefined) return [{ user, failed: null }];
    const replica = replicas[node];
    if (replica?.phase === 'verified') return [{ user, failed: null }];
    return replica?.phase === 'failed' ? [{ user, failed: replica.failure }] : [];
  });
}

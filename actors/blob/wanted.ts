// What a blob's state asks for: the fetch, copies, the word to its users, the end.
import type { Wanted } from '../kernel/kind.ts';
import { isPaused } from '../kernel/setback.ts';
import { describeEffect } from './facts.ts';
import { fetcherOf } from './fetcher.ts';
import { parentEffect } from './parent.ts';
import { progressEffect } from './progress.ts';
import { copyKey } from './replicas.ts';
import type { BlobState } from './state.ts';
import { toBeTold } from './told.ts';
import { transcodeEffect } from './transcode.ts';

export type BlobEffect =
  | 'hold-parent'
  | 'fetch'
  | 'tell-users'
  | 'tell-progress'
  | 'place-copies'
  | 'copy'
  | 'remove-copy'
  | 'make-transcode'
  | 'time-transcode'
  | 'drop-transcode'
  | 'describe'
  | 'remove-replicas'
  | 'forget';

export function effects(state: BlobState): Wanted<BlobEffect>[] {
  if (state.phase === 'created') return keepingEffects(state);
  if (isPaused(state)) return [];
  const remove = { name: 'remove-replicas', key: String(state.generation) } as const;
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      return [parentEffect(state) ?? fetchEffect(state), ...progressEffect(state)];
    case 'error': {
      const isRemoved = Object.keys(state.replicas).length === 0 || !isRemovable(state);
      return isRemoved ? tellEffect(state) : [...tellEffect(state), remove];
    }
    case 'delete-wait':
      return [remove];
    case 'deleted':
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

/** On its node; or the nodes are looked at, for one that takes over. */
function fetchEffect(state: BlobState): Wanted<BlobEffect> {
  const key = String(state.generation);
  return { name: fetcherOf(state) === null ? 'place-copies' : 'fetch', key };
}

/** A user that cannot be told, and pauses, holds up no copy. */
function keepingEffects(state: BlobState): Wanted<BlobEffect>[] {
  const replicas = Object.entries(state.replicas).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const copies = replicas.flatMap(([node, replica]): Wanted<BlobEffect>[] => {
    if (replica.awayUntilMs !== null || replica.retryAtMs !== null) return [];
    const key = copyKey(node, replica);
    // Side by side: one node that is slow does not hold up another that somebody waits for.
    if (replica.phase === 'copying') return [{ name: 'copy', key, lane: node }];
    return replica.phase === 'removing' ? [{ name: 'remove-copy', key, lane: node }] : [];
  });
  const known = replicas.map(([node, { phase, generation, retryAtMs, isInUse }]) =>
    [node, phase, generation, retryAtMs === null, isInUse].join(),
  );
  const place = { name: 'place-copies', key: `${state.generation} ${known.join(' ')}` } as const;
  const others = [...progressEffect(state), ...transcodeEffect(state), ...describeEffect(state)];
  const work = [...copies, ...others];
  return isPaused(state) ? work : [...tellEffect(state), place, ...work];
}

/** A new one to be told is told at once; the ones told before hear it again, harmlessly. */
function tellEffect(state: BlobState): Wanted<BlobEffect>[] {
  const told = toBeTold(state).map(({ user, failed, isOnItsWay }) => {
    if (failed !== null) return `${user} failed`;
    return isOnItsWay === true ? `${user} early` : user;
  });
  return told.length > 0 ? [{ name: 'tell-users', key: `${state.departures} ${told.join()}` }] : [];
}

/** Half made, or needed by nobody. */
export function isRemovable(state: BlobState): boolean {
  return state.content === null || state.users.length === 0;
}

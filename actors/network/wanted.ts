// What a network's state asks for: the effects that ought to run, and what it waits for.
import type { Passing, Wanted } from '../kernel/kind.ts';
import { isPaused, withSetback } from '../kernel/setback.ts';
import { isInUse, isPool, usersOf } from './places.ts';
import { routeEffects, routesPassing, type RouteEffect } from './routes.ts';
import type { NetworkMessage, NetworkState } from './state.ts';

export type NetworkEffect =
  | 'claim-vni'
  | 'reserve-egress'
  | 'sync-segments'
  | 'tear-down'
  | 'forget'
  | RouteEffect;

/** Longer than both effects try, so that their own reason is the one that is seen. */
const SETUP_MS = 180_000;
const TEAR_DOWN_MS = 300_000;

export function effects(state: NetworkState): Wanted<NetworkEffect>[] {
  if (isPool(state) || isPaused(state)) return [];
  switch (state.phase) {
    case 'none':
    case 'error':
      return [];
    case 'initial':
      if (state.vni !== null) return [{ name: 'reserve-egress', key: '' }];
      return [{ name: 'claim-vni', key: String(state.vniCandidate) }];
    case 'created':
      return standing(state);
    case 'delete-wait':
      return isInUse(state) ? standing(state) : [{ name: 'tear-down', key: '' }];
    case 'deleted':
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

/** As long as it is used, or may be. */
function standing(state: NetworkState): Wanted<NetworkEffect>[] {
  const key = String(state.generation);
  const syncing: Wanted<NetworkEffect>[] =
    state.nodes.length > 0 ? [{ name: 'sync-segments', key }] : [];
  return [...syncing, ...routeEffects(state)];
}

export function passing(state: NetworkState): Passing<NetworkMessage> | null {
  if (isPool(state)) return null;
  const { sinceMs } = state;
  const since = { sinceMs, cancel: { kind: 'delete' } } as const;
  if (state.phase === 'initial') {
    const reason = state.vni === null ? 'claiming a VNI' : 'reserving an egress address';
    return { ...since, reason, deadlineAtMs: sinceMs + SETUP_MS };
  }
  if (state.phase === 'delete-wait' && isInUse(state)) {
    const reason = withSetback(
      `waiting for its instances to go: ${usersOf(state).join(', ')}`,
      state,
    );
    return { sinceMs, reason, deadlineAtMs: null, cancel: null };
  }
  if (state.phase === 'delete-wait') {
    const reason = withSetback('removing its segments', state);
    return { ...since, reason, deadlineAtMs: sinceMs + TEAR_DOWN_MS };
  }
  return state.phase === 'created' ? routesPassing(state) : null;
}

// Addresses of the floating pool that are routed into a network (contract: networks 2.9 and 7): their packets arrive
// untranslated, and some guest answers for the address.
//
// R1  A route is recorded, with a number of its own, before an address is asked for, and is forgotten only after the pool
//     has taken back what that number held. So whatever is given is given back, wherever a crash comes in between.
// R2  The number is part of the holder's name at the pool and is used once: a reservation that is overtaken by its own
//     release gets nothing (network.ts N4).
import {
  next,
  type EventDraft,
  type Passing,
  type Step,
  type Turn,
  type Wanted,
} from '../kernel/kind.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { withSetback } from '../kernel/setback.ts';
import { notReady, segmentChange } from './places.ts';
import type { NetworkMessage, NetworkState, RoutedAddress } from './state.ts';

export type RouteEffect = 'reserve-route' | 'release-route';

type Of<K extends NetworkMessage['kind']> = Extract<NetworkMessage, { kind: K }>;

/** Longer than the effect tries, so that its own reason is the one that is seen. */
const RESERVE_MS = 90_000;
const RELEASE_MS = 300_000;

/** Who holds a routed address at the pool (R2). */
export function routeOwner(networkId: string, number: string): string {
  return `network/${networkId}/route/${number}`;
}

/** Those that packets are sent into the network for. */
export function routedAddresses({ routes }: NetworkState): string[] {
  return Object.values(routes).flatMap(({ phase, address }) =>
    phase === 'held' && address !== null ? [address] : [],
  );
}

type RouteMessage = Of<'route' | 'route-reserved' | 'unroute' | 'route-released'>;

/** A turn about routed addresses. */
export function routeTurn(
  state: NetworkState,
  message: RouteMessage,
  turn: Turn,
): Step<NetworkState> {
  switch (message.kind) {
    case 'route':
      return startRoute(state, turn);
    case 'route-reserved':
      return routeReserved(state, message, turn);
    case 'unroute':
      return startUnroute(state, message, turn);
    case 'route-released':
      return routeReleased(state, message);
  }
}

/** Replies the number. */
function startRoute(state: NetworkState, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'created') return notReady(state, turn);
  const routesAsked = state.routesAsked + 1;
  const route = { phase: 'reserving', address: null, sinceMs: turn.now } as const;
  const routes = { ...state.routes, [routesAsked]: route };
  const event = { type: 'audit', message: 'routed address requested' } as const;
  return next({ ...state, routesAsked, routes, setback: null }, [event], routesAsked);
}

function routeReserved(
  state: NetworkState,
  { number, address }: Of<'route-reserved'>,
  turn: Turn,
): Step<NetworkState> {
  const route = state.routes[number];
  const isAlive = state.phase === 'created' || state.phase === 'delete-wait';
  if (!isAlive || route?.phase !== 'reserving') return next(state);
  const held = { phase: 'held', address, sinceMs: turn.now } as const;
  const routes = { ...state.routes, [number]: held };
  return next({ ...state, routes, ...segmentChange(state, turn) }, [
    { type: 'mutate', message: 'routed address', extra: { address } },
  ]);
}

function startUnroute(
  state: NetworkState,
  { address }: Of<'unroute'>,
  turn: Turn,
): Step<NetworkState> {
  if (state.phase !== 'created') return notReady(state, turn);
  const isMeant = (route: RoutedAddress) => route.address === address && route.phase === 'held';
  const [number, route] = Object.entries(state.routes).find(([, one]) => isMeant(one)) ?? [];
  if (number === undefined || route === undefined) return next(state);
  const routes = { ...state.routes, [number]: leaving(route, turn) };
  return next({ ...state, routes, ...segmentChange(state, turn) }, [
    { type: 'audit', message: 'routed address is given back', extra: { address } },
  ]);
}

function routeReleased(state: NetworkState, { number }: Of<'route-released'>): Step<NetworkState> {
  if (state.routes[number]?.phase !== 'leaving') return next(state);
  const { [String(number)]: _, ...routes } = state.routes;
  return next({ ...state, routes });
}

/** The outcome of the reservation is unknown: what it may have brought is given back (R1). */
export function routeFailed(
  state: NetworkState,
  number: string,
  { code, reason }: { readonly code: ErrorCode; readonly reason: string },
  turn: Turn,
): Step<NetworkState> {
  const route = state.routes[number];
  if (route?.phase !== 'reserving') return next(state);
  const routes = { ...state.routes, [number]: leaving(route, turn) };
  const routeFailure = { number: Number(number), code, reason };
  return next({ ...state, routes, routeFailure }, [
    { type: 'audit', message: 'no routed address', extra: { code, reason } },
  ]);
}

/** Gives up all that are reserving past their deadline. */
export function endLateRoutes(before: NetworkState, turn: Turn): Step<NetworkState> {
  const late = Object.entries(before.routes).filter(
    ([, { phase, sinceMs }]) => phase === 'reserving' && sinceMs + RESERVE_MS <= turn.now,
  );
  const why = { code: 'object/deadline', reason: 'reserving an address took too long' } as const;
  let [state, events]: [NetworkState, readonly EventDraft[]] = [before, []];
  for (const [number] of late) {
    const step = routeFailed(state, number, why, turn);
    [state, events] = [step.state ?? state, [...events, ...step.events]];
  }
  return next(state, events);
}

export function routeEffects({ routes }: NetworkState): Wanted<RouteEffect>[] {
  return Object.entries(routes).flatMap(([key, { phase }]): Wanted<RouteEffect>[] => {
    if (phase === 'held') return [];
    return [{ name: phase === 'leaving' ? 'release-route' : 'reserve-route', key, lane: key }];
  });
}

/** Null while all of them are at rest; else what is due first. */
export function routesPassing(state: NetworkState): Passing<NetworkMessage> | null {
  const under = Object.values(state.routes).flatMap(({ phase, sinceMs }) => {
    if (phase === 'held') return [];
    const isLeaving = phase === 'leaving';
    const what = isLeaving ? 'giving a routed address back' : 'reserving a routed address';
    const deadlineAtMs = sinceMs + (isLeaving ? RELEASE_MS : RESERVE_MS);
    return [{ sinceMs, deadlineAtMs, reason: withSetback(what, state), cancel: null }];
  });
  const [first] = under.toSorted((a, b) => a.deadlineAtMs - b.deadlineAtMs);
  return first ?? null;
}

function leaving(route: RoutedAddress, { now }: Turn): RoutedAddress {
  return { ...route, phase: 'leaving', sinceMs: now };
}

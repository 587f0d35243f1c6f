// A virtual network: one VNI, a block of addresses that it alone gives out, and a segment on every node that
// holds one of its interfaces.
//
// initial ──VNI and egress address──▶ created ──delete──▶ delete-wait ──unused, torn down──▶ deleted
//    └── no VNI, pool exhausted ──▶ error ──delete──▶ delete-wait
//
// N1  Only this actor gives out the block's addresses, so none has two holders.
// N2  Every change of ports raises the generation; executors ignore an older one.
// N3  A node that was told of the segment is told until it says the segment is gone.
// N4  Who has given its addresses back gets none any more: a request that comes later was sent before.
//     Whoever may hold again (a float, a route) asks under a new name each time.
// N5  The VNI is recorded as a candidate before it is claimed: whatever was claimed is given back.
import {
  defineKind,
  isLate,
  next,
  refuse,
  restartThenPark,
  PROMPT,
  STANDING,
} from '../kernel/kind.ts';
import type { KernelMessage, Step, Turn } from '../kernel/kind.ts';
import { failure, isForgettable, newLife, type Failure } from '../kernel/object.ts';
import { withMetadata } from '../kernel/metadata.ts';
import { decoder } from '../kernel/schema.ts';
import { INSISTENT, isWanted, setBack, timerOf, tryAgain } from '../kernel/setback.ts';
import { ownReservations } from './addressing.ts';
import { removeDNS, setDNS } from './dns-entries.ts';
import { parseNetblock } from './netblock.ts';
import {
  attach,
  floatChanged,
  isInUse,
  isPool,
  newWish,
  nodeTold,
  releaseOwner,
  reserveAddress,
  segmentsSynced,
  usersOf,
} from './places.ts';
import { endLateRoutes, routeFailed, routeTurn } from './routes.ts';
import { decodeNetworkMessage, FLOATING, NetworkState, type NetworkMessage } from './state.ts';
import { randomVni, VNI_TRIES } from './vni.ts';
import { effects, passing, type NetworkEffect } from './wanted.ts';

export const initial: NetworkState = {
  phase: 'none',
  name: null,
  namespace: null,
  netblock: '',
  dhcp: true,
  nat: true,
  dns: false,
  vniCandidate: null,
  vniTries: 0,
  vni: null,
  egressAddress: null,
  reservations: {},
  released: {},
  ports: {},
  routes: {},
  routesAsked: 0,
  routeFailure: null,
  dnsEntries: {},
  generation: 0,
  convergingSinceMs: null,
  nodes: [],
  boots: {},
  setback: null,
  ...newLife,
};

type Of<K extends NetworkMessage['kind']> = Extract<NetworkMessage, { kind: K }>;

function transition(
  state: NetworkState,
  message: NetworkMessage | KernelMessage,
  turn: Turn,
): Step<NetworkState> {
  if (state.phase === 'none' && message.kind !== 'create' && message.kind !== 'create-pool') {
    return refuse(state, 'object/not-found', 'network not found');
  }
  switch (message.kind) {
    case 'create':
      return create(state, message, turn);
    case 'create-pool':
      return createPool(state, message.netblock, turn);
    case 'vni-claimed':
      if (message.vni !== state.vniCandidate) return next(state);
      return settle(state, { vni: message.vni }, turn);
    case 'vni-taken':
      return vniTaken(state, message.vni, turn);
    case 'egress-reserved':
      return settle(state, { egressAddress: message.address }, turn);
    case 'reserve':
      return reserveAddress(state, message, turn);
    case 'release':
      return releaseOwner(state, message.owner, turn);
    case 'attach':
      return attach(state, message, turn);
    case 'float-changed':
      return floatChanged(state, message, turn);
    case 'route':
    case 'route-reserved':
    case 'unroute':
    case 'route-released':
      return routeTurn(state, message, turn);
    case 'set-dns':
      return setDNS(state, message, turn);
    case 'remove-dns':
      return removeDNS(state, message, turn);
    case 'segments-synced':
      return segmentsSynced(state, message, turn);
    case 'node-seen':
    case 'node-gone':
      return nodeTold(state, message, turn);
    case 'describe':
    case 'account-for':
      return tell(state, message);
    case 'delete':
      return startDeleting(state, turn);
    case 'delete-unused':
      if (isPool(state) || !isInUse(state)) return startDeleting(state, turn);
      return refuse(state, 'network/in-use', `network ${turn.id} has interfaces`);
    case 'torn-down':
      return tornDown(state, turn);
    case 'forgotten':
      return next(state.forgetting ? null : state);
    case 'effect-failed':
      return effectFailed(state, message, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

/** Questions, which change nothing. */
function tell(
  state: NetworkState,
  message: Of<'describe'> | Of<'account-for'>,
): Step<NetworkState> {
  const { netblock, dns, namespace, nodes, generation } = state;
  if (message.kind === 'describe') return next(state, [], { netblock, dns, namespace });
  return next(state, [], { isKept: nodes.includes(message.node), generation });
}

function create(state: NetworkState, message: Of<'create'>, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'none') return next(state);
  const { kind: _, ...asked } = message;
  const reservations = { ...ownReservations(parseNetblock(asked.netblock), turn.id, turn.now) };
  const made = { phase: 'initial', reservations, vniCandidate: randomVni(turn.random) } as const;
  return next({ ...state, ...asked, ...made, sinceMs: turn.now }, [
    { type: 'audit', message: 'created network', extra: { netblock: asked.netblock } },
  ]);
}

/** The floating pool has no VNI, no segment, and stays `initial` for ever (contract: networks 1.3). */
function createPool(state: NetworkState, netblock: string, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'none') return next(state);
  if (turn.id !== FLOATING) return refuse(state, 'actor/bad-message', 'only `floating` is a pool');
  const reservations = { ...ownReservations(parseNetblock(netblock), turn.id, turn.now) };
  const services = { dhcp: false, nat: false, dns: false, vni: 0, name: FLOATING };
  const made = { phase: 'initial', netblock, reservations } as const;
  return next({ ...state, ...services, ...made, sinceMs: turn.now });
}

/** Usable as soon as it has its VNI and, with NAT, its way out. */
function settle(
  before: NetworkState,
  gained: Partial<Pick<NetworkState, 'vni' | 'egressAddress'>>,
  turn: Turn,
): Step<NetworkState> {
  if (before.phase !== 'initial' || isPool(before)) return next(before);
  const state = { ...before, ...gained };
  const { vni, egressAddress } = state;
  if (vni === null || (state.nat && egressAddress === null)) return next(state);
  const durationMs = turn.now - state.sinceMs;
  const event = { type: 'status', message: 'ready', extra: { vni, egressAddress } } as const;
  return next({ ...state, phase: 'created', sinceMs: turn.now }, [{ ...event, durationMs }]);
}

function vniTaken(state: NetworkState, vni: number, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'initial' || state.vni !== null || state.vniCandidate !== vni)
    return next(state);
  const vniTries = state.vniTries + 1;
  if (vniTries >= VNI_TRIES) {
    const reason = `no free VNI was found in ${VNI_TRIES} random tries`;
    const without = { ...state, vniTries, vniCandidate: null };
    return fail(without, failure('network/vni-exhausted', reason), turn);
  }
  return next({ ...state, vniTries, vniCandidate: randomVni(turn.random) });
}

function startDeleting(state: NetworkState, turn: Turn): Step<NetworkState> {
  if (isPool(state))
    return refuse(state, 'network/in-use', 'you cannot delete the floating network');
  if (state.phase === 'delete-wait' || state.phase === 'deleted') return next(state);
  const leaving = { phase: 'delete-wait', ...newWish(state, turn) } as const;
  const message = isInUse(state) ? 'deletion waits for instances' : 'deletion requested';
  const extra = { instances: usersOf(state) };
  return next({ ...state, ...leaving, sinceMs: turn.now }, [{ type: 'audit', message, extra }]);
}

function tornDown(state: NetworkState, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'delete-wait' || isInUse(state)) return next(state);
  const empty = {
    nodes: [],
    boots: {},
    reservations: {},
    released: {},
    ports: {},
    routes: {},
    dnsEntries: {},
    egressAddress: null,
    setback: null,
  };
  return next({ ...state, ...empty, phase: 'deleted', sinceMs: turn.now, deletedAtMs: turn.now }, [
    { type: 'audit', message: 'deleted', durationMs: turn.now - state.sinceMs },
  ]);
}

function effectFailed(
  state: NetworkState,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<NetworkState> {
  if (!isWanted(effects(state), message)) return next(state);
  if (message.effect === 'reserve-route') return routeFailed(state, message.key, message, turn);
  if (state.phase !== 'initial') return setBack(state, message, turn);
  const { code, reason } = message;
  const isPoolEmpty = message.effect === 'reserve-egress' && code === 'network/no-free-address';
  const words = 'the floating pool has no free address; delete a network with NAT or enlarge it';
  return fail(state, failure(code, isPoolEmpty ? words : reason), turn);
}

function timeReached(state: NetworkState, turn: Turn): Step<NetworkState> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true, setback: null });
  const late = passing(state);
  if (state.phase === 'initial' && isLate(late, turn.now)) {
    return fail(state, failure('object/deadline', `${late.reason} took too long`), turn);
  }
  const { state: timely, events } = endLateRoutes(state, turn);
  return next(tryAgain(timely ?? state, turn.now), events);
}

function fail(state: NetworkState, why: Failure, turn: Turn): Step<NetworkState> {
  return next({ ...state, phase: 'error', sinceMs: turn.now, failure: why }, [
    { type: 'audit', message: 'network failed', extra: { ...why } },
  ]);
}

/** Crashes of its own logic: a deleted one stays deleted, any other waits in error for a delete. */
function parked(state: NetworkState, reason: string, now: number): NetworkState {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  return { ...state, ...why, phase: 'error', sinceMs: now };
}

/** None of schema 2 had floating or routed addresses, or names of its own. */
function withoutOutside(old: unknown): object {
  const { ports, ...state } = old as { readonly ports: Readonly<Record<string, object>> };
  const inside = Object.entries(ports).map(
    ([id, port]) => [id, { ...port, floating: null, floatEdition: 0 }] as const,
  );
  const none = { routes: {}, routesAsked: 0, routeFailure: null, dnsEntries: {} };
  return { ...state, ...none, ports: Object.fromEntries(inside) };
}

export const network = withMetadata(
  defineKind<NetworkState, NetworkMessage, NetworkEffect>({
    kind: 'network',
    placement: 'sharded',
    initial,
    decodeMessage: decodeNetworkMessage,
    transition,
    effects,
    policies: {
      'claim-vni': PROMPT,
      'reserve-egress': PROMPT,
      'reserve-route': PROMPT,
      // Its failure holds nothing else up.
      'release-route': STANDING,
      'sync-segments': INSISTENT,
      'tear-down': INSISTENT,
      forget: STANDING,
    },
    passing,
    timer: timerOf,
    index: (state) =>
      state.phase === 'deleted' || state.namespace === null
        ? null
        : { namespace: state.namespace, name: state.name ?? '' },
    onCrash: restartThenPark,
    parked,
    snapshot: {
      schema: 3,
      decode: decoder('network', NetworkState, 'actor/bad-snapshot'),
      migrations: {
        1: (state) => ({ ...(state as object), boots: {}, released: {}, convergingSinceMs: null }),
        2: withoutOutside,
      },
    },
  }),
);

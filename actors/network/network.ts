// A virtual network: one VNI, a block of addresses that it alone gives out, and a segment on every node that
// holds one of its interfaces.
//
// initial ──VNI and egress address──▶ created ──delete──▶ delete-wait ──unused, torn down──▶ deleted
//    └── no VNI, pool exhausted ──▶ error ──delete──▶ delete-wait
//
// N1  Only this actor gives out the block's addresses, so none has two holders.
// N2  Every change of ports raises the generation; executors ignore an older one.
// N3  A node that was told of the segment is told until it says the segment is gone.
import {
  defineKind,
  next,
  refuse,
  restartThenPark,
  PATIENT,
  PROMPT,
  STANDING,
} from '../kernel/kind.ts';
import type { KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, forgetAtMs, isForgettable, newLife, type Failure } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import { holds, ownReservations, release, reserve } from './addressing.ts';
import { parseNetblock } from './netblock.ts';
import { decodeNetworkMessage, FLOATING, NetworkState, type NetworkMessage } from './state.ts';

export type NetworkEffect =
  | 'claim-vni'
  | 'reserve-egress'
  | 'sync-segments'
  | 'tear-down'
  | 'forget';

const SETUP_MS = 60_000;
const TEAR_DOWN_MS = 300_000;

export const initial: NetworkState = {
  phase: 'none',
  name: null,
  namespace: null,
  netblock: '',
  dhcp: true,
  nat: true,
  dns: false,
  vni: null,
  egressAddress: null,
  reservations: {},
  ports: {},
  generation: 0,
  nodes: [],
  ...newLife,
};

type Of<K extends NetworkMessage['kind']> = Extract<NetworkMessage, { kind: K }>;

function transition(
  state: NetworkState,
  message: NetworkMessage | KernelMessage,
  turn: Turn,
): Step<NetworkState> {
  const isMaking = message.kind === 'create' || message.kind === 'create-pool';
  if (state.phase === 'none' && !isMaking) {
    return refuse(state, 'object/not-found', 'network not found');
  }
  switch (message.kind) {
    case 'create':
      return create(state, message, turn);
    case 'create-pool':
      return createPool(state, message.netblock, turn);
    case 'vni-claimed':
      return settle({ ...state, vni: message.vni }, turn);
    case 'egress-reserved':
      return settle({ ...state, egressAddress: message.address }, turn);
    case 'reserve':
      return reserveAddress(state, message, turn);
    case 'release':
      return releaseOwner(state, message.owner, turn);
    case 'attach':
      return attach(state, message, turn);
    case 'segments-synced':
      return segmentsSynced(state, message);
    case 'describe':
      return next(state, [], {
        netblock: state.netblock,
        dns: state.dns,
        namespace: state.namespace,
      });
    case 'delete':
      return startDeleting(state, turn);
    case 'torn-down':
      return tornDown(state, turn);
    case 'forgotten':
      return next<NetworkState>(null);
    case 'effect-failed':
      if (state.phase !== 'initial') return next(state);
      return fail(state, failure(message.code, message.reason), turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function create(state: NetworkState, message: Of<'create'>, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'none') return next(state);
  const { kind: _, ...asked } = message;
  const reservations = ownReservations(parseNetblock(asked.netblock), turn.id, turn.now);
  return next({ ...state, ...asked, reservations, phase: 'initial', sinceMs: turn.now }, [
    { type: 'audit', message: 'created network', extra: { netblock: asked.netblock } },
  ]);
}

/** The floating pool has no VNI, no segment, and stays `initial` for ever (contract: networks 1.3). */
function createPool(state: NetworkState, netblock: string, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'none') return next(state);
  if (turn.id !== FLOATING) return refuse(state, 'actor/bad-message', 'only `floating` is a pool');
  const reservations = ownReservations(parseNetblock(netblock), turn.id, turn.now);
  const closedServices = { dhcp: false, nat: false, dns: false, vni: 0, name: FLOATING };
  return next({
    ...state,
    ...closedServices,
    netblock,
    reservations,
    phase: 'initial',
    sinceMs: turn.now,
  });
}

/** Usable as soon as it has its VNI and, with NAT, its way out. */
function settle(state: NetworkState, turn: Turn): Step<NetworkState> {
  const isReady = state.vni !== null && (!state.nat || state.egressAddress !== null);
  if (state.phase !== 'initial' || !isReady) return next(state);
  const { vni, egressAddress } = state;
  return next({ ...state, phase: 'created', sinceMs: turn.now }, [
    {
      type: 'status',
      message: 'ready',
      extra: { vni, egressAddress },
      durationMs: turn.now - state.sinceMs,
    },
  ]);
}

function isPool(state: NetworkState): boolean {
  return state.namespace === null;
}

function notReady(state: NetworkState, turn: Turn): Step<NetworkState> {
  return refuse(state, 'network/not-ready', `network ${turn.id} is not ready (${state.phase})`);
}

function reserveAddress(
  state: NetworkState,
  message: Of<'reserve'>,
  turn: Turn,
): Step<NetworkState> {
  if (state.phase !== 'created' && !isPool(state)) return notReady(state, turn);
  const result = reserve(parseNetblock(state.netblock), state.reservations, message, turn);
  if (!result.ok) return refuse(state, result.code, result.reason);
  if (result.reservations === state.reservations) return next(state, [], result.address);
  const { owner, type } = message;
  return next(
    { ...state, reservations: { ...result.reservations } },
    [
      {
        type: 'mutate',
        message: 'reserved address',
        extra: { address: result.address, owner, type },
      },
    ],
    result.address,
  );
}

function releaseOwner(state: NetworkState, owner: string, turn: Turn): Step<NetworkState> {
  const interfaceId = owner.startsWith('interface/') ? owner.slice('interface/'.length) : '';
  const isAttached = state.ports[interfaceId] !== undefined;
  if (!isAttached && !holds(state.reservations, owner)) return next(state);
  const { [interfaceId]: _, ...ports } = state.ports;
  const reservations = { ...release(state.reservations, owner, turn.now) };
  const generation = state.generation + (isAttached ? 1 : 0);
  return next({ ...state, reservations, ports, generation }, [
    { type: 'mutate', message: 'released', extra: { owner } },
  ]);
}

function attach(state: NetworkState, message: Of<'attach'>, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'created') return notReady(state, turn);
  const { kind: _, interfaceId, ...port } = message;
  const before = state.ports[interfaceId];
  const isSame =
    before !== undefined && JSON.stringify(before) === JSON.stringify({ ...before, ...port });
  if (isSame) return next(state);
  const nodes = state.nodes.includes(port.node) ? state.nodes : [...state.nodes, port.node];
  const ports = { ...state.ports, [interfaceId]: port };
  return next({ ...state, ports, nodes, generation: state.generation + 1 }, [
    {
      type: 'mutate',
      message: 'attached interface',
      extra: { interface: interfaceId, node: port.node },
    },
  ]);
}

function segmentsSynced(state: NetworkState, message: Of<'segments-synced'>): Step<NetworkState> {
  const wanted = nodesWithPorts(state);
  const isGone = (node: string) => message.absent.includes(node) && !wanted.has(node);
  if (message.generation !== state.generation || !state.nodes.some(isGone)) return next(state);
  return next({ ...state, nodes: state.nodes.filter((node) => !isGone(node)) });
}

function startDeleting(state: NetworkState, turn: Turn): Step<NetworkState> {
  if (isPool(state))
    return refuse(state, 'network/in-use', 'you cannot delete the floating network');
  if (state.phase === 'delete-wait' || state.phase === 'deleted') return next(state);
  return next(
    { ...state, phase: 'delete-wait', sinceMs: turn.now, generation: state.generation + 1 },
    [
      {
        type: 'audit',
        message: isInUse(state) ? 'deletion waits for interfaces' : 'deletion requested',
      },
    ],
  );
}

function tornDown(state: NetworkState, turn: Turn): Step<NetworkState> {
  if (state.phase !== 'delete-wait') return next(state);
  const empty = { nodes: [], reservations: {}, ports: {}, egressAddress: null };
  return next({ ...state, ...empty, phase: 'deleted', sinceMs: turn.now, deletedAtMs: turn.now }, [
    { type: 'audit', message: 'deleted', durationMs: turn.now - state.sinceMs },
  ]);
}

function timeReached(state: NetworkState, turn: Turn): Step<NetworkState> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true });
  const late = passing(state);
  if (state.phase !== 'initial' || late === null || late.deadlineAtMs > turn.now)
    return next(state);
  return fail(state, failure('object/deadline', `${late.reason} took too long`), turn);
}

function fail(state: NetworkState, why: Failure, turn: Turn): Step<NetworkState> {
  return next({ ...state, phase: 'error', sinceMs: turn.now, failure: why }, [
    { type: 'audit', message: 'network failed', extra: { ...why } },
  ]);
}

/** Nodes that must have a segment now. */
export function nodesWithPorts(state: NetworkState): Set<string> {
  return new Set(Object.values(state.ports).map((port) => port.node));
}

/** In use as long as an interface has, or is about to get, a place on it. */
export function isInUse(state: NetworkState): boolean {
  const hasAddresses = Object.values(state.reservations).some((one) => one.type === 'instance');
  return hasAddresses || Object.keys(state.ports).length > 0;
}

function effects(state: NetworkState): Wanted<NetworkEffect>[] {
  if (isPool(state)) return [];
  switch (state.phase) {
    case 'none':
    case 'error':
      return [];
    case 'initial':
      return [{ name: state.vni === null ? 'claim-vni' : 'reserve-egress', key: '' }];
    case 'created':
      return syncing(state);
    case 'delete-wait':
      return isInUse(state) ? syncing(state) : [{ name: 'tear-down', key: '' }];
    case 'deleted':
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

function syncing(state: NetworkState): Wanted<NetworkEffect>[] {
  return state.nodes.length > 0 ? [{ name: 'sync-segments', key: String(state.generation) }] : [];
}

function passing(state: NetworkState): Passing<NetworkMessage> | null {
  if (isPool(state)) return null;
  const since = { sinceMs: state.sinceMs, cancel: { kind: 'delete' } } as const;
  if (state.phase === 'initial') {
    const reason = state.vni === null ? 'claiming a VNI' : 'reserving an egress address';
    return { ...since, reason, deadlineAtMs: state.sinceMs + SETUP_MS };
  }
  // Waiting for interfaces may take as long as their instances live.
  if (state.phase === 'delete-wait' && !isInUse(state)) {
    return {
      ...since,
      reason: 'removing its segments',
      deadlineAtMs: state.sinceMs + TEAR_DOWN_MS,
    };
  }
  return null;
}

export const network = defineKind<NetworkState, NetworkMessage, NetworkEffect>({
  kind: 'network',
  placement: 'sharded',
  initial,
  decodeMessage: decodeNetworkMessage,
  transition,
  effects,
  policies: {
    'claim-vni': PROMPT,
    'reserve-egress': PROMPT,
    'sync-segments': STANDING,
    'tear-down': STANDING,
    forget: PATIENT,
  },
  passing,
  timer: forgetAtMs,
  index: (state) =>
    state.phase === 'deleted' || state.namespace === null
      ? null
      : { namespace: state.namespace, name: state.name ?? '' },
  onCrash: restartThenPark,
  parked: (state, reason, now) => ({
    ...state,
    phase: 'error',
    sinceMs: now,
    failure: failure('actor/crashed', reason),
  }),
  snapshot: {
    schema: 1,
    decode: decoder('network', NetworkState, 'actor/bad-snapshot'),
    migrations: {},
  },
});

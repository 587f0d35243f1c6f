// Who is on the network: addresses given out, interfaces attached, and the nodes that need its segment
// for them. N1, N2 and N3 of network.ts are kept here, and N4.
import { next, refuse, type EventDraft, type Step, type Turn } from '../kernel/kind.ts';
import { isNewBoot, MISSING } from '../node/presence.ts';
import { HALO_MS, holds, release, reserve } from './addressing.ts';
import { parseNetblock } from './netblock.ts';
import type { NetworkMessage, NetworkState } from './state.ts';

type Of<K extends NetworkMessage['kind']> = Extract<NetworkMessage, { kind: K }>;

/** The pool of external addresses has no namespace. */
export function isPool(state: NetworkState): boolean {
  return state.namespace === null;
}

/** Nodes that must have a segment now; what is on a missing one is reached by nobody. */
export function nodesWithPorts(state: NetworkState): Set<string> {
  const nodes = Object.values(state.ports).map((port) => port.node);
  return new Set(nodes.filter((node) => !isMissing(state, node)));
}

/** Whether the node's daemon is away, so that it can neither be told nor be reached. */
export function isMissing(state: NetworkState, node: string): boolean {
  return state.boots[node] === MISSING;
}

/** What becomes of a node on which it has, or may still have, a segment. */
export function nodeTold(
  state: NetworkState,
  message: Of<'node-seen'> | Of<'node-gone'>,
  turn: Turn,
): Step<NetworkState> {
  return message.kind === 'node-gone'
    ? nodeGone(state, message, turn)
    : sawNode(state, message, turn);
}

/** A node that is there again, or anew, is told the whole; one that is missing is withdrawn from the others. */
function sawNode(
  state: NetworkState,
  { node, boot }: Of<'node-seen'>,
  turn: Turn,
): Step<NetworkState> {
  const known = state.boots[node];
  if (!state.nodes.includes(node) || known === boot) return next(state);
  const seen = { ...state, boots: { ...state.boots, [node]: boot } };
  if (!isNewBoot(known, boot) && boot !== MISSING) return next(seen);
  const extra = { node };
  const event: EventDraft =
    boot === MISSING
      ? { type: 'status', message: 'node is missing, its entries are withdrawn', extra }
      : { type: 'status', message: 'node is there again', extra };
  return next({ ...seen, ...newWish(state, turn) }, [event]);
}

/** A node was removed from the cluster: nothing of the network is there any more, and nobody is told there. */
function nodeGone(state: NetworkState, { node }: Of<'node-gone'>, turn: Turn): Step<NetworkState> {
  const isThere = state.nodes.includes(node) || nodesWithPorts(state).has(node);
  if (!isThere) return next(state);
  const { [node]: _, ...boots } = state.boots;
  const ports = Object.fromEntries(
    Object.entries(state.ports).filter(([, port]) => port.node !== node),
  );
  const nodes = state.nodes.filter((one) => one !== node);
  const event: EventDraft = { type: 'status', message: 'node was removed', extra: { node } };
  return next({ ...state, nodes, boots, ports, ...newWish(state, turn) }, [event]);
}

/** Ids of the instances on it, placed or about to be. */
export function usersOf(state: NetworkState): string[] {
  const reserved = Object.values(state.reservations).filter((one) => one.type === 'instance');
  const ids = reserved.flatMap((one) => one.user?.[1] ?? []);
  return [...new Set([...ids, ...Object.values(state.ports).map((port) => port.instanceId)])];
}

/** In use as long as an interface has, or is about to get, a place on it. */
export function isInUse(state: NetworkState): boolean {
  const hasAddresses = Object.values(state.reservations).some((one) => one.type === 'instance');
  return hasAddresses || Object.keys(state.ports).length > 0;
}

/** Replies the address. */
export function reserveAddress(
  state: NetworkState,
  message: Of<'reserve'>,
  turn: Turn,
): Step<NetworkState> {
  if (state.phase !== 'created' && !isPool(state)) return notActive(state, turn);
  if (Object.hasOwn(state.released, message.owner)) return tooLate(state, message.owner);
  const result = reserve(parseNetblock(state.netblock), state.reservations, message, turn);
  if (!result.ok) return refuse(state, result.code, result.reason);
  const { address, reservations } = result;
  if (reservations === state.reservations) return next(state, [], address);
  const { owner, type } = message;
  const event = {
    type: 'mutate',
    message: 'reserved address',
    extra: { address, owner, type },
  } as const;
  return next({ ...state, reservations: { ...reservations } }, [event], address);
}

/** In every phase: what is held can always be given back. */
export function releaseOwner(state: NetworkState, owner: string, turn: Turn): Step<NetworkState> {
  if (owner === `network/${turn.id}`) {
    return refuse(
      state,
      'network/in-use',
      'a network keeps its own addresses as long as it exists',
    );
  }
  const interfaceId = owner.startsWith('interface/') ? owner.slice('interface/'.length) : '';
  const isAttached = Object.hasOwn(state.ports, interfaceId);
  const released = withReleased(state, owner, turn.now);
  if (!isAttached && !holds(state.reservations, owner))
    return next(released === state.released ? state : { ...state, released });
  const { [interfaceId]: _, ...ports } = state.ports;
  const reservations = { ...release(state.reservations, owner, turn.now) };
  const wish = isAttached ? { ports, ...newWish(state, turn) } : {};
  const left = { ...state, ...wish, reservations, released };
  // The last user of a network that is to be deleted: from now on the tear-down has its own time.
  const isLast = state.phase === 'delete-wait' && !isInUse(left);
  return next(isLast ? { ...left, sinceMs: turn.now } : left, [
    { type: 'mutate', message: 'released', extra: { owner } },
  ]);
}

/** N4; those that rest no longer than an address does. Who is on its way out gives nothing to anybody. */
function withReleased(
  { phase, released }: NetworkState,
  owner: string,
  now: number,
): NetworkState['released'] {
  const isLeaving = phase === 'delete-wait' || phase === 'deleted';
  if (isLeaving || Object.hasOwn(released, owner)) return released;
  const lately = Object.entries(released).filter(([, atMs]) => atMs > now - HALO_MS);
  return { ...Object.fromEntries(lately), [owner]: now };
}

/** Gives an interface that holds its address a place on its node. */
export function attach(state: NetworkState, message: Of<'attach'>, turn: Turn): Step<NetworkState> {
  const { kind: _, interfaceId, ...asked } = message;
  const before = Object.hasOwn(state.ports, interfaceId) ? state.ports[interfaceId] : undefined;
  // An interface that is there stays there, also while the network waits for its deletion.
  if (before !== undefined && isSamePort(before, asked)) return next(state);
  if (state.phase !== 'created') return notActive(state, turn);
  const { ipv4, node } = asked;
  const owner = `interface/${interfaceId}`;
  if (Object.hasOwn(state.released, owner)) return tooLate(state, owner);
  if (ipv4 !== null && state.reservations[ipv4]?.owner !== owner) {
    const reason = `interface ${interfaceId} does not hold address ${ipv4} of network ${turn.id}`;
    return refuse(state, 'network/address-in-use', reason);
  }
  const nodes = state.nodes.includes(node) ? state.nodes : [...state.nodes, node];
  const { floating = null, floatEdition = 0 } = before ?? {};
  const ports = { ...state.ports, [interfaceId]: { ...asked, floating, floatEdition } };
  const extra = { interface: interfaceId, node };
  return next({ ...state, ports, nodes, ...newWish(state, turn) }, [
    { type: 'mutate', message: 'attached interface', extra },
  ]);
}

type Port = NetworkState['ports'][string];

function isSamePort(a: Port, b: Omit<Port, 'floating' | 'floatEdition'>): boolean {
  return (
    a.node === b.node &&
    a.mac === b.mac &&
    a.ipv4 === b.ipv4 &&
    a.hostname === b.hostname &&
    a.instanceId === b.instanceId
  );
}

/** In every phase in which it is a port: what is given back is withdrawn from a network that waits for its end, too. */
export function floatChanged(
  state: NetworkState,
  { interfaceId, edition, floating }: Of<'float-changed'>,
  turn: Turn,
): Step<NetworkState> {
  const port = Object.hasOwn(state.ports, interfaceId) ? state.ports[interfaceId] : undefined;
  if (port === undefined || edition <= port.floatEdition) return next(state);
  const ports = { ...state.ports, [interfaceId]: { ...port, floating, floatEdition: edition } };
  if (floating === port.floating) return next({ ...state, ports });
  return next({ ...state, ports, ...newWish(state, turn) }, [
    { type: 'mutate', message: 'floating address', extra: { interface: interfaceId, floating } },
  ]);
}

/** Forgets the nodes that have nothing of the network any more; an outcome of an older generation is history. */
export function segmentsSynced(
  state: NetworkState,
  message: Of<'segments-synced'>,
  turn: Turn,
): Step<NetworkState> {
  if (message.generation !== state.generation) return next(state);
  const wanted = nodesWithPorts(state);
  const isGone = (node: string) => message.absent.includes(node) && !wanted.has(node);
  const nodes = state.nodes.filter((node) => !isGone(node));
  const boots = Object.fromEntries(
    Object.entries(state.boots).filter(([node]) => nodes.includes(node)),
  );
  const converged = { ...state, nodes, boots, convergingSinceMs: null, setback: null };
  if (state.convergingSinceMs === null) return next(converged);
  const durationMs = turn.now - state.convergingSinceMs;
  const extra = { generation: message.generation, nodes: nodes.length };
  return next(converged, [
    { type: 'status', message: 'all nodes have it as wanted', extra, durationMs },
  ]);
}

/** Segments are wanted otherwise from now on. */
export function newWish(
  { generation }: NetworkState,
  { now }: Turn,
): Pick<NetworkState, 'generation' | 'convergingSinceMs' | 'setback'> {
  return { generation: generation + 1, convergingSinceMs: now, setback: null };
}

/** As newWish(), for what the nodes that have a segment are told; without any there is nothing to do. */
export function segmentChange(
  state: NetworkState,
  turn: Turn,
): Partial<Pick<NetworkState, 'generation' | 'convergingSinceMs' | 'setback'>> {
  return state.nodes.length === 0 ? {} : newWish(state, turn);
}

/** What needs a network that works is refused on any other. */
export function notReady(state: NetworkState, turn: Turn): Step<NetworkState> {
  return refuse(state, 'network/not-ready', `network ${turn.id} is not ready (${state.phase})`);
}

function tooLate(state: NetworkState, owner: string): Step<NetworkState> {
  const reason = `${owner} has given back what it held, and gets nothing any more`;
  return refuse(state, 'object/wrong-phase', reason);
}

/** Later, perhaps, while it is being set up; never again once it is on its way out. */
function notActive(state: NetworkState, turn: Turn): Step<NetworkState> {
  if (state.phase === 'initial') return notReady(state, turn);
  return refuse(state, 'object/wrong-phase', `network is not active: ${turn.id}`);
}

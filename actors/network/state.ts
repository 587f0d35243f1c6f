// A network's state and messages.
import { lifeMembers } from '../kernel/object.ts';
import { setbackMember } from '../kernel/setback.ts';
import { accountFor } from '../node/account.ts';
import type { Ref } from '../kernel/kind.ts';
import { nodeGone, nodeSeen } from '../node/presence.ts';
import {
  closed,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

/** Who holds an address of the netblock. */
export const Reservation = closed({
  /** Address of the object that may release it; null in the halo. */
  owner: nullable(Type.String()),
  /** As the API shows it: [object type, id]; null in the halo. */
  user: nullable(Type.Tuple([Type.String(), Type.String()])),
  type: oneOf([
    'network',
    'broadcast',
    'gateway',
    'instance',
    'floating',
    'routed',
    'deletion-halo',
  ]),
  atMs: Type.Number(),
});
export type Reservation = Static<typeof Reservation>;

/** An interface that is placed: on which node it is, and what answers there. */
export const Port = closed({
  instanceId: Type.String(),
  mac: Type.String(),
  ipv4: nullable(Type.String()),
  hostname: Type.String(),
  node: Type.String(),
  /** Address by which it is reached from outside. */
  floating: nullable(Type.String()),
  /** Of the last change of `floating` that its interface told; see actors/interface/float.ts F3. */
  floatEdition: Type.Integer(),
});
export type Port = Static<typeof Port>;

/** An address of the floating pool whose packets come into the network as they are: see routes.ts. */
export const RoutedAddress = closed({
  phase: oneOf(['reserving', 'held', 'leaving']),
  /** Null until the pool has given one. */
  address: nullable(Type.String()),
  /** When it came to its phase, ms since the epoch. */
  sinceMs: Type.Number(),
});
export type RoutedAddress = Static<typeof RoutedAddress>;

export const NetworkState = closed({
  phase: oneOf(['none', 'initial', 'created', 'delete-wait', 'deleted', 'error']),
  name: nullable(Type.String()),
  /** Null for the floating pool only. */
  namespace: nullable(Type.String()),
  /** CIDR, exactly as given. */
  netblock: Type.String(),
  dhcp: Type.Boolean(),
  nat: Type.Boolean(),
  dns: Type.Boolean(),
  /** To be claimed, and how many before it were another's; recorded first, so that no claim is ever lost. */
  vniCandidate: nullable(Type.Integer()),
  vniTries: Type.Integer(),
  /** Ours. */
  vni: nullable(Type.Integer()),
  /** Source of outgoing traffic, from the floating pool. */
  egressAddress: nullable(Type.String()),
  /** By address. */
  reservations: Type.Record(Type.String(), Reservation),
  /** Owners that gave everything back lately, and when: what they had asked for before may still be under way. */
  released: Type.Record(Type.String(), Type.Number()),
  /** By interface id. */
  ports: Type.Record(Type.String(), Port),
  /** By number; each number is used once. */
  routes: Type.Record(Type.String(), RoutedAddress),
  /** How many routed addresses were asked for. */
  routesAsked: Type.Integer(),
  /** Why the last one that came to nothing did. */
  routeFailure: nullable(
    closed({ number: Type.Integer(), code: Type.String(), reason: Type.String() }),
  ),
  /** Names that the network answers for besides those of its instances: name, in lower case, to address. */
  dnsEntries: Type.Record(Type.String(), Type.String()),
  /** Of the wanted segments; grows with every change of ports, routes or names. */
  generation: Type.Integer(),
  /** When it last grew, ms since the epoch; null: all nodes have said since that they have it so. */
  convergingSinceMs: nullable(Type.Number()),
  /** Nodes that have, or may still have, a segment: told until they say it is gone. */
  nodes: Type.Array(Type.String()),
  /** Of those nodes: the daemon's boot that was told, or MISSING (actors/node/presence.ts). */
  boots: Type.Record(Type.String(), Type.String()),
  ...setbackMember,
  ...lifeMembers,
});
export type NetworkState = Static<typeof NetworkState>;

const MESSAGES = {
  create: {
    name: nullable(Type.String()),
    namespace: Type.String(),
    netblock: Type.String(),
    dhcp: Type.Boolean(),
    nat: Type.Boolean(),
    dns: Type.Boolean(),
  },
  /** Makes the pool of external addresses; only for the id `floating`. */
  'create-pool': { netblock: Type.String() },
  'vni-claimed': { vni: Type.Integer() },
  /** The candidate is another network's. */
  'vni-taken': { vni: Type.Integer() },
  'egress-reserved': { address: Type.String() },
  /** Replies the address. Asked again by the same owner: the same address. */
  reserve: {
    owner: Type.String(),
    user: Type.Tuple([Type.String(), Type.String()]),
    type: oneOf(['gateway', 'instance', 'floating', 'routed']),
    /** Null: any free one. */
    address: nullable(Type.String()),
  },
  /** Gives back all that the owner holds: its address and, for an interface, its place on the network. */
  release: { owner: Type.String() },
  attach: {
    interfaceId: Type.String(),
    instanceId: Type.String(),
    mac: Type.String(),
    ipv4: nullable(Type.String()),
    hostname: Type.String(),
    node: Type.String(),
  },
  /** The interface's floating address is this one now (null: none). An older edition is history. */
  'float-changed': {
    interfaceId: Type.String(),
    edition: Type.Integer(),
    floating: nullable(Type.String()),
  },
  /** Asks for a routed address. Replies its number; its outcome is in the state. */
  route: {},
  'route-reserved': { number: Type.Integer(), address: Type.String() },
  /** Quiet when the network has no such routed address. */
  unroute: { address: Type.String() },
  'route-released': { number: Type.Integer() },
  'set-dns': { name: Type.String(), address: Type.String() },
  /** Quiet when there is no such name. */
  'remove-dns': { name: Type.String() },
  /** Outcome of sync-segments; `absent` are the nodes that have nothing of this network any more. */
  'segments-synced': { generation: Type.Integer(), absent: Type.Array(Type.String()) },
  'node-seen': nodeSeen,
  'node-gone': nodeGone,
  /** Replies what a config drive says about the network. */
  describe: {},
  /** A node that has something of it, and has not heard of it since it started, asks whether that is to stay. */
  'account-for': accountFor,
  delete: {},
  /** As delete, but refused while an interface is on it. */
  'delete-unused': {},
  'torn-down': {},
  forgotten: {},
};
export type NetworkMessage = MessageOf<typeof MESSAGES>;
/** The reply to describe. */
export const NetworkFacts = closed({
  netblock: Type.String(),
  namespace: nullable(Type.String()),
  dns: Type.Boolean(),
});

export const decodeNetworkMessage = messageDecoder('network', MESSAGES);

export function networkRef(id: string): Ref<NetworkMessage> {
  return { kind: 'network', id };
}

/** The pool that egress, floating and routed addresses come from. */
export const FLOATING = 'floating';

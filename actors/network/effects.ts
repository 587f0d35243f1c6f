// What a network does to others: claims its VNI, takes egress and routed addresses from the pool, and keeps the
// nodes told of the segment they ought to have. Every step may be repeated.
import { TroupeError, unlessGone } from '../kernel/errors.ts';
import type { Claims, EffectContext, Performers } from '../kernel/ports.ts';
import { want } from '../node/executor-message.ts';
import { gatewayOf, parseNetblock } from './netblock.ts';
import { isMissing, nodesWithPorts } from './places.ts';
import type { SegmentPeer, SegmentSpec } from './ports.ts';
import { routedAddresses, routeOwner } from './routes.ts';
import { FLOATING, networkRef, type NetworkMessage, type NetworkState } from './state.ts';
import type { NetworkEffect } from './wanted.ts';

type Context = EffectContext<NetworkMessage>;

/** What the deployment decides for all networks. */
export interface NetworkPorts {
  readonly claims: Claims;
  /** DNS zone; a network's domain is `<namespace>.<zone>`. */
  readonly zone: string;
  readonly upstreamDns: string;
  /** CIDR of the floating pool. */
  readonly floatingBlock: string;
  /** VTEP address of a node; undefined while it is not known. */
  vtepOf(node: string): string | undefined;
}

export function networkPerformers(
  ports: NetworkPorts,
): Performers<NetworkState, NetworkMessage, NetworkEffect> {
  return {
    'claim-vni': (state, context) => claimVni(ports, state, context),
    'reserve-egress': async (_state, context) => {
      const address = await reserveOutside('gateway', ownerOf(context), context);
      return { kind: 'egress-reserved', address };
    },
    'reserve-route': async (_state, context) => {
      const owner = routeOwner(context.self.id, context.key);
      const address = await reserveOutside('routed', owner, context);
      return { kind: 'route-reserved', number: Number(context.key), address };
    },
    'release-route': async (_state, context) => {
      await releaseOutside(routeOwner(context.self.id, context.key), context);
      return { kind: 'route-released', number: Number(context.key) };
    },
    'sync-segments': (state, context) => syncSegments(ports, state, context),
    'tear-down': async (state, context) => {
      await Promise.all(state.nodes.map((node) => wantSegment(node, null, state, context)));
      const routes = Object.keys(state.routes).map((number) => routeOwner(context.self.id, number));
      const owners = [ownerOf(context), ...routes];
      await Promise.all(owners.map((owner) => releaseOutside(owner, context)));
      return { kind: 'torn-down' };
    },
    forget: async (state, context) => {
      // Only ours is freed, whether the claim was ever recorded as made or not.
      const vni = state.vniCandidate;
      if (vni !== null) await ports.claims.release('vni', String(vni), context.self);
      return { kind: 'forgotten' };
    },
  };
}

/** An address of the floating pool. */
async function reserveOutside(
  type: 'gateway' | 'routed',
  owner: string,
  context: Context,
): Promise<string> {
  const user: [string, string] = ['network', context.self.id];
  const message = { kind: 'reserve', owner, user, type, address: null } as const;
  const address = await context.ask(networkRef(FLOATING), message);
  if (typeof address === 'string') return address;
  throw new TroupeError('actor/bad-message', 'the floating pool answered no address');
}

function releaseOutside(owner: string, context: Context): Promise<unknown> {
  return unlessGone(context.ask(networkRef(FLOATING), { kind: 'release', owner }));
}

async function claimVni(
  { claims }: NetworkPorts,
  { vniCandidate: vni }: NetworkState,
  context: Context,
): Promise<NetworkMessage> {
  if (vni === null) throw new TroupeError('actor/bad-snapshot', 'no VNI to claim is recorded');
  const isOurs = await claims.claim('vni', String(vni), context.self);
  return { kind: isOurs ? 'vni-claimed' : 'vni-taken', vni };
}

async function syncSegments(
  ports: NetworkPorts,
  state: NetworkState,
  context: Context,
): Promise<NetworkMessage> {
  const wanted = nodesWithPorts(state);
  const spec = segmentSpec(ports, state, context.self.id);
  const told = reachable(state);
  await Promise.all(
    told.map((node) => wantSegment(node, wanted.has(node) ? spec : null, state, context)),
  );
  const absent = told.filter((node) => !wanted.has(node));
  return { kind: 'segments-synced', generation: state.generation, absent };
}

function reachable(state: NetworkState): string[] {
  return state.nodes.filter((node) => !isMissing(state, node));
}

function wantSegment(
  node: string,
  spec: SegmentSpec | null,
  state: NetworkState,
  context: Context,
): Promise<unknown> {
  const { generation } = state;
  return want(context, { node, resource: 'segment', generation, spec });
}

function segmentSpec(ports: NetworkPorts, state: NetworkState, networkId: string): SegmentSpec {
  const vni = state.vni ?? 0;
  const peers: SegmentPeer[] = reachable(state).flatMap((node) => {
    const vtep = ports.vtepOf(node);
    return vtep === undefined ? [] : [{ node, vtep }];
  });
  return {
    networkId,
    vni,
    netblock: state.netblock,
    gateway: gatewayOf(parseNetblock(state.netblock)),
    gatewayMac: gatewayMac(vni),
    domain: `${state.namespace}.${ports.zone}`,
    dhcp: state.dhcp,
    dns: state.dns,
    upstreamDns: ports.upstreamDns,
    egressAddress: state.egressAddress,
    floatingBlock: ports.floatingBlock,
    ports: Object.entries(state.ports).flatMap(([interfaceId, port]) => {
      const { mac, ipv4, hostname, node, floating } = port;
      if (isMissing(state, node)) return [];
      return [{ interfaceId, mac, ipv4, hostname, node, floating }];
    }),
    peers,
    routed: routedAddresses(state),
    dnsEntries: Object.entries(state.dnsEntries).map(([name, address]) => ({ name, address })),
  };
}

/** The same on every machine: locally administered, apart from the generated `02:00:00`, made from the VNI. */
function gatewayMac(vni: number): string {
  const hex = vni.toString(16).padStart(6, '0');
  return ['02', '54', '52', hex.slice(0, 2), hex.slice(2, 4), hex.slice(4, 6)].join(':');
}

function ownerOf(context: Context): string {
  return `network/${context.self.id}`;
}

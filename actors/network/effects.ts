// What a network does to others: claims its VNI, takes an egress address from the pool, and keeps the
// nodes told of the segment they ought to have. Every step may be repeated.
import { TroupeError, unlessGone } from '../kernel/errors.ts';
import type { Claims, EffectContext, Performers } from '../kernel/ports.ts';
import { want } from '../node/executor-message.ts';
import { gatewayOf, parseNetblock } from './netblock.ts';
import { nodesWithPorts, type NetworkEffect } from './network.ts';
import type { SegmentPeer, SegmentSpec } from './ports.ts';
import { FLOATING, networkRef, type NetworkMessage, type NetworkState } from './state.ts';

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

const VNI_TRIES = 32;
const MAX_VNI = 2 ** 24 - 1;

export function networkPerformers(
  ports: NetworkPorts,
): Performers<NetworkState, NetworkMessage, NetworkEffect> {
  return {
    'claim-vni': (_state, context) => claimVni(ports, context),
    'reserve-egress': async (_state, context) => {
      const address = await context.ask(networkRef(FLOATING), {
        kind: 'reserve',
        owner: ownerOf(context),
        user: ['network', context.self.id],
        type: 'gateway',
        address: null,
      });
      if (typeof address !== 'string') {
        throw new TroupeError('actor/bad-message', 'the floating pool answered no address');
      }
      return { kind: 'egress-reserved', address };
    },
    'sync-segments': (state, context) => syncSegments(ports, state, context),
    'tear-down': async (state, context) => {
      await Promise.all(state.nodes.map((node) => wantSegment(node, null, state, context)));
      await unlessGone(
        context.ask(networkRef(FLOATING), { kind: 'release', owner: ownerOf(context) }),
      );
      return { kind: 'torn-down' };
    },
    forget: async (state, context) => {
      if (state.vni !== null) await ports.claims.release('vni', String(state.vni), context.self);
      return { kind: 'forgotten' };
    },
  };
}

/** Random, as the contract says (networks 5.1); a claim that a crash left unrecorded is never used, and cheap. */
async function claimVni(ports: NetworkPorts, context: Context): Promise<NetworkMessage> {
  for (let attempt = 0; attempt < VNI_TRIES; attempt++) {
    const vni = 1 + Math.floor(context.random.number() * MAX_VNI);
    if (await ports.claims.claim('vni', String(vni), context.self))
      return { kind: 'vni-claimed', vni };
  }
  throw new TroupeError('network/vni-exhausted', `no free VNI found in ${VNI_TRIES} random tries`);
}

async function syncSegments(
  ports: NetworkPorts,
  state: NetworkState,
  context: Context,
): Promise<NetworkMessage> {
  const wanted = nodesWithPorts(state);
  const spec = segmentSpec(ports, state, context.self.id);
  await Promise.all(
    state.nodes.map((node) => wantSegment(node, wanted.has(node) ? spec : null, state, context)),
  );
  const absent = state.nodes.filter((node) => !wanted.has(node));
  return { kind: 'segments-synced', generation: state.generation, absent };
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
  const peers: SegmentPeer[] = state.nodes.flatMap((node) => {
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
    ports: Object.entries(state.ports).map(([interfaceId, port]) => {
      const { mac, ipv4, hostname, node } = port;
      return { interfaceId, mac, ipv4, hostname, node, floating: null };
    }),
    peers,
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

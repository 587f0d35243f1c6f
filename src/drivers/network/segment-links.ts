// The devices of a segment on the host: bridge, VTEP, taps, and the router's two veths.
//
// B1  Nothing is learnt and no unknown unicast is flooded: every address on a segment is known to the network
//     actor, so a guest sees only what is meant for it, and no guest can draw another's traffic.
// B2  The bridge has no address, IPv6 included: the host is not reachable through it.
// B3  Broadcast and multicast reach all peers by replication at the sender (zero FDB entries), except what the
//     bridge's rules keep on the machine (DHCP, the gateway's own).
import type { Link } from './listing.ts';
import { planLink, planNoLink, type LinkWanted } from './link.ts';
import { bridgeMac, egressMac, INSIDE, OUTSIDE } from './names.ts';
import type { Repair } from './repair.ts';
import type { SegmentWanted, TapWanted } from './segment-wanted.ts';

const GUARDED_PORT = { learning: false, flood: false };

type Links = ReadonlyMap<string, Link>;

/**
 * A veth is right only with both ends in place. An end without the other (its namespace was made anew, or somebody moved
 * it) has to go before anything else is planned; the pair is made again in the next pass.
 */
export function planHalfVeths(wanted: SegmentWanted, host: Links, router: Links): Repair[] {
  const { names } = wanted;
  const pairs = [
    [host.get(names.gatewayPort), router.get(INSIDE)],
    [host.get(names.egressPort), router.get(OUTSIDE)],
  ] as const;
  return pairs.flatMap(([here, there]) => {
    if (here !== undefined && there !== undefined) return [];
    return [...planNoLink(here, null), ...planNoLink(there, names.namespace)];
  });
}

/** Links on the host, in the order in which they must be made. */
export function planHostLinks(wanted: SegmentWanted, seen: Links): Repair[] {
  const { names } = wanted;
  const vtep = wanted.machine.underlay.address;
  return [
    ...planLink(bridge(wanted), seen.get(names.bridge), null),
    ...(vtep === null
      ? planNoLink(seen.get(names.vtep), null)
      : planLink(vxlan(wanted, vtep), seen.get(names.vtep), null)),
    ...planLink(gatewayPort(wanted), seen.get(names.gatewayPort), null),
    ...(wanted.wayOut === null
      ? planNoLink(seen.get(names.egressPort), null)
      : planLink(egressPort(wanted), seen.get(names.egressPort), null)),
    ...wanted.taps.flatMap((tap) => planLink(tapLink(wanted, tap), seen.get(tap.name), null)),
  ];
}

function bridge(wanted: SegmentWanted): LinkWanted {
  const name = wanted.names.bridge;
  const mac = bridgeMac(wanted.machine.hostTag, wanted.spec.vni);
  return {
    name,
    kind: 'bridge',
    create: `link add name ${name} address ${mac} type bridge`,
    mac,
    mtu: wanted.mtu,
    alias: aliasOf(wanted, wanted.owner),
    settings: { stp_state: 0, forward_delay: 0, mcast_snooping: 0 },
  };
}

function vxlan(wanted: SegmentWanted, local: string): LinkWanted {
  const name = wanted.names.vtep;
  const { vni } = wanted.spec;
  const { port } = wanted.machine.underlay;
  return {
    name,
    kind: 'vxlan',
    create: `link add name ${name} type vxlan id ${vni} local ${local} dstport ${port} nolearning`,
    mtu: wanted.mtu,
    master: wanted.names.bridge,
    alias: aliasOf(wanted, wanted.owner),
    fixed: { id: vni, local, port, learning: false },
    portSettings: { ...GUARDED_PORT, neigh_suppress: true },
  };
}

function gatewayPort(wanted: SegmentWanted): LinkWanted {
  const { gatewayPort: name, bridge: master } = wanted.names;
  const { gatewayMac } = wanted.spec;
  const create = vethLine(wanted, name, INSIDE, gatewayMac);
  return { ...vethBase(wanted, name, create), master, portSettings: GUARDED_PORT };
}

function egressPort(wanted: SegmentWanted): LinkWanted {
  const { egressPort: name } = wanted.names;
  const mac = egressMac(wanted.machine.hostTag, wanted.spec.vni);
  const create = vethLine(wanted, name, OUTSIDE, mac);
  return { ...vethBase(wanted, name, create), master: wanted.shared.egressBridge };
}

function vethBase(wanted: SegmentWanted, name: string, create: string) {
  const alias = aliasOf(wanted, wanted.owner);
  return { name, kind: 'veth', create, mtu: wanted.mtu, alias } as const;
}

function vethLine(wanted: SegmentWanted, name: string, inner: string, mac: string): string {
  const peer = `peer name ${inner} address ${mac} mtu ${wanted.mtu} netns ${wanted.names.namespace}`;
  return `link add name ${name} mtu ${wanted.mtu} type veth ${peer}`;
}

/**
 * For QEMU to open: persistent, one queue. Whether frames carry a virtio header is the opener's
 * choice and changes with it, so it is not compared.
 */
function tapLink(wanted: SegmentWanted, tap: TapWanted): LinkWanted {
  return {
    name: tap.name,
    kind: 'tun',
    create: `tuntap add dev ${tap.name} mode tap vnet_hdr`,
    mtu: wanted.mtu,
    master: wanted.names.bridge,
    alias: aliasOf(wanted, tap.owner),
    fixed: { type: 'tap', multi_queue: false, persist: true },
    portSettings: GUARDED_PORT,
  };
}

function aliasOf(wanted: SegmentWanted, owner: string): string {
  return `${owner} trace=${wanted.trace}`;
}

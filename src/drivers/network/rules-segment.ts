// The nft rules of one segment: around its bridge on the host, and in its router's namespace.
//
// P1  A port is only its own MAC, and takes no IPv4 address that the network gave to another port or to the router. An
//     address the network gave to nobody is allowed: routed addresses and nested guests need it.
// P2  Nothing on a segment reaches the host through its bridge; the way out is the router.
// P3  The gateway is on every machine, so its frames, and DHCP, never cross the underlay.
// P4  Nobody outside opens a connection into a network but to a floating or a routed address.
import type { TableName, TableWanted } from './nft.ts';
import { INSIDE, OUTSIDE } from './names.ts';
import type { SegmentWanted, WayOut } from './segment-wanted.ts';

export function bridgeTableName(wanted: Pick<SegmentWanted, 'names'>): TableName {
  return { family: 'bridge', name: wanted.names.bridgeTable };
}

export function routerTableName(wanted: Pick<SegmentWanted, 'shared'>): TableName {
  return { family: 'ip', name: wanted.shared.table };
}

/**
 * Guards the bridge's ports. One table per network, so that a change is atomic and touches no other network; the
 * price is one look-up per packet and network on the machine.
 */
export function bridgeTable(wanted: SegmentWanted): TableWanted {
  const { names, spec, taps } = wanted;
  const holders = spec.ports.flatMap((p): [string, string][] =>
    p.ipv4 === null ? [] : [[p.ipv4, p.mac]],
  );
  holders.push([spec.gateway, spec.gatewayMac]);
  const vtep = `"${names.vtep}"`;
  const tapNames = taps.map((tap) => `"${tap.name}"`);
  const ports = [vtep, `"${names.gatewayPort}"`, ...tapNames];
  const entries = [`${vtep} : jump peer`, ...tapNames.map((name) => `${name} : jump guest`)];
  const body = `
  set identities {
    type ifname . ether_addr
    ${elements(taps.map((tap) => `"${tap.name}" . ${tap.mac}`))}
  }
  set addresses {
    type ipv4_addr
    ${elements(holders.map(([address]) => address))}
  }
  set holders {
    type ipv4_addr . ether_addr
    ${elements(holders.map(([address, mac]) => `${address} . ${mac}`))}
  }
  chain host {
    type filter hook input priority -200; policy accept;
    iifname { ${ports.join(', ')} } drop
  }
  chain arrivals {
    type filter hook prerouting priority -300; policy accept;
    iifname vmap { ${entries.join(', ')} }
  }
  chain guest {
    iifname . ether saddr != @identities drop
    arp saddr ip @addresses arp saddr ip . arp saddr ether != @holders drop
    ip saddr @addresses ip saddr . ether saddr != @holders drop
    ether type ip udp sport 67 drop
    ether type ip6 udp sport 547 drop
    icmpv6 type nd-router-advert drop
  }
  chain peer {
    ether saddr ${spec.gatewayMac} drop
    ether type ip udp dport { 67, 68 } drop
  }
  chain departures {
    type filter hook forward priority -200; policy accept;
    oifname ${vtep} ether saddr ${spec.gatewayMac} drop
    oifname ${vtep} ether type ip udp dport { 67, 68 } drop
  }`;
  return { ...bridgeTableName(wanted), body, comment: commentOf(wanted) };
}

/** What the router lets through, and what it translates. */
export function routerTable(wanted: SegmentWanted): TableWanted {
  const { spec, wayOut } = wanted;
  const services = [
    spec.dhcp ? 'udp dport 67' : '',
    spec.dns ? 'meta l4proto { tcp, udp } th dport 53' : '',
  ];
  const accepted = services.filter((match) => match !== '');
  const body = `
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    icmp type echo-request accept
    ${accepted.map((match) => `iifname "${INSIDE}" ${match} accept`).join('\n    ')}
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    tcp flags syn tcp option maxseg size set rt mtu${routedRules(wayOut?.routed ?? [])}
    ct state established,related accept
    ct state invalid drop
    ct status dnat oifname "${INSIDE}" accept
    ${spec.egressAddress === null ? '' : `iifname "${INSIDE}" oifname "${OUTSIDE}" ip saddr ${spec.netblock} accept`}
  }${wayOut === null ? '' : translations(wanted, wayOut)}`;
  return { ...routerTableName(wanted), body, comment: commentOf(wanted) };
}

/**
 * Before connections are looked at: a neighbour's answer from a routed address need not come through the router, which
 * then sees half of the connection.
 */
function routedRules(routed: readonly string[]): string {
  if (routed.length === 0) return '';
  const addresses = `{ ${routed.join(', ')} }`;
  return `
    oifname "${INSIDE}" ip daddr ${addresses} accept
    iifname "${INSIDE}" oifname "${OUTSIDE}" ip saddr ${addresses} accept`;
}

/** A guest that reaches its neighbour by its floating address is translated too, or the reply would bypass us. */
function translations(wanted: SegmentWanted, wayOut: WayOut): string {
  const { spec } = wanted;
  const external = `oifname "${OUTSIDE}" ip saddr ${spec.netblock}`;
  return `
  map floating {
    type ipv4_addr : ipv4_addr
    ${elements(wayOut.floating.map(([from, to]) => `${from} : ${to}`))}
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    dnat to ip daddr map @floating
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ${wayOut.egress === null ? '' : `${external} snat to ${wayOut.egress}`}
    oifname "${INSIDE}" ip saddr ${spec.netblock} ct status dnat snat to ${spec.gateway}
  }`;
}

function commentOf(wanted: SegmentWanted): string {
  return `${wanted.owner} trace=${wanted.trace}`;
}

/** nft refuses an empty list. */
function elements(list: readonly string[]): string {
  return list.length === 0 ? '' : `elements = { ${list.join(', ')} }`;
}

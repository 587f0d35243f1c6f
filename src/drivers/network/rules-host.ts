// The nft rules that all segments of an installation share, on the host.
//
// S1  What is bridged on a segment is not tracked on the host. With net.bridge.bridge-nf-call-iptables = 1 (the default of a kernel
//     with br_netfilter, and what Docker and Kubernetes set) bridged packets pass the host's ip hooks, where two networks
//     with the same addresses would share conntrack entries, and other programs' NAT could touch them.
// S2  From the egress bridge the host itself answers pings, and DNS where it is the resolver; nothing else.
// S3  Only the floating block's addresses come from the egress bridge; whatever leaves the machine is masqueraded, as nobody
//     outside need have a route to the floating block.
// S4  A guest must not speak VXLAN: masqueraded, it would look like this machine's VTEP to the others.
import type { TableWanted } from './nft.ts';
import { printable } from './check.ts';
import { installationNames } from './names.ts';

export interface HostRules {
  readonly hostTag: string;
  readonly vxlanPort: number;
  /** Null while no segment has a way out. */
  readonly floatingBlock: string | null;
  /** Resolvers that routers forward to; matters where one is an address of this host. */
  readonly resolvers: readonly string[];
  readonly trace: string;
}

export function hostTable(rules: HostRules): TableWanted {
  const { egressBridge, table, bridgePrefix } = installationNames(rules.hostTag);
  const egress = `"${egressBridge}"`;
  const body = `
  chain bridged {
    type filter hook prerouting priority raw; policy accept;
    iifname "${bridgePrefix}*" notrack
  }${rules.floatingBlock === null ? '' : egressChains(egress, rules.floatingBlock, rules)}`;
  const comment = `installation/${rules.hostTag} trace=${printable(rules.trace)}`;
  return { family: 'ip', name: table, body, comment };
}

function egressChains(egress: string, block: string, rules: HostRules): string {
  const resolvers = rules.resolvers.join(', ');
  return `
  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${egress} jump from_routers
  }
  chain from_routers {
    ct state established,related accept
    icmp type echo-request accept
    ip daddr { ${resolvers} } meta l4proto { tcp, udp } th dport 53 accept
    drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname ${egress} ip saddr != ${block} drop
    iifname ${egress} udp dport ${rules.vxlanPort} drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${block} oifname != ${egress} masquerade
  }`;
}

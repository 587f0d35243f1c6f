// A segment on this machine as everything below needs it: the checked spec, what this machine is, and the taps recorded.
import { segmentMtu } from '../../../actors/network/mtu.ts';
import { addressAt, parseNetblock } from '../../../actors/network/netblock.ts';
import type { SegmentPort, SegmentSpec } from '../../../actors/network/ports.ts';
import { printable } from './check.ts';
import { installationNames, segmentNames } from './names.ts';
import type { InstallationNames, SegmentNames } from './names.ts';

/** What one machine of an installation is like; the same for all its segments. */
export interface Machine {
  /** This node's name, as in the ports of a spec. */
  readonly node: string;
  /** Four hex digits in every name that this installation makes on the host. */
  readonly hostTag: string;
  readonly underlay: Underlay;
  /** Directory for dnsmasq's files; every directory above it must be open (o+x) to dnsmasq's user. */
  readonly runDir: string;
}

/** The network between the machines. */
export interface Underlay {
  /** MTU of the link between the machines. */
  readonly mtu: number;
  /** This machine's VTEP address; null: there are no other machines. */
  readonly address: string | null;
  /** UDP port of VXLAN. */
  readonly port: number;
}

export interface TapWanted {
  readonly name: string;
  readonly interfaceId: string;
  readonly mac: string;
  readonly owner: string;
}

/** The router's way out; null when the segment has no NAT, no routed address, and no floating one on this machine. */
export interface WayOut {
  /** The host's address in the floating block: next hop of every router. */
  readonly router: string;
  /** Source address of NAT. */
  readonly egress: string | null;
  /** External to inner address, of this machine's ports. */
  readonly floating: readonly (readonly [string, string])[];
  /** External addresses that are inner ones as well. */
  readonly routed: readonly string[];
}

export interface SegmentWanted {
  readonly spec: SegmentSpec;
  readonly machine: Machine;
  readonly names: SegmentNames;
  readonly shared: InstallationNames;
  readonly mtu: number;
  readonly taps: readonly TapWanted[];
  readonly wayOut: WayOut | null;
  /** For aliases and comments. */
  readonly owner: string;
  readonly trace: string;
}

export function segmentWanted(
  spec: SegmentSpec,
  machine: Machine,
  taps: readonly TapWanted[],
  by: { readonly owner: string; readonly trace: string },
): SegmentWanted {
  return {
    spec,
    machine,
    names: segmentNames(machine.hostTag, spec.vni),
    shared: installationNames(machine.hostTag),
    mtu: segmentMtu(machine.underlay.mtu),
    taps,
    wayOut: wayOutOf(spec, machine.node),
    owner: printable(by.owner),
    trace: printable(by.trace),
  };
}

export function wayOutOf(spec: SegmentSpec, node: string): WayOut | null {
  const floating = spec.ports.flatMap((port): [string, string][] =>
    port.node === node && port.floating !== null && port.ipv4 !== null
      ? [[port.floating, port.ipv4]]
      : [],
  );
  const { egressAddress: egress, routed } = spec;
  if (egress === null && floating.length === 0 && routed.length === 0) return null;
  return { router: floatingRouter(spec), egress, floating, routed };
}

/** Index 1 of the floating block: the address that each host has on its egress bridge. */
export function floatingRouter(spec: Pick<SegmentSpec, 'floatingBlock'>): string {
  return addressAt(parseNetblock(spec.floatingBlock), 1);
}

/** The router's own addresses on its way out. */
export function outsideAddresses(wayOut: WayOut): string[] {
  const egress = wayOut.egress === null ? [] : [wayOut.egress];
  return [...egress, ...wayOut.floating.map(([external]) => external)];
}

/** Ports on other machines, with the VTEP behind which they are. A port whose machine is no peer yet is left out. */
export function remotePorts(wanted: SegmentWanted): { port: SegmentPort; vtep: string }[] {
  const vteps = new Map(peersOf(wanted).map((peer) => [peer.node, peer.vtep]));
  return wanted.spec.ports.flatMap((port) => {
    const vtep = vteps.get(port.node);
    return vtep === undefined ? [] : [{ port, vtep }];
  });
}

export function peersOf(wanted: SegmentWanted) {
  return wanted.spec.peers.filter((peer) => peer.node !== wanted.machine.node);
}

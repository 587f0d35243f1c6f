// What a network needs of the machine it is on; src/drivers/network implements it, tests/support simulates it.
//
// D1  ensureSegment() converges to the whole wanted segment, whatever is there; repeated, it changes nothing.
// D2  Everything made is in the machine's ledger first, and is named or tagged so that the kernel's own
//     listing tells whose it is.
// D3  There is no network node: gateway address and MAC are the same on every machine that holds the segment.
import type { Address } from '../kernel/kind.ts';

/** Who wants something, and how fresh that wish is; the executor refuses an older one. */
export interface WantedBy {
  readonly owner: Address;
  readonly epoch: number;
  readonly generation: number;
  readonly trace: string;
  readonly signal: AbortSignal;
}

/** One interface on the segment, on whichever machine. */
export interface SegmentPort {
  readonly interfaceId: string;
  readonly mac: string;
  /** Null: the interface has no address. */
  readonly ipv4: string | null;
  /** The instance's name: host name in DHCP and DNS. */
  readonly hostname: string;
  /** Name of the node it is on. */
  readonly node: string;
  /** External address translated to ipv4, or null. */
  readonly floating: string | null;
}

export interface SegmentPeer {
  readonly node: string;
  /** VTEP address on the underlay. */
  readonly vtep: string;
}

/** One network's presence on one machine, whole. */
export interface SegmentSpec {
  readonly networkId: string;
  readonly vni: number;
  /** CIDR, no host bits. */
  readonly netblock: string;
  /** Index 1 of the netblock: router, DHCP and DNS server. */
  readonly gateway: string;
  readonly gatewayMac: string;
  /** DNS domain of the network: `<namespace>.<zone>`. */
  readonly domain: string;
  readonly dhcp: boolean;
  readonly dns: boolean;
  /** Where DNS queries are forwarded, and what guests get when the network has NAT but no DNS. */
  readonly upstreamDns: string;
  /** Source address of outgoing traffic (from the floating pool); null: no way out. */
  readonly egressAddress: string | null;
  /** The floating pool's block (CIDR): egress and floating addresses lie in it. */
  readonly floatingBlock: string;
  readonly ports: readonly SegmentPort[];
  /** Other machines that hold the segment. */
  readonly peers: readonly SegmentPeer[];
  /** Addresses of the floating block whose packets go into the network untranslated; some guest answers for each. */
  readonly routed: readonly string[];
  /** What DNS answers besides the ports' names. */
  readonly dnsEntries: readonly DNSEntry[];
}

export interface DNSEntry {
  /** A host name, or a dotted domain name. */
  readonly name: string;
  readonly address: string;
}

/** What a ping printed. */
export interface PingOutput {
  readonly stdout: string;
  readonly stderr: string;
}

export interface SegmentReport {
  readonly bridge: string;
  /** What guests on it must use, bytes. */
  readonly mtu: number;
}

export interface TapSpec {
  readonly interfaceId: string;
  readonly networkId: string;
  readonly mac: string;
}

export interface TapReport {
  readonly tap: string;
  readonly mtu: number;
}

/** A difference between what is wanted, what the ledger says and what the kernel shows. */
export interface Drift {
  readonly owner: string;
  readonly resource: string;
  readonly name: string;
  readonly problem: 'missing' | 'unknown' | 'different';
  readonly reason: string;
  readonly repaired: boolean;
}

export interface Dataplane {
  /** Errors: `host/tool-failed`, `host/tool-missing`, `host/timeout`. */
  ensureSegment(spec: SegmentSpec, by: WantedBy): Promise<SegmentReport>;
  /** Quiet when it is not there. Taps still on it are refused with `network/in-use`. */
  removeSegment(networkId: string, by: WantedBy): Promise<void>;
  /** A tap on the segment's bridge for QEMU to open. `hypervisor/segment-missing` while the segment is not there. */
  ensureTap(spec: TapSpec, by: WantedBy): Promise<TapReport>;
  /** Removes the owner's taps, but for those of the interfaces to keep. Quiet when there is none. */
  removeTaps(keepInterfaceIds: readonly string[], by: WantedBy): Promise<void>;
  /** Ten echo requests from the segment's router, answered or not: some 10 s. `hypervisor/segment-missing` without a segment. */
  ping(networkId: string, address: string, trace: string): Promise<PingOutput>;
  /**
   * Compares kernel, ledger and the segments and taps last wanted; repairs what is wanted, and removes what the
   * ledger owns but `isWanted` says nobody wants. What is not in the ledger is reported, never touched.
   */
  audit(isWanted: (owner: string) => boolean | undefined, trace: string): Promise<readonly Drift[]>;
}

// What Troupe's things are called on a host. Every name carries the installation's tag (four hex digits),
// so that two installations on one machine, and an operator's own devices, are told apart in any listing.
import { parseVni } from './check.ts';

/** Everything that one segment makes in the host's own listings. */
export interface SegmentNames {
  readonly bridge: string;
  readonly vtep: string;
  /** Bridge side of the veth whose other end is the gateway. */
  readonly gatewayPort: string;
  /** Host side of the veth that is the router's way out. */
  readonly egressPort: string;
  readonly namespace: string;
  /** nft table (family bridge) that guards the segment's ports. */
  readonly bridgeTable: string;
}

/** Made once per installation, shared by its segments. */
export interface InstallationNames {
  readonly egressBridge: string;
  /** nft table (family ip), in the host and in every router namespace. */
  readonly table: string;
  /** Prefix of the network bridges, for rules that match all of them. */
  readonly bridgePrefix: string;
}

/** Names of devices inside a router namespace: a namespace is one network's, so they can be plain. */
export const INSIDE = 'inside';
export const OUTSIDE = 'outside';

export function segmentNames(tag: string, vni: number): SegmentNames {
  const key = `${tag}-${hexOf(vni)}`;
  return {
    bridge: `br-${key}`,
    vtep: `vx-${key}`,
    gatewayPort: `gw-${key}`,
    egressPort: `eg-${key}`,
    namespace: `troupe-${key}`,
    bridgeTable: `troupe_${tag}_${hexOf(vni)}`,
  };
}

export function installationNames(tag: string): InstallationNames {
  return { egressBridge: `egress-${tag}`, table: `troupe_${tag}`, bridgePrefix: `br-${tag}-` };
}

/**
 * Name of an interface's tap: eight digits of its UUID, which is what fits into 15 characters. `attempt`
 * picks other digits when another interface already has that name.
 */
export function tapName(tag: string, interfaceId: string, attempt: number): string {
  const digits = interfaceId.replaceAll('-', '');
  return `tp${tag}-${digits.slice(attempt, attempt + 8)}`;
}

/** Whether a device, namespace or nft table of this name was made under the tag. */
export function isOurs(tag: string, name: string): boolean {
  const hex = '[0-9a-f]';
  return new RegExp(
    `^((br|vx|gw|eg|troupe)-${tag}-${hex}{6}|egress-${tag}|tp${tag}-${hex}{8}|troupe_${tag}(_${hex}{6})?)$`,
  ).test(name);
}

/** Fixed, so that a bridge does not change its address with its ports and neighbours stay right. */
export function bridgeMac(tag: string, vni: number): string {
  return macOf('06', tag, vni);
}

/** Of the router's end of its way out: the host knows it without asking. */
export function egressMac(tag: string, vni: number): string {
  return macOf('02', tag, vni);
}

function macOf(first: string, tag: string, vni: number): string {
  return (first + tag + hexOf(vni)).replace(/..(?=.)/g, '$&:');
}

function hexOf(vni: number): string {
  return parseVni(vni).toString(16).padStart(6, '0');
}

// What the driver accepts. Nothing a tenant chose reaches ip, nft or dnsmasq before it has passed here.
//
// V1  Accepted values consist of characters that none of the tools gives a meaning; there is no escaping.
// V2  Traces and owners are for people: what does not fit in them is replaced, never refused.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { isDNSName } from '../../../actors/network/dns-entries.ts';
import { contains, gatewayOf, isAddress, parseNetblock } from '../../../actors/network/netblock.ts';
import type { SegmentPort, SegmentSpec, TapSpec } from '../../../actors/network/ports.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const HOSTNAME = new RegExp(`^${LABEL}$`);
/** With underscores, which namespaces have and DNS can carry. */
const ZONE_LABEL = '[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const DOMAIN = new RegExp(`^${ZONE_LABEL}(\\.${ZONE_LABEL})*$`);
const TAG = /^[0-9a-f]{4}$/;
const LARGEST_VNI = 0xff_ff_ff;

/** Refuses (`actor/bad-message`, `network/bad-netblock`) whatever is not safe and consistent; MACs come out in lower case. */
export function checkSegment(spec: SegmentSpec): SegmentSpec {
  const what = `segment of network ${printable(spec.networkId)}`;
  const need = (holds: boolean, field: string, value: unknown) => {
    if (!holds) throw bad(what, field, value);
  };
  need(UUID.test(spec.networkId), 'networkId', spec.networkId);
  need(parseVni(spec.vni) > 0, 'vni', spec.vni);
  const block = parseNetblock(spec.netblock);
  const outside = parseNetblock(spec.floatingBlock);
  need(spec.gateway === gatewayOf(block), 'gateway', spec.gateway);
  need(isUnicastMac(spec.gatewayMac), 'gatewayMac', spec.gatewayMac);
  need(DOMAIN.test(spec.domain) && spec.domain.length <= 253, 'domain', spec.domain);
  need(isAddress(spec.upstreamDns), 'upstreamDns', spec.upstreamDns);
  need(!spec.upstreamDns.startsWith('127.'), 'upstreamDns (loopback)', spec.upstreamDns);
  need(isNullOr(spec.egressAddress, isAddress), 'egressAddress', spec.egressAddress);
  for (const peer of spec.peers) need(isAddress(peer.vtep), 'peer.vtep', peer.vtep);
  const ports = spec.ports.map((port) => checkPort(port, what));
  for (const port of ports) {
    need(
      isNullOr(port.ipv4, (ip) => contains(block, ip)),
      'port.ipv4',
      port.ipv4,
    );
  }
  for (const address of spec.routed) need(contains(outside, address), 'routed', address);
  need(new Set(spec.routed).size === spec.routed.length, 'routed (twice)', spec.routed.join(' '));
  for (const { name, address } of spec.dnsEntries) {
    need(isDNSName(name), 'dnsEntries.name', name);
    need(isAddress(address), 'dnsEntries.address', address);
  }
  const held = [spec.gateway, ...ports.flatMap((port) => port.ipv4 ?? [])];
  need(new Set(held).size === held.length, 'ports (an address twice)', held.join(' '));
  return { ...spec, gatewayMac: spec.gatewayMac.toLowerCase(), ports };
}

export function checkTap(spec: TapSpec): TapSpec {
  const what = `tap of interface ${printable(spec.interfaceId)}`;
  if (!UUID.test(spec.interfaceId)) throw bad(what, 'interfaceId', spec.interfaceId);
  if (!UUID.test(spec.networkId)) throw bad(what, 'networkId', spec.networkId);
  if (!isUnicastMac(spec.mac)) throw bad(what, 'mac', spec.mac);
  return { ...spec, mac: spec.mac.toLowerCase() };
}

export function checkId(id: string): string {
  if (!UUID.test(id)) throw bad('network driver', 'id', id);
  return id;
}

export function checkTag(tag: string): string {
  if (!TAG.test(tag)) throw bad('network driver', 'hostTag', tag);
  return tag;
}

export function parseVni(vni: number): number {
  if (Number.isInteger(vni) && vni >= 0 && vni <= LARGEST_VNI) return vni;
  throw bad('network driver', 'vni', vni);
}

/** An owner or trace as it may stand in an alias, a comment or a file. */
export function printable(text: string): string {
  return text.replace(/[^A-Za-z0-9._/-]/g, '_').slice(0, 80);
}

function checkPort(port: SegmentPort, what: string): SegmentPort {
  if (!UUID.test(port.interfaceId)) throw bad(what, 'port.interfaceId', port.interfaceId);
  if (!isUnicastMac(port.mac)) throw bad(what, 'port.mac', port.mac);
  if (!HOSTNAME.test(port.hostname)) throw bad(what, 'port.hostname', port.hostname);
  if (!isNullOr(port.floating, isAddress)) throw bad(what, 'port.floating', port.floating);
  return { ...port, mac: port.mac.toLowerCase() };
}

function isUnicastMac(text: string): boolean {
  const mac = text.toLowerCase();
  return MAC.test(mac) && Number.parseInt(mac.slice(0, 2), 16) % 2 === 0 && mac !== NO_MAC;
}

const NO_MAC = '00:00:00:00:00:00';

function isNullOr(text: string | null, holds: (text: string) => boolean): boolean {
  return text === null || holds(text);
}

function bad(what: string, field: string, value: unknown): TroupeError {
  const shown = JSON.stringify(value)?.slice(0, 80) ?? 'nothing';
  return new TroupeError(
    'actor/bad-message',
    `${what}: ${field} is ${shown}, which the network driver does not accept; correct the request that set it`,
    { field },
  );
}

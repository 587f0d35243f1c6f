// A segment's router on this machine: a namespace that holds the gateway address, the way out, and dnsmasq.
//
// G1  One namespace per network, so that netblocks may overlap; names inside can be plain.
// G2  Gateway address and MAC are the same on every machine; the bridge's rules keep both on the machine.
// G3  The way out has no subnet: one next hop, the host's egress bridge, and the router's own
//     addresses as /32. Networks reach each other only through the host, where rules apply.
// G4  A routed address is a /32 towards the guests: the router asks them for it by ARP, and takes whoever answers.
import { parseNetblock } from '../../../actors/network/netblock.ts';
import { shapeLines, type ShapeWanted } from './link.ts';
import type { DeviceSettings, Link, Route } from './listing.ts';
import { egressMac, INSIDE, OUTSIDE } from './names.ts';
import type { Repair } from './repair.ts';
import { outsideAddresses, type SegmentWanted, type WayOut } from './segment-wanted.ts';

const ALL = 'all';

export interface RouterSeen {
  /** 'broken': a file of that name that is no namespace, left by a crash between its two steps. */
  readonly namespace: 'absent' | 'broken' | 'present';
  readonly links: ReadonlyMap<string, Link>;
  readonly routes: readonly Route[];
  readonly settings: readonly DeviceSettings[];
}

export const NO_ROUTER: Omit<RouterSeen, 'namespace'> = {
  links: new Map(),
  routes: [],
  settings: [],
};

export function planNamespace(wanted: SegmentWanted, seen: RouterSeen): Repair[] {
  if (seen.namespace === 'present') return [];
  const name = wanted.names.namespace;
  const repair = (command: 'add' | 'delete', problem: Repair['problem'], reason: string) => ({
    resource: 'namespace',
    name,
    problem,
    reason,
    step: { tool: 'namespace', command, namespace: name } as const,
  });
  const add = repair('add', 'missing', `namespace ${name} is missing`);
  if (seen.namespace === 'absent') return [add];
  return [repair('delete', 'different', `/run/netns/${name} is no namespace`), add];
}

/** What is wrong inside the namespace. Devices that are missing are made, on the host, before these lines run. */
export function planRouter(wanted: SegmentWanted, seen: RouterSeen): Repair[] {
  const { spec, wayOut, mtu } = wanted;
  const prefix = parseNetblock(spec.netblock).prefix;
  const inside = { name: INSIDE, kind: 'veth', mtu, mac: spec.gatewayMac } as const;
  const mac = egressMac(wanted.machine.hostTag, spec.vni);
  const outside = { name: OUTSIDE, kind: 'veth', mtu, mac } as const;
  const device = (shape: ShapeWanted, addresses: readonly string[]) => {
    const link = seen.links.get(shape.name);
    return [...shapeLines(shape, link), ...addressLines(shape.name, link, addresses)];
  };
  const lines = seen.links.get('lo')?.isUp === true ? [] : ['link set dev lo up'];
  lines.push(...device(inside, [`${spec.gateway}/${prefix}`]));
  lines.push(...insideRouteLines(wayOut?.routed ?? [], seen.routes));
  if (wayOut !== null) {
    const addresses = outsideAddresses(wayOut).map((address) => `${address}/32`);
    lines.push(...device(outside, addresses));
    // With its last address a device loses all its routes.
    const isEmptied = addresses.length === 0 && seen.links.get(OUTSIDE)?.addresses.length !== 0;
    lines.push(...routeLines(wayOut, isEmptied ? [] : seen.routes));
  }
  return [...asRepair(wanted, lines), ...planSettings(wanted, seen)];
}

function addressLines(name: string, seen: Link | undefined, wanted: readonly string[]): string[] {
  const there = seen?.addresses ?? [];
  const drop = there
    .filter((address) => !wanted.includes(address))
    .map((address) => `addr del ${address} dev ${name}`);
  const add = wanted
    .filter((address) => !there.includes(address))
    .map((address) => `addr add ${address} dev ${name}`);
  return [...drop, ...add];
}

/** Routed addresses; the netblock's own route comes with the gateway's address. */
function insideRouteLines(routed: readonly string[], seen: readonly Route[]): string[] {
  const there = seen.filter(({ device, to }) => device === INSIDE && !to.includes('/'));
  const drop = there
    .filter(({ to }) => !routed.includes(to))
    .map(({ to }) => `route del ${to} dev ${INSIDE}`);
  const add = routed
    .filter((address) => !there.some(({ to }) => to === address))
    .map((address) => `route replace ${address} dev ${INSIDE} scope link`);
  return [...drop, ...add];
}

function routeLines(wayOut: WayOut, seen: readonly Route[]): string[] {
  const there = seen.filter((route) => route.device === OUTSIDE);
  const hop = { to: wayOut.router, device: OUTSIDE, via: '', source: '' };
  const out = { to: 'default', device: OUTSIDE, via: wayOut.router, source: wayOut.egress ?? '' };
  const isThere = (wanted: Route) =>
    there.some((r) => r.to === wanted.to && r.via === wanted.via && r.source === wanted.source);
  const source = wayOut.egress === null ? '' : ` src ${wayOut.egress}`;
  const lines = there
    .filter((route) => route.to !== hop.to && route.to !== out.to)
    .map((route) => `route del ${route.to} dev ${OUTSIDE}`);
  if (!isThere(hop)) lines.push(`route replace ${hop.to} dev ${OUTSIDE} scope link`);
  if (!isThere(out)) {
    lines.push(`route replace default via ${wayOut.router} dev ${OUTSIDE}${source}`);
  }
  return lines;
}

/**
 * Forwarding on. The reverse path check off: a new namespace inherits the host's settings, and a strict check would
 * drop what reaches a floating address by another way than it leaves.
 */
function planSettings(wanted: SegmentWanted, seen: RouterSeen): Repair[] {
  const { namespace } = wanted.names;
  const repair = (names: string[], value: string, reason: string): Repair => ({
    resource: 'setting',
    name: namespace,
    problem: 'different',
    reason,
    step: { tool: 'setting', namespace, names, value },
  });
  const repairs: Repair[] = [];
  if (!seen.settings.some((row) => row.device === ALL && row.forwards)) {
    repairs.push(repair(['net.ipv4.ip_forward'], '1', `${namespace} does not forward`));
  }
  const checking = [ALL, 'default', INSIDE, ...(wanted.wayOut === null ? [] : [OUTSIDE])].filter(
    (device) => seen.settings.find((row) => row.device === device)?.checksReversePath !== false,
  );
  if (checking.length > 0) {
    const names = checking.map((device) => `net.ipv4.conf.${device}.rp_filter`);
    repairs.push(repair(names, '0', `${namespace} checks the reverse path`));
  }
  return repairs;
}

function asRepair(wanted: SegmentWanted, lines: string[]): Repair[] {
  if (lines.length === 0) return [];
  const { namespace } = wanted.names;
  const reason = `the router in ${namespace} needs: ${lines.slice(0, 4).join('; ')}`;
  const step = { tool: 'ip', namespace, lines } as const;
  return [{ resource: 'router', name: namespace, problem: 'different', reason, step }];
}

// Who is where on a segment: FDB entries of bridge and VTEP, and the neighbour entries from which the bridge answers ARP.
//
// A1  Everything is static and derived from the spec: remote MACs behind their VTEP, local ones behind their tap.
// A2  The bridge answers ARP for a remote address from its neighbour entries (neigh_suppress), and does not send
//     requests for known addresses across the underlay.
import type { FdbEntry, Neighbour } from './listing.ts';
import type { Repair } from './repair.ts';
import { egressMac } from './names.ts';
import { outsideAddresses, peersOf, remotePorts } from './segment-wanted.ts';
import type { SegmentWanted } from './segment-wanted.ts';

const ALL_PEERS = '00:00:00:00:00:00';

export interface AddressesSeen {
  readonly fdb: readonly FdbEntry[];
  /** Permanent neighbour entries of the host. */
  readonly neighbours: readonly Neighbour[];
}

export function planAddresses(wanted: SegmentWanted, seen: AddressesSeen): Repair[] {
  return [
    ...planBridgeFdb(wanted, seen),
    ...planVtepFdb(wanted, seen),
    ...planNeighbours(wanted, seen),
  ];
}

/** Which port of the bridge leads to a MAC. */
function planBridgeFdb(wanted: SegmentWanted, seen: AddressesSeen): Repair[] {
  const { names, spec } = wanted;
  const entries = new Map<string, string>([[spec.gatewayMac, names.gatewayPort]]);
  for (const { port } of remotePorts(wanted)) entries.set(port.mac, names.vtep);
  for (const tap of wanted.taps) entries.set(tap.mac, tap.name);
  const ports = new Set([names.gatewayPort, names.vtep, ...wanted.taps.map((tap) => tap.name)]);
  const there = seen.fdb.filter(
    (entry) => entry.state === 'static' && entry.vtep === '' && ports.has(entry.device),
  );
  const add = [...entries]
    .filter(([mac, device]) => !there.some((e) => e.mac === mac && e.device === device))
    .map(([mac, device]) => `fdb replace ${mac} dev ${device} master static`);
  const drop = there
    .filter((entry) => !entries.has(entry.mac))
    .map((entry) => `fdb del ${entry.mac} dev ${entry.device} master`);
  return fdbRepair(names.bridge, 'the FDB of', [...drop, ...add]);
}

/** Which VTEP leads to a remote MAC, and to whom broadcasts go. */
function planVtepFdb(wanted: SegmentWanted, seen: AddressesSeen): Repair[] {
  const { names, machine } = wanted;
  if (machine.underlay.address === null) return [];
  const entries = [
    ...peersOf(wanted).map((peer) => ({ mac: ALL_PEERS, vtep: peer.vtep })),
    ...remotePorts(wanted).map(({ port, vtep }) => ({ mac: port.mac, vtep })),
  ];
  const there = seen.fdb.filter((entry) => entry.device === names.vtep && entry.vtep !== '');
  const same = (a: { mac: string; vtep: string }) => (b: { mac: string; vtep: string }) =>
    a.mac === b.mac && a.vtep === b.vtep;
  const add = entries
    .filter((entry) => !there.some(same(entry)))
    .map(({ mac, vtep }) => {
      const verb = mac === ALL_PEERS ? 'append' : 'replace';
      return `fdb ${verb} ${mac} dev ${names.vtep} dst ${vtep} self permanent`;
    });
  const drop = there
    .filter((entry) => !entries.some(same(entry)))
    // A remote MAC has one VTEP: `replace` above has moved it, and a `del` would remove the new entry.
    .filter((entry) => entry.mac === ALL_PEERS || !entries.some((e) => e.mac === entry.mac))
    .map((entry) => `fdb del ${entry.mac} dev ${names.vtep} dst ${entry.vtep} self`);
  return fdbRepair(names.vtep, 'the FDB of', [...drop, ...add]);
}

/** What the bridge answers ARP with; and, on the egress bridge, where what the router takes in is. */
function planNeighbours(wanted: SegmentWanted, seen: AddressesSeen): Repair[] {
  const { names, shared, spec, wayOut, machine } = wanted;
  const onBridge = new Map([[spec.gateway, spec.gatewayMac]]);
  for (const port of spec.ports) if (port.ipv4 !== null) onBridge.set(port.ipv4, port.mac);
  const mac = egressMac(machine.hostTag, spec.vni);
  const outside = wayOut === null ? [] : [...outsideAddresses(wayOut), ...wayOut.routed];
  const onEgress = new Map(outside.map((address) => [address, mac]));
  return [
    ...neighbourLines(names.bridge, onBridge, seen.neighbours, () => true),
    ...neighbourLines(shared.egressBridge, onEgress, seen.neighbours, (entry) => entry.mac === mac),
  ];
}

/** `isMine` limits removal to entries of this segment where others have theirs on the same device. */
function neighbourLines(
  device: string,
  entries: ReadonlyMap<string, string>,
  seen: readonly Neighbour[],
  isMine: (entry: Neighbour) => boolean,
): Repair[] {
  const there = seen.filter((entry) => entry.device === device);
  const add = [...entries]
    .filter(([address, mac]) => !there.some((e) => e.address === address && e.mac === mac))
    .map(([address, mac]) => `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`);
  const drop = there
    .filter((entry) => isMine(entry) && !entries.has(entry.address))
    .map((entry) => `neigh del ${entry.address} dev ${device}`);
  const lines = [...drop, ...add];
  if (lines.length === 0) return [];
  const reason = `the neighbour entries of ${device} need: ${shortly(lines)}`;
  const step = { tool: 'ip', namespace: null, lines } as const;
  return [{ resource: 'neighbour', name: device, problem: 'different', reason, step }];
}

function fdbRepair(name: string, what: string, lines: string[]): Repair[] {
  if (lines.length === 0) return [];
  const reason = `${what} ${name} needs: ${shortly(lines)}`;
  return [{ resource: 'fdb', name, problem: 'different', reason, step: { tool: 'bridge', lines } }];
}

function shortly(lines: readonly string[]): string {
  const more = lines.length > 3 ? ` and ${lines.length - 3} more` : '';
  return lines.slice(0, 3).join('; ') + more;
}

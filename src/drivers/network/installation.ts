// What all segments of a machine share: the rules on the host, the egress bridge, and IPv4 forwarding.
//
// I1  It is there exactly while a recorded segment needs it: rules with the first segment, the bridge and forwarding with the
//     first that has a way out. The last to go takes them along, and forwarding is put back as it was found.
// I2  The floating block must not overlap a route the host already has: refused with a sentence, never fought over.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { overlaps, parseAddress, parseNetblock } from '../../../actors/network/netblock.ts';
import { segmentMtu } from '../../../actors/network/mtu.ts';
import type { Ledger } from '../ledger.ts';
import type { Errand, Host } from './host.ts';
import { planLink, planNoLink } from './link.ts';
import { deviceSettingsOf, parseBatch, routeOf, type Link } from './listing.ts';
import { bridgeMac, installationNames } from './names.ts';
import { observeTable, removeTable, textDigest } from './nft.ts';
import type { RecordedBy, Register } from './register.ts';
import { carryOut, type Finding, type Means, type Repair } from './repair.ts';
import { hostTable } from './rules-host.ts';
import { byName } from './segment-observe.ts';
import { planTable } from './segment.ts';
import { floatingRouter, wayOutOf, type Machine } from './segment-wanted.ts';

const FORWARDING = 'net.ipv4.ip_forward';

interface InstallationWanted {
  readonly machine: Machine;
  readonly hasSegments: boolean;
  readonly floatingBlock: string | null;
  readonly resolvers: readonly string[];
}

interface InstallationSeen {
  readonly egress: Link | undefined;
  readonly forwards: boolean;
  readonly table: string | undefined;
}

/** Makes the shared parts what the recorded segments need; returns what had to be repaired. */
export async function convergeInstallation(
  machine: Machine,
  floatingBlock: string,
  { register, host, errand }: Omit<Means, 'by'>,
): Promise<Finding[]> {
  const wanted = installationWanted(machine, floatingBlock, register);
  const { egressBridge, table } = installationNames(machine.hostTag);
  const by = installationBy(machine, errand);
  const seen = await observe(machine, host, errand);
  const repairs = planInstallation(wanted, seen, register, errand.trace);
  if (repairs.length > 0 && wanted.floatingBlock !== null && seen.egress === undefined) {
    await refuseOverlap(wanted.floatingBlock, egressBridge, host, errand);
  }
  if (wanted.hasSegments && register.table(table) === undefined) {
    register.putTable(table, { text: '', listing: '' }, by);
  }
  if (wanted.floatingBlock !== null) register.put('link', egressBridge, by);
  if (wanted.floatingBlock !== null && !seen.forwards) {
    register.put('setting', FORWARDING, by, { before: '0' });
  }
  await carryOut(repairs, host, errand, (made, _, listing) => {
    register.putTable(made.name, { text: textDigest(made.body), listing }, by);
  });
  if (wanted.floatingBlock === null) {
    register.ledger.forget('link', egressBridge);
    await restoreForwarding(register.ledger, host, errand);
  }
  if (!wanted.hasSegments) {
    if (seen.table !== undefined) await removeTable(host, { family: 'ip', name: table }, errand);
    register.ledger.forget('nft-table', table);
  }
  return repairs;
}

/** Owner of what is shared. */
export function installationBy(machine: Machine, errand: Errand): RecordedBy {
  const owner = `installation/${machine.hostTag}`;
  return { owner, epoch: 0, generation: 0, trace: errand.trace };
}

function installationWanted(
  machine: Machine,
  floatingBlock: string,
  register: Register,
): InstallationWanted {
  const segments = register.segments();
  const specs = segments.flatMap(({ spec }) => spec ?? []);
  // A segment that this version cannot read may need the way out: it is left alone.
  const needsWayOut =
    specs.length < segments.length || specs.some((spec) => wayOutOf(spec, machine.node) !== null);
  return {
    machine,
    hasSegments: segments.length > 0,
    floatingBlock: needsWayOut ? floatingBlock : null,
    resolvers: [...new Set(specs.map((spec) => spec.upstreamDns))].sort(),
  };
}

async function observe(machine: Machine, host: Host, errand: Errand): Promise<InstallationSeen> {
  const { egressBridge, table: name } = installationNames(machine.hostTag);
  const [listing, table] = await Promise.all([
    host.ip(null, ['link show', 'addr show', 'netconf show'], errand),
    observeTable(host, null, { family: 'ip', name }, errand),
  ]);
  const [links = [], addresses = [], settings = []] = parseBatch(listing);
  const all = deviceSettingsOf(settings).find((row) => row.device === 'all');
  return {
    egress: byName(links, addresses).get(egressBridge),
    forwards: all?.forwards === true,
    table,
  };
}

function planInstallation(
  { machine, hasSegments, floatingBlock, resolvers }: InstallationWanted,
  seen: InstallationSeen,
  register: Register,
  trace: string,
): Repair[] {
  const { hostTag, underlay } = machine;
  const rules = hostTable({ hostTag, vxlanPort: underlay.port, floatingBlock, resolvers, trace });
  return [
    ...(floatingBlock === null
      ? planNoLink(seen.egress, null)
      : planEgress(machine, floatingBlock, seen)),
    ...(hasSegments ? planTable(rules, null, seen.table, register.table(rules.name)) : []),
  ];
}

function planEgress(machine: Machine, floatingBlock: string, seen: InstallationSeen): Repair[] {
  const { hostTag, underlay } = machine;
  const name = installationNames(hostTag).egressBridge;
  const mac = bridgeMac(hostTag, 0);
  const bridge = {
    name,
    kind: 'bridge',
    create: `link add name ${name} address ${mac} type bridge`,
    mac,
    mtu: segmentMtu(underlay.mtu),
    alias: `installation/${hostTag}`,
    settings: { stp_state: 0, forward_delay: 0, mcast_snooping: 0 },
  } as const;
  const block = parseNetblock(floatingBlock);
  const address = `${floatingRouter({ floatingBlock })}/${block.prefix}`;
  const there = seen.egress?.addresses ?? [];
  const lines = there.filter((a) => a !== address).map((a) => `addr del ${a} dev ${name}`);
  if (!there.includes(address)) lines.push(`addr add ${address} dev ${name}`);
  const different = { name, problem: 'different' } as const;
  const repairs = planLink(bridge, seen.egress, null);
  if (lines.length > 0) {
    const reason = `${name} needs: ${lines.join('; ')}`;
    const step = { tool: 'ip', namespace: null, lines } as const;
    repairs.push({ ...different, resource: 'bridge', reason, step });
  }
  if (!seen.forwards) {
    const reason = 'the host does not forward IPv4';
    const step = { tool: 'setting', namespace: null, names: [FORWARDING], value: '1' } as const;
    repairs.push({ ...different, resource: 'setting', name: FORWARDING, reason, step });
  }
  return repairs;
}

/** Errors: `config/invalid` when a route of the host's own leads into the block. */
export async function refuseOverlap(
  floatingBlock: string,
  egressBridge: string,
  host: Host,
  errand: Errand,
): Promise<void> {
  const [rows = []] = parseBatch(await host.ip(null, ['route show'], errand));
  const block = parseNetblock(floatingBlock);
  for (const { to, device } of rows.map(routeOf)) {
    const [address = '', prefix = '32'] = to.split('/');
    const base = parseAddress(address);
    if (base === undefined || device === egressBridge) continue;
    if (overlaps(block, { base, size: 2 ** (32 - Number(prefix)) })) {
      throw new TroupeError(
        'config/invalid',
        `the floating block ${floatingBlock} overlaps this host's route to ${to} on ${device}; choose a block that nothing here uses yet (--floating-block)`,
        { floatingBlock, route: to },
      );
    }
  }
}

/** Puts IPv4 forwarding back as it was found; quiet unless it was this installation that switched it on. */
export async function restoreForwarding(ledger: Ledger, host: Host, errand: Errand): Promise<void> {
  const before = ledger.get('setting', FORWARDING)?.detail['before'];
  if (before === undefined) return;
  await host.setting(null, [FORWARDING], String(before), errand);
  ledger.forget('setting', FORWARDING);
}

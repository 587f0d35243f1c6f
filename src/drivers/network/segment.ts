// Makes one segment match what the ledger wants.
//
// E1  Observe, compare, repair, and observe again until nothing differs: the state reported as right has been seen.
// E2  Every piece is in the ledger before it is made, and forgotten after it is gone.
// E3  A segment that is right is only looked at.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { installationNames } from './names.ts';
import { tableKey, textDigest, type TableWanted } from './nft.ts';
import type { RecordedTable, Register } from './register.ts';
import { carryOut, type Finding, type Means, type Repair } from './repair.ts';
import { planNamespace, planRouter } from './router.ts';
import { bridgeTable, routerTable } from './rules-segment.ts';
import { planAddresses } from './segment-addresses.ts';
import { planHalfVeths, planHostLinks } from './segment-links.ts';
import { observeSegment, type SegmentSeen } from './segment-observe.ts';
import { convergeService } from './segment-service.ts';
import type { SegmentWanted } from './segment-wanted.ts';

const NOT_MADE: RecordedTable = { text: '', listing: '' };
/** Making a segment takes one pass and one that finds it right; more are for somebody who undoes it meanwhile. */
const MOST_PASSES = 5;

/** Returns what had to be repaired. Errors: `host/*`. */
export async function convergeSegment(wanted: SegmentWanted, means: Means): Promise<Finding[]> {
  const { register, host, errand } = means;
  const done: Finding[] = [];
  for (let pass = 0; pass < MOST_PASSES; pass++) {
    const seen = await observeSegment(wanted, host, errand);
    const repairs = planSegment(wanted, seen, register);
    if (repairs.length === 0) {
      if (wanted.wayOut === null) register.ledger.forget('link', wanted.names.egressPort);
      return [...done, ...(await convergeService(wanted, seen, means))];
    }
    recordPieces(wanted, means);
    await carryOut(repairs, host, errand, (table, namespace, listing) => {
      const digests = { text: textDigest(table.body), listing };
      register.putTable(tableKey(namespace, table.name), digests, means.by);
    });
    done.push(...repairs);
  }
  const last = done.slice(-3).map((repair) => repair.reason);
  throw new TroupeError(
    'host/tool-failed',
    `the segment of network ${wanted.spec.networkId} does not become right; something on this host undoes it: ${last.join('; ')}`,
  );
}

/** Everything but dnsmasq. Pure, but for what the ledger remembers of tables. */
export function planSegment(
  wanted: SegmentWanted,
  seen: SegmentSeen,
  register: Pick<Register, 'table'>,
): Repair[] {
  const halves = planHalfVeths(wanted, seen.links, seen.router.links);
  if (halves.length > 0) return halves;
  const { namespace } = wanted.names;
  const check = (table: TableWanted, inside: string | null, listing: string | undefined) =>
    planTable(table, inside, listing, register.table(tableKey(inside, table.name)));
  return [
    ...planNamespace(wanted, seen.router),
    ...planHostLinks(wanted, seen.links),
    ...planRouter(wanted, seen.router),
    ...planAddresses(wanted, seen),
    ...check(bridgeTable(wanted), null, seen.bridgeTable),
    ...check(routerTable(wanted), namespace, seen.routerTable),
  ];
}

/** What mends a table, given the digest of its listing and what the ledger remembers of it. */
export function planTable(
  table: TableWanted,
  namespace: string | null,
  listing: string | undefined,
  recorded: RecordedTable | undefined,
): Repair[] {
  const isMissing = listing === undefined;
  const isSame = recorded?.text === textDigest(table.body) && recorded.listing === listing;
  if (!isMissing && isSame) return [];
  const where = namespace === null ? '' : ` in ${namespace}`;
  const found = isMissing ? 'is missing' : 'is not as wanted';
  return [
    {
      resource: 'nft-table',
      name: table.name,
      problem: isMissing ? 'missing' : 'different',
      reason: `nft table ${table.family} ${table.name}${where} ${found}`,
      step: { tool: 'nft', namespace, table },
    },
  ];
}

/** Before anything is made: one entry per thing that has a name in the host's listings. */
function recordPieces({ names, machine, wayOut }: SegmentWanted, { register, by }: Means): void {
  const links = [names.bridge, names.gatewayPort];
  if (machine.underlay.address !== null) links.push(names.vtep);
  if (wayOut !== null) links.push(names.egressPort);
  for (const link of links) register.put('link', link, by);
  register.put('namespace', names.namespace, by);
  for (const key of [
    tableKey(null, names.bridgeTable),
    tableKey(names.namespace, installationNames(machine.hostTag).table),
  ]) {
    if (register.table(key) === undefined) register.putTable(key, NOT_MADE, by);
  }
}

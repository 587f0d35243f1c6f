// Compares the host's own listings, the ledger, and what is wanted; repairs what is wanted and reports the rest.
//
// J1  What the ledger has and nobody wants is removed only on a clear "no": an owner not heard of yet keeps its things.
// J2  What carries our tag and is not in the ledger is reported, never touched: it may be a second daemon's.
// J3  One thing that cannot be repaired is reported as such and does not keep the audit from the others.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../../../actors/kernel/errors.ts';
import type { Drift } from '../../../actors/network/ports.ts';
import { servicesUnder } from './dnsmasq.ts';
import type { Errand, Host } from './host.ts';
import { parseBatch } from './listing.ts';
import { isOurs } from './names.ts';
import { listTables } from './nft.ts';
import type { RecordedSegment, RecordedTap, Register } from './register.ts';
import type { Finding } from './repair.ts';
import { byName } from './segment-observe.ts';

/** What the audit needs of the driver; each takes the lock it needs. */
export interface AuditMeans {
  readonly hostTag: string;
  readonly runDir: string;
  readonly host: Host;
  readonly errand: Errand;
  repair(segment: RecordedSegment): Promise<readonly Finding[]>;
  repairShared(): Promise<readonly Finding[]>;
  removeSegment(segment: RecordedSegment): Promise<void>;
  removeTap(tap: RecordedTap): Promise<void>;
}

type IsWanted = (owner: string) => boolean | undefined;

export async function audit(
  isWanted: IsWanted,
  register: Register,
  means: AuditMeans,
): Promise<Drift[]> {
  const drifts: Drift[] = [];
  for (const tap of register.taps().filter(({ owner }) => isWanted(owner) === false)) {
    const subject = { owner: tap.owner, resource: 'tap', name: tap.name };
    drifts.push(await removing(subject, () => means.removeTap(tap)));
  }
  for (const segment of register.segments().filter(({ by }) => isWanted(by.owner) === false)) {
    drifts.push(await removing(subjectOf(segment), () => means.removeSegment(segment)));
  }
  // After the removals, which may have been of the last that needed it; before the segments, which hang on it.
  const shared = { owner: `installation/${means.hostTag}`, resource: 'installation', name: '' };
  drifts.push(...(await repairing(shared, () => means.repairShared())));
  for (const segment of register.segments().filter(({ by }) => isWanted(by.owner) !== false)) {
    drifts.push(...(await repairing(subjectOf(segment), () => means.repair(segment))));
  }
  return [...drifts, ...(await strangers(register, means))];
}

function subjectOf({ by, networkId }: RecordedSegment): Subject {
  return { owner: by.owner, resource: 'segment', name: networkId };
}

type Subject = Pick<Drift, 'owner' | 'resource' | 'name'>;

async function removing(subject: Subject, remove: () => Promise<void>): Promise<Drift> {
  const drift = { ...subject, problem: 'unknown', reason: `nobody wants it any more` } as const;
  try {
    await remove();
    return { ...drift, repaired: true };
  } catch (error) {
    return { ...drift, reason: `${drift.reason}; ${reasonOf(error)}`, repaired: false };
  }
}

async function repairing(
  subject: Subject,
  repair: () => Promise<readonly Finding[]>,
): Promise<Drift[]> {
  try {
    const findings = await repair();
    return findings.map(({ resource, name, problem, reason }) => ({
      owner: subject.owner,
      resource,
      name,
      problem,
      reason,
      repaired: true,
    }));
  } catch (error) {
    return [{ ...subject, problem: 'different', reason: reasonOf(error), repaired: false }];
  }
}

/** Things that carry our tag, or lie in our run directory, and are not in the ledger. */
async function strangers(register: Register, means: AuditMeans): Promise<Drift[]> {
  const { host, errand, hostTag, runDir } = means;
  const [listing, tables] = await Promise.all([
    host.ip(null, ['link show', 'netns list'], errand),
    listTables(host, errand),
  ]);
  const [rows = [], namespaces = []] = parseBatch(listing);
  const found = [
    ...[...byName(rows).values()].map((link) => ['link', link.name, link.alias] as const),
    ...namespaces.map((row) => ['namespace', String(row['name']), ''] as const),
    ...tables.map((name) => ['nft-table', name, ''] as const),
  ].filter(([, name]) => isOurs(hostTag, name));
  const known = new Set(register.entries().map((entry) => entry.name));
  const files = readdirSync(runDir).map((name) => ['directory', join(runDir, name), ''] as const);
  const services = servicesUnder(runDir).map(
    ({ settingsFile }) => ['dnsmasq', join(settingsFile, '..'), ''] as const,
  );
  return [...found, ...files, ...services]
    .filter(([, name]) => !known.has(name))
    .map(([resource, name, alias]) => ({
      owner: alias.split(' ')[0] ?? '',
      resource,
      name,
      problem: 'unknown',
      reason: `${resource} ${name} carries this installation's tag but is not in the ledger; remove it by hand if no other daemon uses it`,
      repaired: false,
    }));
}

// Compares three accounts of this machine's domains: libvirt's, the ledger's, and what is wanted.
//
// A1  A domain that only libvirt knows is reported and never touched, even with our mark: its ledger may
//     have been lost, and its guest is somebody's.
// A2  What the ledger has and nobody wants is removed. Not knowing (undefined) is no reason to.
// A3  What looks wrong is looked at again in the instance's turn, and repaired there: the audit's lists are
//     old by then.
import type { Log } from '../../../actors/kernel/ports.ts';
import type { Drift } from '../../../actors/network/ports.ts';
import { trimLog } from './console-log.ts';
import { DOMAIN_RESOURCE, domainName, type DomainRecords } from './domain-record.ts';
import type { OwnDomains } from './own-domains.ts';
import type { Turns } from '../turns.ts';

/** Whether the object with this address still wants what it owns; undefined: not known yet. */
export type IsWanted = (owner: string) => boolean | undefined;

export interface AuditTools {
  readonly own: OwnDomains;
  readonly records: DomainRecords;
  readonly turns: Turns;
  readonly isWanted: IsWanted;
  readonly remove: (instanceId: string) => Promise<void>;
  readonly logPath: (instanceId: string) => string;
  readonly log: Log;
}

/** Console logs are cut to their last part beyond this: a guest may print for ever. */
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;
const LOG_KEEP_BYTES = 4 * 1024 * 1024;

/** Every difference found, and whether it was repaired. */
export async function auditDomains(tools: AuditTools): Promise<readonly Drift[]> {
  const { own, records, logPath } = tools;
  const [defined, transient] = await Promise.all([own.list(), own.transient()]);
  const inLibvirt = new Set(defined.map(({ instanceId }) => instanceId));
  const inLedger = records.list();
  const drifts: Drift[] = [];
  for (const { instanceId, owner } of inLedger) {
    const drift = await auditOne(tools, instanceId, owner, {
      isDefined: inLibvirt.has(instanceId),
      isTransient: transient.has(instanceId),
    });
    if (drift !== undefined) drifts.push(drift);
    await trimLog(logPath(instanceId), LOG_LIMIT_BYTES, LOG_KEEP_BYTES);
  }
  const recorded = new Set(inLedger.map(({ instanceId }) => instanceId));
  for (const id of inLibvirt) {
    // Looked up again: it may have been made since the list was read.
    if (recorded.has(id) || records.get(id) !== undefined) continue;
    const reason = 'libvirt has this domain with our mark, the ledger does not';
    drifts.push(toDrift(id, `instance/${id}`, 'unknown', reason, false));
  }
  return drifts;
}

async function auditOne(
  tools: AuditTools,
  instanceId: string,
  owner: string,
  seen: { readonly isDefined: boolean; readonly isTransient: boolean },
): Promise<Drift | undefined> {
  const { isWanted, turns, remove, records, own } = tools;
  if (isWanted(owner) === false) {
    const repaired = await turns.run(instanceId, async () => {
      if (isWanted(owner) !== false) return false; // A3
      await remove(instanceId);
      return true;
    });
    return toDrift(instanceId, owner, 'unknown', 'nobody wants this domain', repaired);
  }
  if (!seen.isDefined) {
    const isMissing = await turns.run(instanceId, async () => {
      const isRecorded = records.get(instanceId) !== undefined; // A3
      return isRecorded && (await own.find(instanceId)) === undefined;
    });
    if (!isMissing) return undefined;
    return toDrift(instanceId, owner, 'missing', 'the ledger has it, libvirt does not', false);
  }
  if (!seen.isTransient) return undefined;
  const reason = 'it runs, but its definition was removed from libvirt';
  return toDrift(instanceId, owner, 'different', reason, false);
}

function toDrift(
  instanceId: string,
  owner: string,
  problem: Drift['problem'],
  reason: string,
  repaired: boolean,
): Drift {
  const name = domainName(instanceId);
  return { owner, resource: DOMAIN_RESOURCE, name, problem, reason, repaired };
}

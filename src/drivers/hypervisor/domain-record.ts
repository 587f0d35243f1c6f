// What this machine's ledger keeps about one domain, beyond what libvirt keeps itself.
//
// R1  Recorded before the domain is defined, forgotten after it is undefined.
// R2  update() reads, changes and writes without a pause in between: an event that arrives while a domain
//     is being started cannot be overwritten by an older copy.
import { formatAddress } from '../../../actors/kernel/kind.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import type { Ledger, LedgerEntry } from '../ledger.ts';
import type { OffReason } from './power.ts';

export interface DomainRecord {
  /** The `powerOns` it was last started for; 0: never. */
  readonly startedFor: number;
  /** Reboots done so far, as counted by whoever wants them. */
  readonly hardReboots: number;
  readonly softReboots: number;
  /** Why it was last seen to stop; `none` from the next start on. */
  readonly offReason: OffReason | 'none';
  /** Boot id (boot-id.ts) under which it was last started; empty: never. */
  readonly bootId: string;
  /** TCP ports of its consoles; 0 before they were chosen. */
  readonly consolePort: number;
  readonly vdiPort: number;
  /** 0 also when its screen is shown without TLS. */
  readonly vdiTlsPort: number;
}

/** The ledger's word for a domain. */
export const DOMAIN_RESOURCE = 'domain';

/** The domain's name in libvirt's listing; its UUID is the instance's id itself. */
export function domainName(instanceId: string): string {
  return `troupe-${instanceId}`;
}

const UNSTARTED: Omit<DomainRecord, 'hardReboots' | 'softReboots'> = {
  startedFor: 0,
  offReason: 'none',
  bootId: '',
  consolePort: 0,
  vdiPort: 0,
  vdiTlsPort: 0,
};

/** The domains of one ledger. */
export class DomainRecords {
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** Undefined when the ledger has none. */
  get(instanceId: string): DomainRecord | undefined {
    const entry = this.#ledger.get(DOMAIN_RESOURCE, domainName(instanceId));
    return entry === undefined ? undefined : toRecord(entry);
  }

  /** Puts the domain into the ledger, keeping what is known of it; `reboots` count as done when it is not there yet. */
  claim(
    instanceId: string,
    by: WantedBy,
    reboots: Pick<DomainRecord, 'hardReboots' | 'softReboots'>,
  ): DomainRecord {
    const record = this.get(instanceId) ?? { ...UNSTARTED, ...reboots };
    const { epoch, generation, trace } = by;
    this.#ledger.record({
      resource: DOMAIN_RESOURCE,
      name: domainName(instanceId),
      owner: formatAddress(by.owner),
      epoch,
      generation,
      trace,
      detail: { ...record, instanceId },
    });
    return record;
  }

  /** Changes some fields; does nothing when the domain is not in the ledger. */
  update(instanceId: string, change: Partial<DomainRecord>): void {
    const entry = this.#ledger.get(DOMAIN_RESOURCE, domainName(instanceId));
    if (entry === undefined) return;
    this.#ledger.record({ ...entry, detail: { ...entry.detail, ...change } });
  }

  /** Quiet when there is none. */
  forget(instanceId: string): void {
    this.#ledger.forget(DOMAIN_RESOURCE, domainName(instanceId));
  }

  /** Every domain in the ledger: instance id and owner's address. */
  list(): { readonly instanceId: string; readonly owner: string }[] {
    return this.#entries().map((entry) => ({
      instanceId: String(entry.detail['instanceId']),
      owner: entry.owner,
    }));
  }

  /** Ports that some domain holds, running or not. */
  heldPorts(): ReadonlySet<number> {
    return new Set(
      this.#entries().flatMap(({ detail }) => [
        Number(detail['consolePort']),
        Number(detail['vdiPort']),
        Number(detail['vdiTlsPort'] ?? 0),
      ]),
    );
  }

  #entries(): LedgerEntry[] {
    return this.#ledger.list({ resource: DOMAIN_RESOURCE });
  }
}

function toRecord({ detail }: LedgerEntry): DomainRecord {
  return {
    startedFor: Number(detail['startedFor']),
    hardReboots: Number(detail['hardReboots']),
    softReboots: Number(detail['softReboots']),
    offReason: toOffReason(detail['offReason']),
    bootId: String(detail['bootId']),
    consolePort: Number(detail['consolePort']),
    vdiPort: Number(detail['vdiPort']),
    // Records of before there was TLS have none.
    vdiTlsPort: Number(detail['vdiTlsPort'] ?? 0),
  };
}

function toOffReason(value: unknown): DomainRecord['offReason'] {
  return value === 'guest' || value === 'requested' || value === 'lost' ? value : 'none';
}

// What the machine's ledger says about networks: which segments and taps are wanted here, and all that was made for them.
//
// W1  The wanted state is in the ledger, not in memory: after a restart the driver knows what it had to keep up.
// W2  An entry is written only when something in it changes, so a repeat costs no disk write.
import { decoder, nullable, Type, closed } from '../../../actors/kernel/schema.ts';
import { formatAddress } from '../../../actors/kernel/kind.ts';
import { codeOf } from '../../../actors/kernel/errors.ts';
import type { SegmentSpec, TapSpec, WantedBy } from '../../../actors/network/ports.ts';
import type { Ledger, LedgerEntry } from '../ledger.ts';
import type { ServiceLoaded } from './dnsmasq.ts';
import { tapName } from './names.ts';
import type { TapWanted } from './segment-wanted.ts';

export interface RecordedBy {
  readonly owner: string;
  readonly epoch: number;
  readonly generation: number;
  readonly trace: string;
}

export interface RecordedSegment {
  readonly networkId: string;
  readonly vni: number;
  /** Undefined when an older version wrote it in a way this one cannot read: it can be removed, not repaired. */
  readonly spec: SegmentSpec | undefined;
  readonly by: RecordedBy;
}

export interface RecordedTap extends TapWanted {
  readonly networkId: string;
  readonly by: RecordedBy;
}

/** Digests of an nft table: of the text it was made from, and of the listing right after. */
export interface RecordedTable {
  readonly text: string;
  readonly listing: string;
}

const port = closed({
  interfaceId: Type.String(),
  mac: Type.String(),
  ipv4: nullable(Type.String()),
  hostname: Type.String(),
  node: Type.String(),
  floating: nullable(Type.String()),
});

const decodeSpec = decoder(
  'segment in the ledger',
  closed({
    networkId: Type.String(),
    vni: Type.Number(),
    netblock: Type.String(),
    gateway: Type.String(),
    gatewayMac: Type.String(),
    domain: Type.String(),
    dhcp: Type.Boolean(),
    dns: Type.Boolean(),
    upstreamDns: Type.String(),
    egressAddress: nullable(Type.String()),
    floatingBlock: Type.String(),
    ports: Type.Array(port),
    peers: Type.Array(closed({ node: Type.String(), vtep: Type.String() })),
    routed: Type.Array(Type.String()),
    dnsEntries: Type.Array(closed({ name: Type.String(), address: Type.String() })),
  }),
  'actor/bad-snapshot',
);

export class Register {
  readonly ledger: Ledger;
  readonly #hostTag: string;

  constructor(ledger: Ledger, hostTag: string) {
    this.ledger = ledger;
    this.#hostTag = hostTag;
  }

  segments(): RecordedSegment[] {
    return this.#mine('segment').map(segmentOf);
  }

  segment(networkId: string): RecordedSegment | undefined {
    const entry = this.ledger.get('segment', networkId);
    return entry === undefined ? undefined : segmentOf(entry);
  }

  putSegment(spec: SegmentSpec, by: RecordedBy): void {
    this.put('segment', spec.networkId, by, { vni: spec.vni, spec: JSON.stringify(spec) });
  }

  taps(networkId?: string): RecordedTap[] {
    const taps = this.#mine('tap').map(tapOf);
    return networkId === undefined ? taps : taps.filter((tap) => tap.networkId === networkId);
  }

  tap(interfaceId: string): RecordedTap | undefined {
    return this.taps().find((tap) => tap.interfaceId === interfaceId);
  }

  /** Finds the tap a name that no other interface has, and records it. */
  putTap(spec: TapSpec, by: RecordedBy): void {
    const taken = new Set(this.taps().map((tap) => tap.name));
    let name = this.tap(spec.interfaceId)?.name;
    for (let attempt = 0; name === undefined; attempt++) {
      const candidate = tapName(this.#hostTag, spec.interfaceId, attempt);
      if (!taken.has(candidate)) name = candidate;
    }
    const { interfaceId, networkId, mac } = spec;
    this.put('tap', name, by, { interfaceId, networkId, mac });
  }

  /** Records a thing under the installation, so that two drivers on one ledger keep out of each other's way. */
  put(resource: string, name: string, by: RecordedBy, detail: LedgerEntry['detail'] = {}): void {
    const wanted = { resource, name, ...by, detail: { ...detail, hostTag: this.#hostTag } };
    const { recordedAtMs: _, ...there } = this.ledger.get(resource, name) ?? { recordedAtMs: 0 };
    if (JSON.stringify(there) !== JSON.stringify(wanted)) this.ledger.record(wanted);
  }

  table(name: string): RecordedTable | undefined {
    const detail = this.ledger.get('nft-table', name)?.detail;
    if (detail === undefined) return undefined;
    return { text: String(detail['text']), listing: String(detail['listing']) };
  }

  putTable(name: string, { text, listing }: RecordedTable, by: RecordedBy): void {
    this.put('nft-table', name, by, { text, listing });
  }

  service(directory: string): ServiceLoaded | undefined {
    const detail = this.ledger.get('dnsmasq', directory)?.detail;
    if (detail === undefined) return undefined;
    return { hosts: String(detail['hosts']), device: Number(detail['device']) };
  }

  /** Everything that this installation has recorded, whatever it is. */
  entries(): LedgerEntry[] {
    return this.ledger.list().filter((entry) => entry.detail['hostTag'] === this.#hostTag);
  }

  #mine(resource: string): LedgerEntry[] {
    const entries = this.ledger.list({ resource });
    return entries.filter((entry) => entry.detail['hostTag'] === this.#hostTag);
  }
}

export function recordedBy(by: WantedBy): RecordedBy {
  const { epoch, generation, trace } = by;
  return { owner: formatAddress(by.owner), epoch, generation, trace };
}

function segmentOf(entry: LedgerEntry): RecordedSegment {
  const { name, detail } = entry;
  return {
    networkId: name,
    vni: Number(detail['vni']),
    spec: specOf(String(detail['spec'])),
    by: byOf(entry),
  };
}

function specOf(text: string): SegmentSpec | undefined {
  try {
    // What was recorded before there was anything of the sort has none of it.
    return decodeSpec({ routed: [], dnsEntries: [], ...JSON.parse(text) });
  } catch (error) {
    if (error instanceof SyntaxError || codeOf(error) === 'actor/bad-snapshot') return undefined;
    throw error;
  }
}

function tapOf(entry: LedgerEntry): RecordedTap {
  const { name, owner, detail } = entry;
  return {
    name,
    owner,
    interfaceId: String(detail['interfaceId']),
    networkId: String(detail['networkId']),
    mac: String(detail['mac']),
    by: byOf(entry),
  };
}

function byOf({ owner, epoch, generation, trace }: LedgerEntry): RecordedBy {
  return { owner, epoch, generation, trace };
}

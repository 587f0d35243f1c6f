// What the guests of this machine use: processor, memory, disks, network; counted by libvirt since each guest's start.
//
// U1  One call tells of all guests, and does not wait for one that is busy: that one says less. What a tap's MAC is
//     costs another call per guest, once for each tap.
// U2  Directions are the guest's: what it has received is `read`, as with disks.
// U3  Disks on the NVMe bus are QEMU's own, and libvirt counts nothing of them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readDomainXml } from '../libvirt/domain-xml-reader.ts';
import { stateOfStats, type DomainStats } from '../libvirt/host-calls.ts';
import type { Libvirt } from '../libvirt/client.ts';
import { domainRef, type DomainRef } from '../libvirt/wire.ts';
import { domainName, type DomainRecords } from './domain-record.ts';
import { observe } from './observe.ts';

/** Of one guest that runs or is paused. */
export interface DomainUsage {
  readonly instanceId: string;
  readonly cpu: { readonly totalNs: number; readonly systemNs: number; readonly userNs: number };
  /** What QEMU holds of the machine's memory; null: not known. */
  readonly residentBytes: number | null;
  readonly disks: readonly DiskUsage[];
  readonly nics: readonly NicUsage[];
  /** How soon Linux would end its QEMU when memory runs out; null: not known. */
  readonly oom: { readonly score: string; readonly adjustment: string } | null;
}

export interface DiskUsage {
  /** As the guest calls it: `vda`. */
  readonly device: string;
  readonly readRequests: number;
  readonly readBytes: number;
  readonly writeRequests: number;
  readonly writeBytes: number;
  /** On the machine. */
  readonly usedBytes: number;
}

export interface Traffic {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly drops: number;
}

export interface NicUsage {
  readonly mac: string;
  readonly read: Traffic;
  readonly write: Traffic;
}

const GROUPS = ['state', 'cpu', 'balloon', 'interface', 'block'] as const;

export interface UsageReaderOptions {
  readonly libvirt: Libvirt;
  readonly records: DomainRecords;
  /** Where libvirt keeps the process ids of its QEMUs. */
  readonly pidDir: string;
}

export class UsageReader {
  readonly #options: UsageReaderOptions;
  /** MAC by tap; a tap belongs to one interface for good. */
  #macs: ReadonlyMap<string, string> = new Map();

  constructor(options: UsageReaderOptions) {
    this.#options = options;
  }

  /** Of all guests of this daemon's own that run or are paused. */
  async read(): Promise<readonly DomainUsage[]> {
    const { libvirt, records } = this.#options;
    const domains = records.list().map(({ instanceId: id }) => domainRef(id, domainName(id)));
    // Asked about none, libvirt would tell of all, also of other people's.
    if (domains.length === 0) return [];
    const all = await libvirt.host.stats({ groups: GROUPS, domains });
    const up = all.filter((stats) => isUp(stats));
    this.#macs = await this.#macsOf(up);
    return await Promise.all(up.map((stats) => this.#usageOf(stats)));
  }

  async #usageOf(stats: DomainStats): Promise<DomainUsage> {
    const { uuid: instanceId, name } = stats.domain;
    const count = counter(stats);
    const rssKiB = stats.values.get('balloon.rss');
    return {
      instanceId,
      cpu: {
        totalNs: count('cpu.time'),
        systemNs: count('cpu.system'),
        userNs: count('cpu.user'),
      },
      residentBytes: rssKiB === undefined ? null : Number(rssKiB) * 1024,
      disks: numbered(stats, 'block').map((at) => diskUsage(stats, at)),
      nics: numbered(stats, 'net').flatMap((at) => this.#nicUsage(stats, at)),
      oom: await this.#oomOf(name),
    };
  }

  #nicUsage(stats: DomainStats, at: string): NicUsage[] {
    const mac = this.#macs.get(String(stats.values.get(`${at}.name`)));
    if (mac === undefined) return [];
    return [{ mac, read: traffic(stats, `${at}.rx`), write: traffic(stats, `${at}.tx`) }];
  }

  /** U1. */
  async #macsOf(all: readonly DomainStats[]): Promise<ReadonlyMap<string, string>> {
    const macs = new Map<string, string>();
    for (const stats of all) {
      const taps = numbered(stats, 'net').map((at) => String(stats.values.get(`${at}.name`)));
      const isKnown = taps.every((tap) => this.#macs.has(tap));
      const found = isKnown ? this.#macs : await this.#lookUp(stats.domain);
      for (const tap of taps) {
        const mac = found.get(tap);
        if (mac !== undefined) macs.set(tap, mac);
      }
    }
    return macs;
  }

  async #lookUp(domain: DomainRef): Promise<ReadonlyMap<string, string>> {
    // One that has ended since it was counted has nothing to look up.
    const xml = await this.#options.libvirt.domains.xml(domain).catch(() => null);
    const cards = xml === null ? [] : readDomainXml(xml).interfaces;
    return new Map(cards.map(({ device = '', mac = '' }) => [device, mac]));
  }

  /** Where QEMU's process cannot be found, it is not known. */
  async #oomOf(name: string): Promise<DomainUsage['oom']> {
    try {
      const pid = Number(await readFile(join(this.#options.pidDir, `${name}.pid`), 'utf8'));
      if (!Number.isSafeInteger(pid) || pid < 1) return null;
      const read = async (file: string) => (await readFile(`/proc/${pid}/${file}`, 'utf8')).trim();
      // Its libvirtd may count processes otherwise (a PID namespace), and an old number may be somebody else's.
      if (!(await read('cmdline')).includes(`guest=${name},`)) return null;
      const [score, adjustment] = await Promise.all([read('oom_score'), read('oom_score_adj')]);
      return { score, adjustment };
    } catch {
      return null;
    }
  }
}

function isUp(stats: DomainStats): boolean {
  const { power } = observe(stateOfStats(stats));
  return power === 'on' || power === 'paused';
}

/** `block.0`, `block.1` … */
function numbered({ values }: DomainStats, group: 'block' | 'net'): string[] {
  const count = Number(values.get(`${group}.count`) ?? 0);
  return Array.from({ length: count }, (_, index) => `${group}.${index}`);
}

/** Counts that libvirt leaves out are 0. As a number: exact up to 9 PB, or 104 days of one processor. */
function counter({ values }: DomainStats): (field: string) => number {
  return (field) => Number(values.get(field) ?? 0);
}

function diskUsage(stats: DomainStats, at: string): DiskUsage {
  const count = counter(stats);
  return {
    device: String(stats.values.get(`${at}.name`)),
    readRequests: count(`${at}.rd.reqs`),
    readBytes: count(`${at}.rd.bytes`),
    writeRequests: count(`${at}.wr.reqs`),
    writeBytes: count(`${at}.wr.bytes`),
    usedBytes: count(`${at}.physical`),
  };
}

function traffic(stats: DomainStats, at: string): Traffic {
  const count = counter(stats);
  return {
    bytes: count(`${at}.bytes`),
    packets: count(`${at}.pkts`),
    errors: count(`${at}.errs`),
    drops: count(`${at}.drop`),
  };
}

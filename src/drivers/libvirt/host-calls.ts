// What can be asked about the host and its hypervisor.
import type { CallOptions } from './call-table.ts';
import type { Caller } from './link.ts';
import { domainState, stateReason, type DomainState } from './names.ts';
import { PROCEDURES } from './procedures.ts';
import type { DomainRef, TypedValue } from './wire.ts';

/** virConnectListAllDomainsFlags: a domain is listed when it matches one flag of each group given. */
const LIST = { active: 1, inactive: 2, persistent: 4, transient: 8 } as const;
export type DomainFilter = keyof typeof LIST;

/** virDomainStatsTypes. */
const STATS = {
  state: 1,
  cpu: 2,
  balloon: 4,
  vcpu: 8,
  interface: 16,
  block: 32,
  perf: 64,
  iothread: 128,
  memory: 256,
  dirtyrate: 512,
  vm: 1024,
} as const;
export type StatsGroup = keyof typeof STATS;
/** Statistics include the backing chain of each disk. */
const STATS_BACKING = 0x4000_0000;
/** Domains that are busy are reported with what needs no wait. */
const STATS_NOWAIT = 0x2000_0000;
/** Ask for the whole host rather than one NUMA cell. */
const ALL_CELLS = -1;

export interface NodeInfo {
  /** CPU architecture, such as x86_64. */
  readonly model: string;
  readonly memoryKiB: number;
  readonly cpus: number;
  readonly mhz: number;
  readonly numaNodes: number;
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
}

/** Statistics of one domain under libvirt's own names (`cpu.time`, `net.0.rx.bytes`, …). */
export interface DomainStats {
  readonly domain: DomainRef;
  readonly values: ReadonlyMap<string, TypedValue>;
}

/** `major.minor.release` of a libvirt version number. */
function versionText(version: number): string {
  return [version / 1_000_000, (version / 1000) % 1000, version % 1000].map(Math.floor).join('.');
}

function flagsOf<K extends string>(
  table: Readonly<Record<K, number>>,
  names: readonly K[],
): number {
  return names.reduce((flags, name) => flags | table[name], 0);
}

export class HostCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Versions of the hypervisor (QEMU) and of libvirtd, as `7.2.22`. */
  async versions(options?: CallOptions): Promise<{ hypervisor: string; libvirt: string }> {
    const [hypervisor, libvirt] = await Promise.all([
      this.#caller.call(PROCEDURES.connectGetVersion, undefined, options),
      this.#caller.call(PROCEDURES.connectGetLibVersion, undefined, options),
    ]);
    return { hypervisor: versionText(hypervisor.version), libvirt: versionText(libvirt.version) };
  }

  /** The kind of driver: `QEMU`. */
  async type(options?: CallOptions): Promise<string> {
    return (await this.#caller.call(PROCEDURES.connectGetType, undefined, options)).type;
  }

  async hostname(options?: CallOptions): Promise<string> {
    return (await this.#caller.call(PROCEDURES.connectGetHostname, undefined, options)).hostname;
  }

  /** Capabilities as XML. The first call after libvirtd's start probes QEMU for seconds. */
  async capabilities(options?: CallOptions): Promise<string> {
    return (await this.#caller.call(PROCEDURES.connectGetCapabilities, undefined, options)).xml;
  }

  /** What a domain of this sort may have, as XML; libvirt's defaults for what is left out. */
  async domainCapabilities(
    about: { emulator?: string; arch?: string; machine?: string; type?: 'kvm' | 'qemu' } = {},
    options?: CallOptions,
  ): Promise<string> {
    const { emulator = null, arch = null, machine = null, type = null } = about;
    const args = { emulator, arch, machine, type, flags: 0 };
    const reply = await this.#caller.call(PROCEDURES.connectGetDomainCapabilities, args, options);
    return reply.xml;
  }

  /** Names of the CPU models that libvirt knows for an architecture. */
  async cpuModels(arch: string, options?: CallOptions): Promise<readonly string[]> {
    const args = { arch, needResults: true, flags: 0 };
    return (await this.#caller.call(PROCEDURES.connectGetCpuModelNames, args, options)).models;
  }

  async nodeInfo(options?: CallOptions): Promise<NodeInfo> {
    const { model, ...info } = await this.#caller.call(PROCEDURES.nodeGetInfo, undefined, options);
    const characters = Object.values(model);
    const end = characters.indexOf(0);
    return { ...info, model: String.fromCharCode(...characters.slice(0, Math.max(end, 0))) };
  }

  /** The host's memory in KiB: `total`, `free`, `buffers`, `cached`. */
  async memory(options?: CallOptions): Promise<ReadonlyMap<string, number>> {
    const procedure = PROCEDURES.nodeGetMemoryStats;
    const args = { cell: ALL_CELLS, flags: 0 };
    // Asked for none, libvirt says how many there are.
    const { count } = await this.#caller.call(procedure, { ...args, maxStats: 0 }, options);
    const { stats } = await this.#caller.call(procedure, { ...args, maxStats: count }, options);
    return new Map(stats.map(({ field, valueKiB }) => [field, valueKiB]));
  }

  /** Every domain, or those that match. */
  async listDomains(
    filter: readonly DomainFilter[] = [],
    options?: CallOptions,
  ): Promise<readonly DomainRef[]> {
    const args = { needResults: true, flags: flagsOf(LIST, filter) };
    return (await this.#caller.call(PROCEDURES.connectListAllDomains, args, options)).domains;
  }

  /**
   * Statistics in one call: of the domains given, or of all. Does not wait for busy domains; those
   * report less. `backing` adds the layers below each disk.
   */
  async stats(
    about: {
      groups?: readonly StatsGroup[];
      domains?: readonly DomainRef[];
      backing?: boolean;
    } = {},
    options?: CallOptions,
  ): Promise<readonly DomainStats[]> {
    const { groups = [], domains = [], backing = false } = about;
    const flags = (backing ? STATS_BACKING : 0) | STATS_NOWAIT;
    const args = { domains, groups: flagsOf(STATS, groups), flags };
    const reply = await this.#caller.call(PROCEDURES.connectGetAllDomainStats, args, options);
    return reply.records.map(({ domain, params }) => ({
      domain,
      values: new Map(params.map(({ field, value }) => [field, value])),
    }));
  }
}

/** State and reason out of statistics of the group `state`. */
export function stateOfStats(stats: DomainStats): { state: DomainState; reason: string } {
  const state = domainState(Number(stats.values.get('state.state') ?? -1));
  return { state, reason: stateReason(state, Number(stats.values.get('state.reason') ?? 0)) };
}

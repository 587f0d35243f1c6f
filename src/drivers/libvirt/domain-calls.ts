// What can be done with a domain: define it, run it, look at it, change its devices.
import type { CallOptions } from './call-table.ts';
import { isLibvirtError } from './errors.ts';
import type { Caller } from './link.ts';
import { domainState, memoryStat, stateReason, type DomainState } from './names.ts';
import { PROCEDURES } from './procedures.ts';
import type { DomainRef } from './wire.ts';

const DEFINE_VALIDATE = 1;
const CREATE = { paused: 1, autodestroy: 2, validate: 16, resetNvram: 32 } as const;
const DESTROY_GRACEFUL = 1;
/** The same numbers for shutdown and reboot; 0 leaves the choice to libvirt. */
const POWER = { default: 0, acpi: 1, agent: 2 } as const;
const UNDEFINE_MANAGED_SAVE = 1;
const UNDEFINE_SNAPSHOTS_METADATA = 2;
const UNDEFINE_NVRAM = { remove: 4, keep: 8 } as const;
const UNDEFINE_CHECKPOINTS_METADATA = 16;
const XML = { secure: 1, inactive: 2, migratable: 8 } as const;
const MODIFY = { current: 0, live: 1, config: 2, both: 3 } as const;
const METADATA_ELEMENT = 2;
const MEMORY_STATS_MAX = 32;

export type PowerMethod = keyof typeof POWER;
/** Which of a domain's two definitions a change is for: the running one, the stored one, or both. */
export type ModifyTarget = keyof typeof MODIFY;

export interface DomainInfo {
  readonly state: DomainState;
  readonly maxMemoryKiB: number;
  readonly memoryKiB: number;
  readonly vcpus: number;
  readonly cpuTimeNs: bigint;
}

export interface CreateOptions {
  /** Start with the CPUs stopped; resume() lets them run. */
  readonly paused?: boolean;
  /** End the domain when the connection that started it ends. */
  readonly autodestroy?: boolean;
  readonly validate?: boolean;
  /** Make the UEFI variables afresh from the template. */
  readonly resetNvram?: boolean;
}

function flagsOf<K extends string>(
  table: Readonly<Record<K, number>>,
  options: Readonly<Partial<Record<NoInfer<K>, boolean>>>,
): number {
  let flags = 0;
  for (const name in table) if (options[name] === true) flags |= table[name];
  return flags;
}

export class DomainCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Defines a domain, or redefines the one with this UUID. `validate` checks libvirt's schema too. */
  async define(
    xml: string,
    { validate = false, ...options }: { validate?: boolean } & CallOptions = {},
  ): Promise<DomainRef> {
    const args = { xml, flags: validate ? DEFINE_VALIDATE : 0 };
    const reply = await this.#caller.call(PROCEDURES.domainDefineXmlFlags, args, options);
    return reply.domain;
  }

  /**
   * Removes the stored definition, with what libvirt keeps for it (saved state, snapshot and checkpoint
   * records); a running domain runs on and is gone when it stops. libvirt refuses a UEFI domain unless
   * told what becomes of its variables: removed, unless `keep`.
   */
  async undefine(
    domain: DomainRef,
    { nvram = 'remove', ...options }: { nvram?: 'remove' | 'keep' } & CallOptions = {},
  ): Promise<void> {
    const records = UNDEFINE_SNAPSHOTS_METADATA | UNDEFINE_CHECKPOINTS_METADATA;
    const flags = UNDEFINE_MANAGED_SAVE | records | UNDEFINE_NVRAM[nvram];
    await this.#caller.call(PROCEDURES.domainUndefineFlags, { domain, flags }, options);
  }

  /** The domain with this UUID, or undefined when there is none. */
  async find(uuid: string, options?: CallOptions): Promise<DomainRef | undefined> {
    const lookup = this.#caller.call(PROCEDURES.domainLookupByUuid, { uuid }, options);
    return await orUndefined(lookup);
  }

  /** The domain with this name, or undefined when there is none. */
  async findByName(name: string, options?: CallOptions): Promise<DomainRef | undefined> {
    return await orUndefined(this.#caller.call(PROCEDURES.domainLookupByName, { name }, options));
  }

  /** The domain's XML: of the running domain unless `inactive`; with passwords if `secure`. */
  async xml(
    domain: DomainRef,
    options: { inactive?: boolean; secure?: boolean; migratable?: boolean } & CallOptions = {},
  ): Promise<string> {
    const args = { domain, flags: flagsOf(XML, options) };
    return (await this.#caller.call(PROCEDURES.domainGetXmlDesc, args, options)).xml;
  }

  async state(
    domain: DomainRef,
    options?: CallOptions,
  ): Promise<{ state: DomainState; reason: string }> {
    const args = { domain, flags: 0 };
    const reply = await this.#caller.call(PROCEDURES.domainGetState, args, options);
    const state = domainState(reply.state);
    return { state, reason: stateReason(state, reply.reason) };
  }

  async info(domain: DomainRef, options?: CallOptions): Promise<DomainInfo> {
    const reply = await this.#caller.call(PROCEDURES.domainGetInfo, { domain }, options);
    return { ...reply, state: domainState(reply.state) };
  }

  /** What the balloon and QEMU say of the guest's memory, in KiB but for counts (names.ts). */
  async memoryStats(
    domain: DomainRef,
    options?: CallOptions,
  ): Promise<ReadonlyMap<string, bigint>> {
    const args = { domain, maxStats: MEMORY_STATS_MAX, flags: 0 };
    const { stats } = await this.#caller.call(PROCEDURES.domainMemoryStats, args, options);
    return new Map(stats.map(({ tag, value }) => [memoryStat(tag), value]));
  }

  /** Starts a defined domain; returns it with its id. */
  async start(domain: DomainRef, options: CreateOptions & CallOptions = {}): Promise<DomainRef> {
    const args = { domain, flags: flagsOf(CREATE, options) };
    const reply = await this.#caller.call(PROCEDURES.domainCreateWithFlags, args, options);
    return reply.domain;
  }

  /**
   * Ends the QEMU process: SIGTERM, then SIGKILL, which `graceful` leaves out (the call then fails when
   * QEMU does not go). Takes up to 1.5 s, waiting.
   */
  async destroy(
    domain: DomainRef,
    { graceful = false, ...options }: { graceful?: boolean } & CallOptions = {},
  ): Promise<void> {
    const args = { domain, flags: graceful ? DESTROY_GRACEFUL : 0 };
    await this.#caller.call(PROCEDURES.domainDestroyFlags, args, options);
  }

  /** Asks the guest to power off. Done when asked; a `shutdown` and a `stopped` event follow. */
  async shutdown(
    domain: DomainRef,
    { by = 'default', ...options }: { by?: PowerMethod } & CallOptions = {},
  ): Promise<void> {
    const args = { domain, flags: POWER[by] };
    await this.#caller.call(PROCEDURES.domainShutdownFlags, args, options);
  }

  /** Asks the guest to reboot. */
  async reboot(
    domain: DomainRef,
    { by = 'default', ...options }: { by?: PowerMethod } & CallOptions = {},
  ): Promise<void> {
    await this.#caller.call(PROCEDURES.domainReboot, { domain, flags: POWER[by] }, options);
  }

  /** Presses the reset button. */
  async reset(domain: DomainRef, options?: CallOptions): Promise<void> {
    await this.#caller.call(PROCEDURES.domainReset, { domain, flags: 0 }, options);
  }

  /** Stops the CPUs; the memory stays. */
  async suspend(domain: DomainRef, options?: CallOptions): Promise<void> {
    await this.#caller.call(PROCEDURES.domainSuspend, { domain }, options);
  }

  async resume(domain: DomainRef, options?: CallOptions): Promise<void> {
    await this.#caller.call(PROCEDURES.domainResume, { domain }, options);
  }

  /** Whether libvirtd itself starts the domain when it starts. */
  async setAutostart(domain: DomainRef, autostart: boolean, options?: CallOptions): Promise<void> {
    await this.#caller.call(PROCEDURES.domainSetAutostart, { domain, autostart }, options);
  }

  /** Sets the metadata element of a namespace, or removes it when `xml` is null. */
  async setMetadata(
    domain: DomainRef,
    metadata: { prefix: string; uri: string; xml: string | null; target?: ModifyTarget },
    options?: CallOptions,
  ): Promise<void> {
    const { prefix, uri, xml, target = 'current' } = metadata;
    const args = {
      domain,
      type: METADATA_ELEMENT,
      metadata: xml,
      key: prefix,
      uri,
      flags: MODIFY[target],
    };
    await this.#caller.call(PROCEDURES.domainSetMetadata, args, options);
  }

  /** Adds a device; its XML is built by domain-xml.ts. */
  async attachDevice(
    domain: DomainRef,
    xml: string,
    { target = 'current', ...options }: { target?: ModifyTarget } & CallOptions = {},
  ): Promise<void> {
    const args = { domain, xml, flags: MODIFY[target] };
    await this.#caller.call(PROCEDURES.domainAttachDeviceFlags, args, options);
  }

  /** Asks the guest to give up a device: done when a `device-removed` event comes. */
  async detachDevice(
    domain: DomainRef,
    xml: string,
    { target = 'current', ...options }: { target?: ModifyTarget } & CallOptions = {},
  ): Promise<void> {
    const args = { domain, xml, flags: MODIFY[target] };
    await this.#caller.call(PROCEDURES.domainDetachDeviceFlags, args, options);
  }

  /** Changes what can be changed of a device: a CD's medium, a card's link state. */
  async updateDevice(
    domain: DomainRef,
    xml: string,
    { target = 'current', ...options }: { target?: ModifyTarget } & CallOptions = {},
  ): Promise<void> {
    const args = { domain, xml, flags: MODIFY[target] };
    await this.#caller.call(PROCEDURES.domainUpdateDeviceFlags, args, options);
  }
}

async function orUndefined(lookup: Promise<{ domain: DomainRef }>): Promise<DomainRef | undefined> {
  try {
    return (await lookup).domain;
  } catch (error) {
    if (isLibvirtError(error, 'no-domain')) return undefined;
    throw error;
  }
}

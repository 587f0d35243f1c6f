// Makes one domain match what is wanted: its definition first, then its power.
//
// V1  Whoever calls this holds the instance's turn: two convergences of one domain never overlap.
// V2  Every step can be the last one before a crash: what is done is either in libvirt, which is asked
//     again, or was recorded before (power.ts, W2). Doing it all again ends in the same state.
// V3  A start that fails is retried here only when a console port was taken meanwhile; everything else
//     goes to the caller, in libvirt's own words.
import { mkdir } from 'node:fs/promises';
import type { DomainReport, DomainSpec } from '../../../actors/instance/ports.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import type { Libvirt } from '../libvirt/client.ts';
import { buildInterfaceXml } from '../libvirt/domain-device-xml.ts';
import { readDomainXml } from '../libvirt/domain-xml-reader.ts';
import { buildDomainXml } from '../libvirt/domain-xml.ts';
import { isLibvirtError } from '../libvirt/errors.ts';
import type { DomainRef } from '../libvirt/wire.ts';
import { defineDomain, digestOf, graphicsKind, socketFolder, toInterface } from './definition.ts';
import type { DomainRecord, DomainRecords } from './domain-record.ts';
import { isPortClash } from './failure.ts';
import type { Machine } from './machine.ts';
import { observe } from './observe.ts';
import { ownMark, type OwnDomain, type OwnDomains } from './own-domains.ts';
import type { PortPool } from './port-pool.ts';
import { offReason, planPower, type Observed, type Step } from './power.ts';

export interface ConvergeTools {
  readonly libvirt: Libvirt;
  readonly machine: Machine;
  readonly own: OwnDomains;
  readonly records: DomainRecords;
  readonly ports: PortPool;
  readonly log: Log;
  readonly hostTag: string;
  readonly consoleListen: string;
  readonly vdiListen: string;
  /** libvirt has a certificate to show to viewers. */
  readonly hasSpiceTls: boolean;
  readonly bootId: string;
  /** The instance's folder on this machine. */
  readonly folder: (instanceId: string) => string;
  /** Whether a guest that an I/O error paused may be resumed now; it counts as resumed when asked. */
  readonly mayRetryIo: (instanceId: string) => boolean;
}

/** libvirt may have to load firmware, open disks over a slow file system and wait for a busy machine. */
const POWER_TIMEOUT_MS = 120_000;
const PORT_TRIES = 5;

/** Converges; returns what then is. */
export async function converge(
  tools: ConvergeTools,
  spec: DomainSpec,
  by: WantedBy,
): Promise<DomainReport> {
  return await new Convergence(tools, spec, by).run();
}

/** What libvirt and the ledger say of a domain now. */
export async function reportDomain(
  tools: Pick<ConvergeTools, 'libvirt' | 'machine' | 'bootId'>,
  ref: DomainRef,
  record: DomainRecord,
): Promise<DomainReport> {
  const observed = observe(await tools.libvirt.domains.state(ref));
  const isOff = observed.power === 'off';
  return {
    power: observed.power,
    offReason: isOff ? offReason(observed.reason, record, tools.bootId) : null,
    consolePort: isOff ? null : record.consolePort,
    vdiPort: isOff ? null : record.vdiPort,
    vdiTlsPort: isOff || record.vdiTlsPort === 0 ? null : record.vdiTlsPort,
    accelerator: tools.machine.capabilities.accelerator,
  };
}

class Convergence {
  readonly #tools: ConvergeTools;
  readonly #spec: DomainSpec;
  readonly #by: WantedBy;
  readonly #id: string;

  constructor(tools: ConvergeTools, spec: DomainSpec, by: WantedBy) {
    this.#tools = tools;
    this.#spec = spec;
    this.#by = by;
    this.#id = spec.instanceId;
  }

  async run(): Promise<DomainReport> {
    const { records, own } = this.#tools;
    const [current, transient] = await Promise.all([own.find(this.#id), own.transient()]);
    const { consolePort, vdiTlsPort } = records.claim(this.#id, this.#by, this.#spec);
    if (consolePort === 0) await this.#choosePorts();
    else if (this.#showsTls() && vdiTlsPort === 0) await this.#chooseTlsPort(current);
    const ref = await this.#define(transient.has(this.#id) ? undefined : current);
    if (await this.#power(ref)) await this.#plug(ref);
    return await reportDomain(this.#tools, ref, this.#record());
  }

  /** Gives libvirt the definition when it has none or another one. A running guest keeps what it started with (H1). */
  async #define(current: OwnDomain | undefined): Promise<DomainRef> {
    this.#checkpoint();
    const { machine, hostTag, log, folder, consoleListen, vdiListen, libvirt } = this.#tools;
    const home = folder(this.#id);
    const { consolePort, vdiPort, vdiTlsPort } = this.#record();
    const consoles = { consoleListen, consolePort, vdiListen, vdiPort, vdiTlsPort };
    const domain = defineDomain(this.#spec, machine, home, consoles);
    const digest = digestOf(domain);
    if (current?.digest === digest) return current.ref;
    if (this.#spec.video.vdi !== 'vnc' && graphicsKind(this.#spec.video.vdi, machine) === 'vnc') {
      log('warn', 'QEMU here has no SPICE: the screen is shown by VNC', this.#fields());
    }
    await mkdir(socketFolder(home), { recursive: true });
    const metadata = ownMark(hostTag, this.#id, digest, this.#by);
    return await libvirt.domains.define(buildDomainXml({ ...domain, metadata }));
  }

  /** A guest that runs already is given what it lacks of its interfaces; it keeps the others as they are (H1). */
  async #plug(ref: DomainRef): Promise<void> {
    const { libvirt, log } = this.#tools;
    if (this.#spec.nics.length === 0) return;
    const there = new Set(
      readDomainXml(await libvirt.domains.xml(ref)).interfaces.map(({ mac }) => mac),
    );
    for (const nic of this.#spec.nics.filter(({ mac }) => !there.has(mac))) {
      this.#checkpoint();
      await libvirt.domains.attachDevice(ref, buildInterfaceXml(toInterface(nic)), {
        target: 'live',
      });
      log('info', 'interface plugged into a running guest', { ...this.#fields(), mac: nic.mac });
    }
  }

  /** Tells whether the guest ran before, and runs on. */
  async #power(ref: DomainRef): Promise<boolean> {
    const { records, bootId, mayRetryIo } = this.#tools;
    const { powerOns, hardReboots, softReboots } = this.#spec;
    const observed = await this.#observe(ref);
    // W3: what is off now has no reboot left to do.
    if (observed.power === 'off') {
      const why = offReason(observed.reason, this.#record(), bootId);
      records.update(this.#id, { hardReboots, softReboots, offReason: why ?? 'none' });
    }
    const record = this.#record();
    const paused = observed.power === 'paused' && observed.byItself;
    const retry = paused && mayRetryIo(this.#id);
    const wanted = this.#spec;
    const steps = planPower({ observed, record, wanted, bootId, mayRetryIo: retry });
    for (const step of steps) {
      this.#checkpoint();
      await this.#perform(step, ref);
    }
    // Also after a crash between a start and its record: it runs, so it was started.
    const isUp = observed.power === 'on' || observed.power === 'paused';
    if (!isUp || wanted.power === 'off') return false;
    records.update(this.#id, { startedFor: powerOns, bootId, offReason: 'none' });
    return true;
  }

  async #perform(step: Step, ref: DomainRef): Promise<void> {
    const { libvirt, records } = this.#tools;
    const { hardReboots, softReboots } = this.#spec;
    const limits = { timeoutMs: POWER_TIMEOUT_MS };
    switch (step) {
      case 'start':
      case 'start-paused':
        return await this.#start(ref, step === 'start-paused');
      case 'suspend':
        return await libvirt.domains.suspend(ref, limits);
      case 'resume':
        return await libvirt.domains.resume(ref, limits);
      case 'destroy':
        await libvirt.domains.destroy(ref, limits);
        return records.update(this.#id, { offReason: 'requested' });
      case 'reset':
        records.update(this.#id, { hardReboots, softReboots }); // W2
        return await libvirt.domains.reset(ref, limits);
      case 'reboot':
        records.update(this.#id, { softReboots }); // W2
        return await libvirt.domains.reboot(ref, { by: 'acpi', ...limits });
    }
  }

  async #start(ref: DomainRef, paused: boolean): Promise<void> {
    const { libvirt, records, bootId, log } = this.#tools;
    const { powerOns: startedFor } = this.#spec;
    // Before the start: an event that the guest stopped again may come before the reply.
    records.update(this.#id, { offReason: 'none' });
    for (let attempt = 1; ; attempt++) {
      try {
        await libvirt.domains.start(ref, { paused, timeoutMs: POWER_TIMEOUT_MS });
        break;
      } catch (error) {
        if (await this.#isStarted(ref, error)) break;
        if (!isPortClash(error) || attempt === PORT_TRIES) throw error;
        log('warn', 'a console port was taken meanwhile: choosing others', this.#fields());
        await this.#choosePorts();
        await this.#define(undefined);
      }
    }
    records.update(this.#id, { startedFor, bootId });
  }

  /** Somebody else (an operator at virsh) was faster: libvirt refuses to start what runs. */
  async #isStarted(ref: DomainRef, error: unknown): Promise<boolean> {
    if (!isLibvirtError(error, 'operation-invalid')) return false;
    return (await this.#observe(ref)).power !== 'off';
  }

  async #choosePorts(): Promise<void> {
    const { ports, records, consoleListen, vdiListen } = this.#tools;
    const listens = [consoleListen, vdiListen, ...(this.#showsTls() ? [vdiListen] : [])];
    await ports.choose(listens, ([consolePort = 0, vdiPort = 0, vdiTlsPort = 0]) =>
      records.update(this.#id, { consolePort, vdiPort, vdiTlsPort }),
    );
  }

  /** Of a domain from before the machine had a certificate. One that runs goes on without until it is off. */
  async #chooseTlsPort(current: OwnDomain | undefined): Promise<void> {
    if (current !== undefined && (await this.#observe(current.ref)).power !== 'off') return;
    const { ports, records, vdiListen } = this.#tools;
    await ports.choose([vdiListen], ([vdiTlsPort = 0]) => records.update(this.#id, { vdiTlsPort }));
  }

  #showsTls(): boolean {
    const { machine, hasSpiceTls } = this.#tools;
    return hasSpiceTls && graphicsKind(this.#spec.video.vdi, machine) === 'spice';
  }

  async #observe(ref: DomainRef): Promise<Observed> {
    return observe(await this.#tools.libvirt.domains.state(ref));
  }

  #record(): DomainRecord {
    const record = this.#tools.records.get(this.#id);
    if (record === undefined) throw new Error(`${this.#id} is not in the ledger any more`);
    return record;
  }

  /** Between steps: whoever wants this may have called it off. */
  #checkpoint(): void {
    if (!this.#by.signal.aborted) return;
    throw new TroupeError('actor/stopped', `domain of instance ${this.#id}: called off`);
  }

  #fields() {
    return { instance: this.#id, trace: this.#by.trace };
  }
}

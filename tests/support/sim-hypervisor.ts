// A simulated hypervisor: behaves like src/drivers/hypervisor over libvirt, on an injected clock, with
// failures on demand. tests/contract/hypervisor holds both to the same suite.
//
// S1  SimHost is the machine: domains, consoles and ledger outlive the daemon that made them.
//     SimHypervisor is one daemon's driver on it.
// S2  What decides (power.ts), what is recorded (domain-record.ts) and what is told (domain-watch.ts) is
//     the real driver's own; only libvirt, QEMU and the guest are simulated.
// S3  A guest prints `guest ready` a while after each start or reset. At the power button it prints
//     `power button`, powers off and is started again.
import type { GuestAgent } from '../../actors/instance/guest-agent.ts';
import type {
  DiskCopies,
  DomainReport,
  DomainSpec,
  Hypervisor,
  Screenshot,
} from '../../actors/instance/ports.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress } from '../../actors/kernel/kind.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import type { WantedBy } from '../../actors/network/ports.ts';
import { DomainRecords, type DomainRecord } from '../../src/drivers/hypervisor/domain-record.ts';
import { DomainWatch, type ChangeListener } from '../../src/drivers/hypervisor/domain-watch.ts';
import { offReason, planPower, type Step } from '../../src/drivers/hypervisor/power.ts';
import { Turns } from '../../src/drivers/turns.ts';
import { Ledger } from '../../src/drivers/ledger.ts';
import { SimDomain } from './sim-domain.ts';

export type SimStep = 'define' | 'undefine' | 'copy' | Step;

export interface SimHostOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** How long each step on a domain takes. */
  readonly stepMs?: number;
  /** From start or reset to `guest ready`. */
  readonly bootMs?: number;
  /** Called before each step on a domain: throws to make it fail, waits to make it slow. */
  readonly before?: (step: SimStep, instanceId: string) => void | Promise<void>;
}

export const SIM_PORTS = { first: 30_000, last: 50_000 };
const IO_RETRY_MS = 30_000;
/** Looks at a copy under way until it is done. */
const COPY_STEPS = 4;

/** One machine. */
export class SimHost {
  readonly options: SimHostOptions;
  readonly ledger = new Ledger(':memory:');
  readonly domains = new Map<string, SimDomain>();
  readonly consoles = new Map<string, string>();
  /** Paths that QEMU cannot open. */
  readonly brokenDisks = new Set<string>();
  /** Copies of disks that QEMU has written, by path. */
  readonly copied = new Set<string>();
  bootId = 'boot';
  hasControl = true;
  /** Of whichever daemon runs. */
  watch: DomainWatch | undefined;

  constructor(options: SimHostOptions) {
    this.options = options;
  }

  guestPowersOff(instanceId: string): void {
    this.domain(instanceId).stop('shutdown');
  }

  killQEMU(instanceId: string): void {
    this.domain(instanceId).stop('crashed');
  }

  /** libvirt does not answer, and tells no events. */
  loseControl(): void {
    this.hasControl = false;
  }

  returnControl(): void {
    this.hasControl = true;
    this.watch?.hear({ kind: 'connected' });
  }

  /** Nothing runs any more, and no libvirt remembers why. */
  reboot(): void {
    this.bootId += '+';
    for (const domain of this.domains.values()) domain.loseWithHost();
  }

  /** Throws when there is none. */
  domain(instanceId: string): SimDomain {
    const domain = this.domains.get(instanceId);
    if (domain === undefined) throw new Error(`no domain of ${instanceId} on this host`);
    return domain;
  }

  newDomain(instanceId: string): SimDomain {
    const { clock, bootMs = 0 } = this.options;
    const ref = { uuid: instanceId, name: instanceId, id: -1 };
    const domain = new SimDomain({
      clock,
      bootMs,
      agentChanged: () => {
        if (this.hasControl) this.watch?.changed(instanceId);
      },
      print: (text) => this.consoles.set(instanceId, (this.consoles.get(instanceId) ?? '') + text),
      tell: (event, detail) => {
        if (this.hasControl) this.watch?.hear({ kind: 'lifecycle', domain: ref, event, detail });
      },
    });
    this.domains.set(instanceId, domain);
    return domain;
  }
}

/** The driver of one daemon on the host. Making another one ends what this one hears. */
export class SimHypervisor implements Hypervisor {
  readonly #host: SimHost;
  readonly #records: DomainRecords;
  readonly #turns = new Turns();
  readonly #watch: DomainWatch;
  readonly #ioRetriedAt = new Map<string, number>();

  constructor(host: SimHost, log: Log = () => undefined) {
    this.#host = host;
    this.#records = new DomainRecords(host.ledger);
    const look = async (instanceId: string) => this.#look(instanceId);
    this.#watch = new DomainWatch({ records: this.#records, turns: this.#turns, log, look });
    host.watch = this.#watch;
  }

  async ensureDomain(spec: DomainSpec, by: WantedBy): Promise<DomainReport> {
    return await this.#turn(spec.instanceId, by, () => this.#converge(spec, by));
  }

  async removeDomain(instanceId: string, by: WantedBy): Promise<void> {
    await this.#turn(instanceId, by, async () => {
      const domain = this.#host.domains.get(instanceId);
      if (domain !== undefined) {
        if (domain.observed.power !== 'off') {
          await this.#step('destroy', instanceId, by, () => domain.stop('destroyed'));
        }
        await this.#step('undefine', instanceId, by, () => this.#host.domains.delete(instanceId));
      }
      this.#watch.forget(instanceId);
      this.#records.forget(instanceId);
    });
  }

  async domains(): Promise<readonly string[]> {
    this.#needControl();
    return [...this.#host.domains.keys()];
  }

  onChange(listener: ChangeListener): () => void {
    return this.#watch.subscribe(listener);
  }

  lookAgain(isMeant: (instanceId: string) => boolean): void {
    this.#watch.lookAgain(isMeant);
  }

  async readConsole(instanceId: string, lengthBytes: number): Promise<Uint8Array> {
    const bytes = Buffer.from(this.#host.consoles.get(instanceId) ?? '', 'latin1');
    return lengthBytes < 0 ? bytes : bytes.subarray(Math.max(0, bytes.length - lengthBytes));
  }

  async clearConsole(instanceId: string): Promise<void> {
    if (this.#host.consoles.has(instanceId)) this.#host.consoles.set(instanceId, '');
  }

  async screenshot(instanceId: string): Promise<Screenshot> {
    this.#needControl();
    const power = this.#host.domains.get(instanceId)?.observed.power;
    if (power !== 'on' && power !== 'paused')
      throw new TroupeError('object/wrong-phase', 'it does not run');
    return { mime: 'image/x-portable-pixmap', image: Buffer.from('P6\n1 1\n255\n\0\0\0') };
  }

  agentOf(instanceId: string): GuestAgent {
    const agent = this.#host.domains.get(instanceId)?.agent;
    if (agent !== undefined) return agent;
    throw new TroupeError('guest/lost', 'there is no agent in the guest');
  }

  async copyDisks(copies: DiskCopies): Promise<void> {
    const { instanceId, disks, nvram, signal, onProgress } = copies;
    const { before, clock, stepMs = 0 } = this.#host.options;
    const power = () => this.#host.domain(instanceId).observed.power;
    const isBegun = await this.#turns.run(instanceId, async () => {
      this.#checkpoint({ signal });
      this.#needControl();
      await before?.('copy', instanceId);
      if (!this.#host.domains.has(instanceId)) throw refused('there is no such domain');
      const isOff = power() === 'off';
      if (isOff) await copies.whileOff();
      if (nvram !== null) this.#host.copied.add(nvram);
      return !isOff && disks.length > 0;
    });
    for (let step = 0; isBegun && step < COPY_STEPS; step++) {
      await new Promise<void>((resolve) => clock.after(stepMs, resolve));
      this.#checkpoint({ signal });
      this.#needControl();
      if (!this.#host.domains.has(instanceId) || power() === 'off') {
        throw new TroupeError('object/not-ready', 'the guest went off meanwhile');
      }
      onProgress(step + 1, COPY_STEPS);
    }
    if (isBegun) for (const { path } of disks) this.#host.copied.add(path);
  }

  async #turn<T>(instanceId: string, by: WantedBy, work: () => Promise<T>): Promise<T> {
    return await this.#turns.run(instanceId, async () => {
      this.#checkpoint(by);
      this.#host.ledger.fence(formatAddress(by.owner), by);
      this.#needControl();
      return await work();
    });
  }

  async #converge(spec: DomainSpec, by: WantedBy): Promise<DomainReport> {
    const { instanceId: id, powerOns, hardReboots, softReboots } = spec;
    if (this.#records.claim(id, by, spec).consolePort === 0) this.#choosePorts(id);
    const digest = JSON.stringify({
      ...spec,
      power: 0,
      powerOns: 0,
      hardReboots: 0,
      softReboots: 0,
    });
    const domain = this.#host.domains.get(id) ?? this.#host.newDomain(id);
    if (domain.digest !== digest) {
      await this.#step('define', id, by, () => (domain.digest = digest));
    }
    domain.hasAgent = spec.sideChannels.includes('sf-agent');
    const { observed } = domain;
    if (observed.power === 'off') {
      const why = offReason(observed.reason, this.#record(id), this.#host.bootId);
      this.#records.update(id, { hardReboots, softReboots, offReason: why ?? 'none' });
    }
    const { bootId } = this.#host;
    const isIoError = observed.power === 'paused' && observed.byItself;
    const mayRetryIo = isIoError && this.#mayRetryIo(id);
    const record = this.#record(id);
    for (const step of planPower({ observed, record, wanted: spec, bootId, mayRetryIo })) {
      await this.#step(step, id, by, () => this.#perform(step, spec, domain));
    }
    const isUp = observed.power === 'on' || observed.power === 'paused';
    if (isUp && spec.power !== 'off') {
      this.#records.update(id, { startedFor: powerOns, bootId, offReason: 'none' });
    }
    const report = this.#report(domain, this.#record(id));
    this.#watch.remember(id, report);
    return report;
  }

  #perform(step: Step, spec: DomainSpec, domain: SimDomain): void {
    const { instanceId: id, powerOns: startedFor, hardReboots, softReboots } = spec;
    switch (step) {
      case 'start':
      case 'start-paused': {
        this.#records.update(id, { offReason: 'none' });
        const broken = spec.disks.find(({ path }) => this.#host.brokenDisks.has(path));
        if (broken !== undefined) throw refused(`Cannot access storage file '${broken.path}'`);
        domain.start(step === 'start-paused');
        return this.#records.update(id, { startedFor, bootId: this.#host.bootId });
      }
      case 'suspend':
        return domain.suspend();
      case 'resume':
        return domain.resume();
      case 'destroy':
        domain.stop('destroyed');
        return this.#records.update(id, { offReason: 'requested' });
      case 'reset':
        this.#records.update(id, { hardReboots, softReboots });
        return domain.reset();
      case 'reboot':
        this.#records.update(id, { softReboots });
        return domain.pressPowerButton();
    }
  }

  async #step(step: SimStep, id: string, by: WantedBy, act: () => void): Promise<void> {
    this.#checkpoint(by);
    const { before, stepMs = 0, clock } = this.#host.options;
    await before?.(step, id);
    await new Promise<void>((resolve) => clock.after(stepMs, resolve));
    this.#needControl();
    act();
  }

  #look(instanceId: string): DomainReport | undefined {
    this.#needControl();
    const record = this.#records.get(instanceId);
    const domain = this.#host.domains.get(instanceId);
    return record === undefined || domain === undefined ? undefined : this.#report(domain, record);
  }

  #report({ observed, hasAgent, agent }: SimDomain, record: DomainRecord): DomainReport {
    const state = agent === undefined ? 'not ready (no contact)' : 'ready';
    const expected = { state, startedAtMs: null, bootedAtMs: null };
    const isOff = observed.power === 'off';
    return {
      power: observed.power,
      offReason: isOff ? offReason(observed.reason, record, this.#host.bootId) : null,
      consolePort: isOff ? null : record.consolePort,
      vdiPort: isOff ? null : record.vdiPort,
      vdiTlsPort: null,
      accelerator: 'tcg',
      ...(hasAgent ? { agent: observed.power === 'on' ? expected : null } : {}),
    };
  }

  #choosePorts(instanceId: string): void {
    const held = new Set(this.#records.heldPorts());
    const [consolePort, vdiPort] = [this.#freePort(held), this.#freePort(held)];
    this.#records.update(instanceId, { consolePort, vdiPort });
  }

  #freePort(held: Set<number>): number {
    const { first, last } = SIM_PORTS;
    let port: number;
    do port = first + Math.floor(this.#host.options.random() * (last - first + 1));
    while (held.has(port));
    held.add(port);
    return port;
  }

  #mayRetryIo(instanceId: string): boolean {
    const now = this.#host.options.clock.monoMs();
    if (now - (this.#ioRetriedAt.get(instanceId) ?? -Infinity) < IO_RETRY_MS) return false;
    this.#ioRetriedAt.set(instanceId, now);
    return true;
  }

  #record(instanceId: string): DomainRecord {
    const record = this.#records.get(instanceId);
    if (record === undefined) throw new Error(`${instanceId} is not in the ledger any more`);
    return record;
  }

  #needControl(): void {
    if (this.#host.hasControl) return;
    throw new TroupeError('hypervisor/unavailable', 'the simulated libvirt does not answer');
  }

  #checkpoint({ signal }: Pick<WantedBy, 'signal'>): void {
    if (signal.aborted) throw new TroupeError('actor/stopped', 'called off');
  }
}

function refused(words: string): TroupeError {
  return new TroupeError('hypervisor/refused', words);
}

// A simulated machine, for the conformance suite.
import { randomUUID } from 'node:crypto';
import type { DomainSpec } from '../../../actors/instance/ports.ts';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { SIM_PORTS, SimHost, SimHypervisor } from '../../support/sim-hypervisor.ts';
import type { SimHostOptions } from '../../support/sim-hypervisor.ts';
import type { HypervisorLab } from './lab.ts';

export class SimLab implements HypervisorLab {
  readonly ports = SIM_PORTS;
  readonly host: SimHost;
  /** The clock's timers keep no process alive; a test that waits for one must not end before it. */
  readonly #alive = setInterval(() => undefined, 1000);
  #hypervisor: SimHypervisor;

  constructor(change: Partial<SimHostOptions> = {}) {
    const clock = systemClock;
    this.host = new SimHost({ clock, random: Math.random, stepMs: 1, bootMs: 2, ...change });
    this.#hypervisor = new SimHypervisor(this.host);
  }

  get hypervisor(): SimHypervisor {
    return this.#hypervisor;
  }

  async newSpec(change: Partial<DomainSpec> = {}): Promise<DomainSpec> {
    const instanceId = randomUUID();
    const path = `/simulated/${instanceId}.qcow2`;
    return {
      instanceId,
      name: 'conformance',
      namespace: 'lab',
      cpus: 1,
      memoryMiB: 48,
      uefi: false,
      secureBoot: false,
      disks: [
        { device: 'vda', path, format: 'qcow2', media: 'disk', bus: 'virtio', readonly: false },
      ],
      nics: [],
      sideChannels: [],
      video: { model: 'cirrus', memoryKiB: 16_384, vdi: 'vnc' },
      power: 'on',
      powerOns: 1,
      hardReboots: 0,
      softReboots: 0,
      ...change,
    };
  }

  async guestPowersOff(instanceId: string): Promise<void> {
    this.host.guestPowersOff(instanceId);
  }

  async killQEMU(instanceId: string): Promise<void> {
    this.host.killQEMU(instanceId);
  }

  async loseControl(): Promise<void> {
    this.host.loseControl();
  }

  async returnControl(): Promise<void> {
    this.host.returnControl();
  }

  async restartDaemon(): Promise<void> {
    this.#hypervisor = new SimHypervisor(this.host);
  }

  async rebootHost(): Promise<void> {
    this.host.reboot();
    await this.restartDaemon();
  }

  async breakDisk(spec: DomainSpec, broken: boolean): Promise<void> {
    for (const { path } of spec.disks) {
      if (broken) this.host.brokenDisks.add(path);
      else this.host.brokenDisks.delete(path);
    }
  }

  copyPath(name: string): string {
    return `/copies/${name}`;
  }

  hasCopy(path: string): boolean {
    return this.host.copied.has(path);
  }

  ledgerOf(instanceId: string): readonly string[] {
    const owner = `instance/${instanceId}`;
    return this.host.ledger.list({ owner }).map(({ resource, name }) => `${resource} ${name}`);
  }

  async close(): Promise<void> {
    clearInterval(this.#alive);
    this.host.ledger.close();
  }
}

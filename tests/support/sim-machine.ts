// One simulated machine: what outlives a daemon on it (domains, segments, taps, images, the ledger), and
// the faults that befall its drivers.
//
// M1  A daemon that has died acts no more: each driver is made for one daemon and asks whether it lives.
// M2  Every act checks its fence again at the moment it happens; an act under an older wish than one
//     already seen is a violation, kept for the test to find.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress } from '../../actors/kernel/kind.ts';
import type { WantedBy } from '../../actors/network/ports.ts';
import { SimHost } from './sim-hypervisor.ts';
import { SimImages } from './sim-images.ts';
import { SimNet } from './sim-dataplane.ts';

/** `driver.call`, such as `network.ensureTap` or `hypervisor.start`. */
export type SimCall = string;

export interface SimMachineOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** How long each act on the machine takes. */
  readonly stepMs?: number;
}

export class SimMachine {
  readonly hypervisor: SimHost;
  readonly net = new SimNet();
  readonly images: SimImages;
  /** Acts done, in order. */
  readonly calls: SimCall[] = [];
  readonly violations: string[] = [];
  /** Asked before each act: what it fails with, or null. */
  fault: (call: SimCall, id: string) => Error | null = () => null;
  /** How long each act takes. */
  stepMs: number;
  readonly #clock: Clock;

  constructor(options: SimMachineOptions) {
    const { clock, random, stepMs = 5 } = options;
    this.#clock = clock;
    this.images = new SimImages(() => clock.nowMs());
    this.stepMs = stepMs;
    const before = (step: string, id: string) => this.#before(`hypervisor.${step}`, id);
    const now = () => this.stepMs;
    const host = { clock, random, bootMs: 2_000, before };
    this.hypervisor = new SimHost({
      ...host,
      get stepMs() {
        return now();
      },
    });
  }

  get ledger() {
    return this.hypervisor.ledger;
  }

  /** One act of a driver: fenced, fails as told, takes a while, and does not happen once its daemon is dead. */
  async act<T>(
    call: SimCall,
    subject: { readonly id: string; readonly by: WantedBy; readonly isAlive: () => boolean },
    act: () => T,
  ): Promise<T> {
    const { id, by, isAlive } = subject;
    checkpoint(by);
    this.#before(call, id);
    await new Promise<void>((resolve) => this.#clock.after(this.stepMs, resolve));
    if (!isAlive()) return await new Promise<T>(() => {});
    checkpoint(by);
    const seen = this.ledger.lastFence(formatAddress(by.owner));
    if (seen !== undefined && isOlder(by, seen)) {
      const wish = `${by.epoch}/${by.generation}`;
      this.violations.push(`${call} ${id} by ${wish} after ${seen.epoch}/${seen.generation}`);
    }
    return act();
  }

  /** Everything on the machine that belongs to Troupe, for the test to find empty. */
  leftovers(): string[] {
    const entries = this.ledger.list().map(({ resource, name }) => `ledger ${resource} ${name}`);
    const domains = [...this.hypervisor.domains.keys()].map((id) => `domain ${id}`);
    return [...domains, ...this.net.list(), ...this.images.list(), ...entries];
  }

  #before(call: SimCall, id: string): void {
    this.calls.push(call);
    const fault = this.fault(call, id);
    if (fault !== null) throw fault;
  }
}

interface Wish {
  readonly epoch: number;
  readonly generation: number;
}

function isOlder(a: Wish, b: Wish): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.generation < b.generation);
}

function checkpoint({ signal }: WantedBy): void {
  if (signal.aborted) throw new TroupeError('actor/stopped', 'called off');
}

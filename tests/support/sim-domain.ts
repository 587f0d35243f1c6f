// A simulated domain with its guest: what QEMU and libvirt are to SimHypervisor.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import type { Observed, OffReason } from '../../src/drivers/hypervisor/power.ts';
import { SimAgent } from './sim-agent.ts';
import { stopReason } from '../../src/drivers/hypervisor/observe.ts';

export interface SimDomainOptions {
  readonly clock: Clock;
  /** From start or reset to `guest ready`. */
  readonly bootMs: number;
  readonly print: (text: string) => void;
  /** libvirt's lifecycle event. */
  /** The agent has come, or gone. */
  readonly agentChanged: () => void;
  readonly tell: (event: 'started' | 'stopped' | 'suspended' | 'resumed', detail: string) => void;
}

export class SimDomain {
  /** Of the stored definition. */
  digest = '';
  /** An agent is expected in the guest. */
  hasAgent = false;
  /** Of the guest that runs; new at each boot. */
  agent: SimAgent | undefined;
  readonly #options: SimDomainOptions;
  #observed: Observed = { power: 'off', reason: 'unknown' };
  #boot: Timer | undefined;
  /** Set while the guest is stopped in the middle of its boot. */
  #isBootHeld = false;

  constructor(options: SimDomainOptions) {
    this.#options = options;
  }

  get observed(): Observed {
    return this.#observed;
  }

  start(paused: boolean): void {
    this.#observed = paused ? { power: 'paused', byItself: false } : { power: 'on' };
    this.#options.tell('started', 'booted');
    this.reset();
  }

  /** Ends QEMU; `detail` as in libvirt's `stopped` event. Does nothing when it is off. */
  stop(detail: 'shutdown' | 'destroyed' | 'crashed' | 'failed'): void {
    if (this.#observed.power === 'off') return;
    this.#goOff(stopReason(detail));
    this.#options.tell('stopped', detail);
  }

  /** The host lost its power: nobody remembers anything. */
  loseWithHost(): void {
    this.#goOff('unknown');
  }

  /** QEMU stopped the guest because its storage failed. */
  failIo(): void {
    this.#observed = { power: 'paused', byItself: true };
    this.#options.tell('suspended', 'io-error');
  }

  suspend(): void {
    this.#observed = { power: 'paused', byItself: false };
    this.#options.tell('suspended', 'paused');
  }

  resume(): void {
    this.#observed = { power: 'on' };
    this.#options.tell('resumed', 'unpaused');
    if (this.#isBootHeld) this.#bootUp();
  }

  reset(): void {
    this.#boot?.cancel();
    this.#agentGoes();
    const { clock, bootMs } = this.#options;
    this.#boot = clock.after(bootMs, () => this.#bootUp());
  }

  /** The guest shuts down at the power button, and is started again in the same QEMU. */
  pressPowerButton(): void {
    this.#options.print('power button\r\n');
    this.reset();
  }

  #bootUp(): void {
    this.#isBootHeld = this.#observed.power === 'paused';
    if (this.#observed.power !== 'on') return;
    this.#options.print('guest ready\r\n');
    if (!this.hasAgent) return;
    this.agent = new SimAgent();
    this.#options.agentChanged();
  }

  #agentGoes(): void {
    this.agent?.die();
    this.agent = undefined;
  }

  #goOff(reason: OffReason | 'unknown'): void {
    this.#boot?.cancel();
    this.#agentGoes();
    this.#isBootHeld = false;
    this.#observed = { power: 'off', reason };
  }
}

// The agents of one running guest: the QEMU guest agent and `sf-agent`, whichever it has. The one that is ready speaks for
// both; when neither is, the one that has been heard of does.
//
// N1  Nothing is polled that is not connected: the QEMU agent's channel says when something in the guest opens it.
// N2  An agent that works for somebody is not pinged: it answers one after the other, and a slow guest takes its time.
// N3  What has changed is told once, and not again what was told.
import { connect } from 'node:net';
import type { GuestAgent } from '../../../actors/instance/guest-agent.ts';
import type { AgentSeen } from '../../../actors/instance/state.ts';
import type { Clock, Timer } from '../../../actors/kernel/clock.ts';
import { plainEqual } from '../../../actors/kernel/equal.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { QemuAgent, type AgentCall } from './qemu-agent.ts';
import { SfAgent } from './sf-agent.ts';
import { UNKNOWN } from './sf-agent-state.ts';

/** Between two pings of the QEMU agent. */
const PING_EVERY_MS = 10_000;
/** Not known to be connected: an event that was missed is made good for this late. */
const LOOK_EVERY_MS = 60_000;
const RECONNECT_MS = 2_000;

export interface AgentMonitorOptions {
  readonly clock: Clock;
  readonly qemuCall: AgentCall;
  /** Carries out a ping when it may: many guests share one libvirt. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  /** QEMU's socket of the `sf-agent` port. */
  readonly socketPath: string;
  readonly onChange: () => void;
}

export class AgentMonitor {
  readonly #options: AgentMonitorOptions;
  readonly #qemu: QemuAgent;
  readonly #stopping = new AbortController();
  #qemuSeen: AgentSeen = UNKNOWN;
  #sfSeen: AgentSeen = UNKNOWN;
  #sf: SfAgent | undefined;
  #told: AgentSeen = UNKNOWN;
  #pingTimer: Timer | undefined;
  #sfTimer: Timer | undefined;
  #isPinging = false;
  /** Calls that wait for the QEMU agent, which answers one after the other; and when it last did. */
  #calls = 0;
  #answeredAtMono = -Infinity;
  /** The channel was opened while a ping was under way that may have come too early. */
  #isDueAgain = false;

  constructor(options: AgentMonitorOptions) {
    this.#options = options;
    this.#qemu = new QemuAgent((...call) => this.#call(...call));
    void this.#ping();
    this.#connect();
  }

  get seen(): AgentSeen {
    return this.#told;
  }

  /** Error: `guest/lost` when none is ready. */
  get agent(): GuestAgent {
    if (isReady(this.#sfSeen) && this.#sf !== undefined) return this.#sf;
    if (isReady(this.#qemuSeen)) return this.#qemu;
    throw new TroupeError('guest/lost', `the agent in the guest is ${this.#told.state}`);
  }

  /** libvirt says that something in the guest has opened the QEMU agent's channel, or closed it. */
  channelChanged(isConnected: boolean): void {
    if (isConnected) return void this.#ping();
    if (this.#qemuSeen === UNKNOWN) return;
    this.#seeQemu({ ...this.#qemuSeen, state: 'not ready (agent stopped)' });
  }

  stop(): void {
    this.#stopping.abort();
    this.#pingTimer?.cancel();
    this.#sfTimer?.cancel();
    this.#sf?.end('it is no longer watched');
  }

  async #ping(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#isDueAgain = this.#isPinging;
    if (this.#isPinging) return;
    this.#isPinging = true;
    this.#pingTimer?.cancel();
    try {
      await this.#options.inTurn(() => this.#look());
    } finally {
      this.#isPinging = false;
    }
    if (this.#stopping.signal.aborted) return;
    if (this.#isDueAgain) return this.#ping();
    const everyMs = isReady(this.#qemuSeen) ? PING_EVERY_MS : LOOK_EVERY_MS;
    this.#pingTimer = this.#options.clock.after(everyMs, () => void this.#ping());
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { signal } = this.#stopping;
    if (isReady(this.#qemuSeen) && this.#isBusy) return;
    try {
      await this.#qemu.ping(signal);
      if (isReady(this.#qemuSeen)) return;
      const bootedAtMs = await this.#qemu.bootedAtMs(signal);
      const startedAtMs = this.#options.clock.nowMs();
      this.#seeQemu({ state: 'ready', startedAtMs, bootedAtMs });
    } catch (error) {
      // Whatever is the matter, it does not answer; what never has is not missed.
      const isMissed = !(error instanceof TroupeError && error.code === 'actor/stopped');
      if (!isMissed || !isReady(this.#qemuSeen)) return;
      this.#seeQemu({ ...this.#qemuSeen, state: 'not ready (unresponsive)' });
    }
  }

  /** It works for somebody, or has just done so: a ping would only wait behind that. */
  get #isBusy(): boolean {
    return this.#calls > 0 || this.#options.clock.monoMs() - this.#answeredAtMono < PING_EVERY_MS;
  }

  async #call(...call: Parameters<AgentCall>): Promise<unknown> {
    const { qemuCall, clock } = this.#options;
    this.#calls++;
    try {
      const answer = await qemuCall(...call);
      this.#answeredAtMono = clock.monoMs();
      return answer;
    } finally {
      this.#calls--;
    }
  }

  #connect(): void {
    if (this.#stopping.signal.aborted) return;
    const { clock, socketPath } = this.#options;
    this.#sf = new SfAgent({
      socket: connect(socketPath),
      clock,
      onSeen: (seen) => this.#seeSf(seen),
      onEnd: () => {
        const wasHeard = this.#sfSeen.startedAtMs !== null;
        const stopped = this.#sfSeen.state === 'not ready (agent stopped)';
        if (wasHeard && !stopped) {
          this.#seeSf({ ...this.#sfSeen, state: 'not ready (unresponsive)' });
        }
        if (this.#stopping.signal.aborted) return;
        this.#sfTimer = clock.after(RECONNECT_MS, () => this.#connect());
      },
    });
  }

  #seeQemu(seen: AgentSeen): void {
    this.#qemuSeen = seen;
    this.#tell();
  }

  #seeSf(seen: AgentSeen): void {
    this.#sfSeen = seen;
    this.#tell();
  }

  #tell(): void {
    const seen = spokesman(this.#sfSeen, this.#qemuSeen);
    if (this.#stopping.signal.aborted || plainEqual(seen, this.#told)) return;
    this.#told = seen;
    this.#options.onChange();
  }
}

/** Who speaks for both. */
export function spokesman(sf: AgentSeen, qemu: AgentSeen): AgentSeen {
  if (isReady(sf)) return sf;
  if (isReady(qemu)) return qemu;
  return sf.state === UNKNOWN.state ? qemu : sf;
}

function isReady({ state }: AgentSeen): boolean {
  return state.startsWith('ready');
}

// The agents of all guests on this machine that are expected to have one: watched from when the guest runs until it does not.
import type { GuestAgent } from '../../../actors/instance/guest-agent.ts';
import type { DomainReport } from '../../../actors/instance/ports.ts';
import type { AgentSeen } from '../../../actors/instance/state.ts';
import type { Clock } from '../../../actors/kernel/clock.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Slots } from '../turns.ts';
import { AgentMonitor } from './agent-monitor.ts';
import type { AgentCall } from './qemu-agent.ts';

/** The side channel that says that an agent is expected (contract: instances 3.5). */
export const AGENT_SIDE_CHANNEL = 'sf-agent';
/** An agent that does not answer holds up a call to libvirt for seconds: no more at once than this. */
const AT_ONCE = 2;

export interface AgentWatchOptions {
  readonly clock: Clock;
  readonly qemuCall: (instanceId: string) => AgentCall;
  readonly socketPath: (instanceId: string) => string;
  /** An agent's state is another one. */
  readonly onChange: (instanceId: string) => void;
}

export class AgentWatch {
  readonly #options: AgentWatchOptions;
  readonly #slots = new Slots(AT_ONCE);
  /** Instances whose agent is expected. */
  readonly #expected = new Set<string>();
  readonly #monitors = new Map<string, AgentMonitor>();

  constructor(options: AgentWatchOptions) {
    this.#options = options;
  }

  /** From an instance's wish. */
  expect(instanceId: string, sideChannels: readonly string[]): void {
    if (sideChannels.includes(AGENT_SIDE_CHANNEL)) this.#expected.add(instanceId);
    else this.forget(instanceId);
  }

  /** The report with what is known of the agent; a guest that runs is watched from now on, one that does not no longer. */
  reported(instanceId: string, report: DomainReport): DomainReport {
    if (!this.#expected.has(instanceId)) return report;
    const known = this.#monitors.get(instanceId);
    if (report.power !== 'on') {
      known?.stop();
      this.#monitors.delete(instanceId);
      return { ...report, agent: null };
    }
    return { ...report, agent: (known ?? this.#watch(instanceId)).seen };
  }

  /** libvirt: the QEMU agent's channel was opened or closed from inside. */
  channelChanged(instanceId: string, isConnected: boolean): void {
    this.#monitors.get(instanceId)?.channelChanged(isConnected);
  }

  /** Error: `guest/lost`. */
  agentOf(instanceId: string): GuestAgent {
    const monitor = this.#monitors.get(instanceId);
    if (monitor !== undefined) return monitor.agent;
    throw new TroupeError('guest/lost', 'the guest does not run, or has no agent');
  }

  seenOf(instanceId: string): AgentSeen | null {
    return this.#monitors.get(instanceId)?.seen ?? null;
  }

  forget(instanceId: string): void {
    this.#expected.delete(instanceId);
    this.#monitors.get(instanceId)?.stop();
    this.#monitors.delete(instanceId);
  }

  stop(): void {
    for (const monitor of this.#monitors.values()) monitor.stop();
    this.#monitors.clear();
  }

  #watch(instanceId: string): AgentMonitor {
    const { clock, qemuCall, socketPath, onChange } = this.#options;
    const monitor = new AgentMonitor({
      clock,
      qemuCall: qemuCall(instanceId),
      inTurn: (work) => this.#slots.run(work),
      socketPath: socketPath(instanceId),
      onChange: () => onChange(instanceId),
    });
    this.#monitors.set(instanceId, monitor);
    return monitor;
  }
}

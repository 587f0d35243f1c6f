// What reaches into a running guest: its console and screen, its agent, QEMU's monitor.
import type { CallOptions } from './call-table.ts';
import type { Caller } from './link.ts';
import { PROCEDURES } from './procedures.ts';
import { readAll, type LibvirtStream } from './stream.ts';
import type { DomainRef } from './wire.ts';

const CONSOLE_FORCE = 1;
const MONITOR_HMP = 1;
const MAX_SCREENSHOT_BYTES = 64 * 1024 * 1024;
/** How much longer we wait for a reply than libvirt waits for the agent. */
const AGENT_GRACE_MS = 2000;

export interface Screenshot {
  /** `image/png` or `image/x-portable-pixmap`, as QEMU made it. */
  readonly mime: string;
  readonly image: Buffer;
}

export class GuestCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /**
   * Opens a serial console, the first one unless `device` names another by its alias. One reader at a
   * time: a second is refused unless `force`, which ends the first. The caller destroys the stream.
   */
  async openConsole(
    domain: DomainRef,
    about: { device?: string; force?: boolean } & CallOptions = {},
  ): Promise<LibvirtStream> {
    const { device = null, force = false, ...options } = about;
    const args = { domain, device, flags: force ? CONSOLE_FORCE : 0 };
    const procedure = PROCEDURES.domainOpenConsole;
    return (await this.#caller.openStream(procedure, args, options)).stream;
  }

  /** A picture of the guest's screen. */
  async screenshot(
    domain: DomainRef,
    { screen = 0, ...options }: { screen?: number } & CallOptions = {},
  ): Promise<Screenshot> {
    const args = { domain, screen, flags: 0 };
    const opened = await this.#caller.openStream(PROCEDURES.domainScreenshot, args, options);
    const image = await readAll(opened.stream, MAX_SCREENSHOT_BYTES);
    return { mime: opened.result.mime ?? '', image };
  }

  /**
   * Sends a command to the QEMU guest agent and returns its `return` value. Rejects with
   * `agent-unresponsive` when none is connected or it does not answer in `agentTimeoutS`.
   */
  async agent(
    domain: DomainRef,
    command: { execute: string; arguments?: Readonly<Record<string, unknown>> },
    { agentTimeoutS = 5, ...options }: { agentTimeoutS?: number } & CallOptions = {},
  ): Promise<unknown> {
    const args = { domain, command: JSON.stringify(command), timeoutS: agentTimeoutS, flags: 0 };
    const limits = { timeoutMs: agentTimeoutS * 1000 + AGENT_GRACE_MS, ...options };
    const { result } = await this.#caller.call(PROCEDURES.domainAgentCommand, args, limits);
    return returnValue(result);
  }

  /** Sends a QMP command to QEMU itself and returns its `return` value. libvirt marks the domain. */
  async monitor(
    domain: DomainRef,
    command: { execute: string; arguments?: Readonly<Record<string, unknown>> },
    options?: CallOptions,
  ): Promise<unknown> {
    const args = { domain, command: JSON.stringify(command), flags: 0 };
    const { result } = await this.#caller.call(PROCEDURES.domainMonitorCommand, args, options);
    return returnValue(result);
  }

  /** Sends a line of QEMU's human monitor and returns what it prints. For people and tests. */
  async humanMonitor(domain: DomainRef, line: string, options?: CallOptions): Promise<string> {
    const args = { domain, command: line, flags: MONITOR_HMP };
    return (await this.#caller.call(PROCEDURES.domainMonitorCommand, args, options)).result;
  }

  /** Freezes the guest's filesystems (all, or those mounted there) by its agent; how many. */
  async freeze(
    domain: DomainRef,
    { mountPoints = [], ...options }: { mountPoints?: readonly string[] } & CallOptions = {},
  ): Promise<number> {
    const args = { domain, mountPoints, flags: 0 };
    return (await this.#caller.call(PROCEDURES.domainFsfreeze, args, options)).filesystems;
  }

  /** Thaws what freeze() froze; how many. */
  async thaw(
    domain: DomainRef,
    { mountPoints = [], ...options }: { mountPoints?: readonly string[] } & CallOptions = {},
  ): Promise<number> {
    const args = { domain, mountPoints, flags: 0 };
    return (await this.#caller.call(PROCEDURES.domainFsthaw, args, options)).filesystems;
  }
}

/** Both monitors answer `{"return": …}`; libvirt turns their errors into its own. */
function returnValue(reply: string | null): unknown {
  const parsed: unknown = JSON.parse(reply ?? '{}');
  const isObject = typeof parsed === 'object' && parsed !== null;
  return isObject && 'return' in parsed ? parsed.return : undefined;
}

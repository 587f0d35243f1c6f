// Which process is meant, safely: a pid alone may by now be somebody else's.
//
// I1  A process is its pid, its start time and the boot it ran in. The three together are never
//     used again.
// I2  A zombie is dead. Where pid 1 is slow to reap, a killed process keeps its pid for seconds.
import { readFileSync, readlinkSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot, as /proc/PID/stat has it; kept through exec. */
  readonly startTicks: string;
}

/** The fields of /proc/PID/stat after the name, which may itself hold spaces and parentheses. */
function statFields(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    // ENOENT, or ESRCH when it ended while we read: there is no such process.
    return undefined;
  }
}

const STATE_FIELD = 0;
const START_TICKS_FIELD = 19;

/** The identity of the process that has this pid now; undefined when none is alive. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid);
  const startTicks = fields?.[START_TICKS_FIELD];
  if (fields?.[STATE_FIELD] === 'Z' || startTicks === undefined) return undefined;
  return { pid, startTicks };
}

/** Whether exactly this process still runs. */
export function isAlive(process: ProcessIdentity): boolean {
  return identityOf(process.pid)?.startTicks === process.startTicks;
}

/**
 * Names this boot of this pid namespace: what was running under another name runs no more. A
 * container that is started again keeps the host's boot id, but not its first process.
 */
export function bootIdentity(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  const first = statFields(1)?.[START_TICKS_FIELD] ?? '0';
  return `${boot} ${readlinkSync('/proc/self/ns/pid')} ${first}`;
}

/** Signals exactly this process; quiet when it has ended. */
export function signalProcess(target: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(target)) return;
  try {
    process.kill(target.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Resolves true once the process has ended, false when it has not by the deadline. */
export async function waitForEnd(target: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadlineAtMono = performance.now() + timeoutMs;
  while (isAlive(target)) {
    if (performance.now() >= deadlineAtMono) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/** SIGTERM, and SIGKILL to what is still there after `timeoutMs`. Resolves when it has ended. */
export async function endProcess(target: ProcessIdentity, timeoutMs: number): Promise<void> {
  signalProcess(target, 'SIGTERM');
  if (await waitForEnd(target, timeoutMs)) return;
  signalProcess(target, 'SIGKILL');
  await waitForEnd(target, KILL_DEADLINE_MS);
}

/** A killed process goes at once unless it hangs in the kernel, where no waiting helps. */
const KILL_DEADLINE_MS = 5_000;

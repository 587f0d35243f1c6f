// One machine of the lab: network, mount, PID and host name namespaces that live and die with their first process.
//
// M1  Killing that process is pulling the plug: everything the machine ran is gone, and so are its mounts, links
//     and namespaces. Files stay, as on a disk.
// M2  Nothing of the host's /run is seen in it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { exec, type ExecResult } from '../../src/drivers/exec.ts';
import {
  identityOf,
  isAlive,
  signalProcess,
  waitForEnd,
  type ProcessIdentity,
} from '../../src/embedded/process-identity.ts';

const INIT = fileURLToPath(new URL('./machine-init.pl', import.meta.url));
const START_MS = 10_000;
const END_MS = 10_000;
const TRACE = 'lab';

/** A machine that runs, by its first process. */
export type Machine = ProcessIdentity;

export interface MachineOptions {
  readonly name: string;
  /** Ends with this process; otherwise it stays until it is stopped. */
  readonly isAttached: boolean;
}

/** Starts it; resolves when it can be used. */
export async function startMachine(options: MachineOptions): Promise<Machine> {
  const { name, isAttached } = options;
  const namespaces = ['--net', '--mount', '--pid', '--uts', '--fork', '--mount-proc'];
  const init = ['perl', INIT, name, isAttached ? 'attached' : 'detached'];
  const child = spawn('unshare', [...namespaces, ...init], {
    detached: true,
    stdio: [isAttached ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => (words += chunk.toString()));
  const limit = AbortSignal.timeout(START_MS);
  const ended = once(child, 'exit', { signal: limit });
  const isReady = await Promise.race([
    once(child.stdout ?? child, 'data', { signal: limit }).then(() => true),
    ended.then(() => false),
  ]);
  ended.catch(() => undefined);
  const first = firstChildOf(child.pid ?? 0);
  if (!isReady || first === undefined) throw new Error(`machine ${name} did not start: ${words}`);
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
  return first;
}

/** unshare's only child is the machine's first process. */
function firstChildOf(pid: number): ProcessIdentity | undefined {
  const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ');
  return identityOf(Number(first));
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly okCodes?: readonly number[];
  readonly input?: string;
}

/** Runs a program in the machine. Errors: those of exec(). */
export function runIn(
  machine: Machine,
  command: readonly string[],
  options: RunOptions = {},
): Promise<ExecResult> {
  const [program = '', ...args] = inside(machine, command);
  return exec(program, args, { trace: TRACE, ...options });
}

/** The command line that runs a command in the machine. */
export function inside(machine: Machine, command: readonly string[]): string[] {
  return ['nsenter', '-t', String(machine.pid), '-n', '-m', '-p', '-u', '--', ...command];
}

/** Pulls the plug. */
export async function stopMachine(machine: Machine): Promise<void> {
  if (!isAlive(machine)) return;
  signalProcess(machine, 'SIGKILL');
  if (!(await waitForEnd(machine, END_MS))) throw new Error(`machine ${machine.pid} does not end`);
}

// The daemon of a lab's node: set up, started, killed, paused, as an operator or a fault would.
import { spawn } from 'node:child_process';
import { closeSync, copyFileSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config.ts';
import { lastWords } from '../../src/embedded/launch.ts';
import { isAlive } from '../../src/embedded/process-identity.ts';
import type { Lab, LabNode } from './lab.ts';
import { inside, runIn } from './machine.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** In the machine: the daemon's process, as numbered there. */
const PID_FILE = '/run/daemon.pid';
const API_PORT = 13_000;
const START_MS = 180_000;
const STOP_MS = 60_000;
const LOOK_MS = 50;

export function apiUrlOf({ address }: LabNode): string {
  return `http://${address}:${API_PORT}`;
}

/** Runs the command line of Troupe on the node; resolves to what it prints. */
export async function troupe(node: LabNode, ...words: readonly string[]): Promise<string> {
  const command = [...environmentOf(node), process.execPath, 'src/cli/troupe.ts', ...words];
  return (await runIn(node.machine, command, { timeoutMs: 60_000 })).stdout;
}

/** What a program of Troupe needs to know on a machine that shares its files with others. */
export function environmentOf({ directory }: LabNode): string[] {
  const login = join(directory, 'login.json');
  return ['env', '-C', ROOT, `TROUPE_DATA_DIR=${directory}`, `TROUPE_LOGIN=${login}`];
}

/** Makes it a node of the lab's cluster: the first makes the cluster, the others are invited by it. */
export async function enlist(lab: Lab, node: LabNode): Promise<void> {
  const [first] = lab.nodes;
  const self = ['--node', node.name, '--address', node.address];
  if (first === undefined || first === node) {
    await troupe(node, 'cluster', 'init', ...self);
    return;
  }
  const invitation = (await troupe(first, 'node', 'invite')).trim();
  await troupe(node, 'node', 'join', invitation, ...self);
  // What the first has found out about this computer holds for all.
  const known = join(first.directory, 'probe.json');
  if (existsSync(known)) copyFileSync(known, join(node.directory, 'probe.json'));
}

/** Starts the daemon; resolves when its API answers. Rejects with its last words when it ends instead. */
export async function startDaemon(node: LabNode, stop?: AbortSignal): Promise<void> {
  const output = openSync(outputOf(node), 'a');
  // Left to the machine's first process: nsenter would stand still with it when it is paused, and never see its end.
  const script = `setsid "$@" & echo $! >${PID_FILE}`;
  const daemon = [...environmentOf(node), process.execPath, 'src/main.ts'];
  const [program = '', ...args] = inside(node.machine, ['sh', '-c', script, 'sh', ...daemon]);
  const child = spawn(program, args, { detached: true, stdio: ['ignore', output, output] });
  closeSync(output);
  await once(child, 'exit');
  const untilMono = performance.now() + START_MS;
  while (!(await answers(node))) {
    if (!(await isRunning(node)))
      throw new Error(`the daemon of ${node.name} ended: ${lastWords(outputOf(node))}`);
    if (performance.now() > untilMono) throw new Error(`the daemon of ${node.name} does not serve`);
    await delay(LOOK_MS);
    stop?.throwIfAborted();
  }
}

/** Whether its API says that it is well. */
export async function answers(node: LabNode): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(5_000);
    return (await fetch(`${apiUrlOf(node)}/healthz`, { signal })).ok;
  } catch {
    // Nobody listens there yet.
    return false;
  }
}

export function killDaemon(node: LabNode): Promise<void> {
  return signalDaemon(node, 'KILL');
}

/** It stands still, as a machine that swaps or a virtual one that is moved. */
export function pauseDaemon(node: LabNode): Promise<void> {
  return signalDaemon(node, 'STOP');
}

export function resumeDaemon(node: LabNode): Promise<void> {
  return signalDaemon(node, 'CONT');
}

/** Ends it in order, with all that it runs. */
export async function stopDaemon(node: LabNode): Promise<void> {
  if (!isAlive(node.machine) || !(await isRunning(node))) return;
  await signalDaemon(node, 'TERM');
  const untilMono = performance.now() + STOP_MS;
  while (await isRunning(node)) {
    if (performance.now() > untilMono) throw new Error(`the daemon of ${node.name} does not end`);
    await delay(LOOK_MS);
  }
}

/** Whether its process is there, paused or not. */
export async function isRunning(node: LabNode): Promise<boolean> {
  const look = ['sh', '-c', `kill -0 "$(cat ${PID_FILE})" 2>/dev/null`];
  return (await runIn(node.machine, look, { okCodes: [0, 1, 2] })).code === 0;
}

async function signalDaemon(node: LabNode, signal: string): Promise<void> {
  const send = ['sh', '-c', `kill -${signal} "$(cat ${PID_FILE})"`];
  await runIn(node.machine, send);
}

function outputOf({ directory }: LabNode): string {
  return join(directory, 'daemon.out');
}

/** Marks what its daemon makes in the kernel. */
export function tagOf({ directory }: LabNode): string {
  return readConfig({ flags: ['--data-dir', directory], variables: {}, directory }).hostTag;
}

/** The administrator's login there. */
export function loginOf({ directory }: LabNode): { namespace: string; key: string } {
  return JSON.parse(readFileSync(join(directory, 'login.json'), 'utf8')) as {
    namespace: string;
    key: string;
  };
}

// The dnsmasq of a segment: a daemon of its own that outlives Troupe's, found again by what its command line says.
//
// M1  A process is ours only if its command line names our settings file: a pid alone may be anybody's.
// M2  It serves the present namespace and device, or it is replaced: a socket bound to a device that was made anew is deaf.
// M3  Additions are read on SIGHUP. A removed or changed port restarts it, because only that revokes the lease.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { DNSMASQ_USER, type ServiceWanted } from './dnsmasq-config.ts';
import { namespacePath, type Errand, type Host } from './host.ts';
import { textDigest } from './nft.ts';

/** What the running process was started with, as the ledger remembers it. */
export interface ServiceLoaded {
  /** Digest of both hosts files as last read by it. */
  readonly hosts: string;
  /** Index of the device that it serves. */
  readonly device: number;
}

export type ServicePlan =
  | { readonly action: 'nothing' }
  | { readonly action: 'start' | 'restart' | 'reload'; readonly reason: string };

const STOP_DEADLINE_MS = 3000;
const STOP_POLL_MS = 10;
const COMMAND = 'dnsmasq';

export function hostsDigest(wanted: ServiceWanted): string {
  return textDigest(`${wanted.hosts}\n${wanted.names}`);
}

/** Reads only. `device`: present index of the device to serve. */
export function planService(
  wanted: ServiceWanted,
  namespace: string,
  device: number,
  loaded: ServiceLoaded | undefined,
): ServicePlan {
  const pid = runningPid(wanted);
  if (pid === undefined)
    return { action: 'start', reason: 'dnsmasq does not run with the wanted settings' };
  const restart = (reason: string): ServicePlan => ({ action: 'restart', reason });
  if (!isIn(pid, namespace)) return restart('dnsmasq serves a namespace that is gone');
  if (loaded?.device !== device) return restart('dnsmasq serves a device that is gone');
  if (readText(wanted.settingsFile) !== wanted.settings)
    return restart('its settings file was changed');
  const [hosts, names] = [readText(wanted.hostsFile), readText(wanted.namesFile)];
  if (loaded.hosts === hostsDigest(wanted) && hosts === wanted.hosts && names === wanted.names) {
    return { action: 'nothing' };
  }
  const isKnown = loaded.hosts === textDigest(`${hosts}\n${names}`);
  if (!isKnown || !linesOf(hosts).every((line) => linesOf(wanted.hosts).includes(line))) {
    return restart('a port was removed or changed');
  }
  return { action: 'reload', reason: 'a port was added, or a name changed' };
}

/** Carries out the plan; the caller then records hostsDigest() and the device. */
export async function carryOutService(
  plan: ServicePlan,
  wanted: ServiceWanted,
  namespace: string,
  host: Host,
  errand: Errand,
): Promise<void> {
  if (plan.action === 'nothing') return;
  const pid = runningPid(wanted);
  if (plan.action !== 'reload' || pid === undefined) await stopService(wanted.directory);
  writeFiles(wanted);
  if (plan.action === 'reload' && pid !== undefined) process.kill(pid, 'SIGHUP');
  else await startService(wanted, namespace, host, errand);
}

/** Ends every dnsmasq that runs with settings of this directory. Quiet when there is none. */
export async function stopService(directory: string): Promise<void> {
  const pids = servicesUnder(directory).map((service) => service.pid);
  const isAlive = (pid: number) => settingsFileOf(pid)?.startsWith(`${directory}/`) === true;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const left = pids.filter(isAlive);
    for (const pid of left) sendQuietly(pid, signal);
    const deadline = performance.now() + STOP_DEADLINE_MS;
    while (left.some(isAlive) && performance.now() < deadline) await delay(STOP_POLL_MS);
  }
}

/** Every dnsmasq on this machine that runs with a settings file below `directory`. */
export function servicesUnder(directory: string): { pid: number; settingsFile: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => {
      const settingsFile = settingsFileOf(Number(name));
      const isOurs = settingsFile?.startsWith(`${directory}/`) === true;
      return isOurs ? [{ pid: Number(name), settingsFile }] : [];
    });
}

/** Every directory on the way to its files must be open to dnsmasq's user, or it silently serves nobody. */
export function checkRunDir(runDir: string): void {
  mkdirSync(runDir, { recursive: true, mode: 0o755 });
  for (let path = runDir; path !== dirname(path); path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) {
      throw new TroupeError(
        'config/invalid',
        `${runDir} must be reachable by user ${DNSMASQ_USER}, as dnsmasq runs as that; ${path} is closed to it: chmod o+x ${path}`,
      );
    }
  }
}

async function startService(
  wanted: ServiceWanted,
  namespace: string,
  host: Host,
  errand: Errand,
): Promise<void> {
  const command = [COMMAND, `--conf-file=${wanted.settingsFile}`] as const;
  // It goes into the background by itself, once its sockets are bound.
  await host.runInside(namespace, [...command], errand);
  if (runningPid(wanted) === undefined) {
    const log = readText(join(wanted.directory, 'dnsmasq.log'))?.trim().slice(-300) ?? '';
    throw new TroupeError('host/tool-failed', `dnsmasq ended right after its start: ${log}`);
  }
}

function writeFiles(wanted: ServiceWanted): void {
  mkdirSync(wanted.directory, { recursive: true, mode: 0o755 });
  for (const name of readdirSync(wanted.directory)) {
    const path = join(wanted.directory, name);
    if (name.endsWith('.conf') && path !== wanted.settingsFile) rmSync(path);
  }
  writeFileSync(wanted.settingsFile, wanted.settings, { mode: 0o644 });
  writeFileSync(wanted.hostsFile, wanted.hosts, { mode: 0o644 });
  writeFileSync(wanted.namesFile, wanted.names, { mode: 0o644 });
}

function runningPid(wanted: ServiceWanted): number | undefined {
  const pid = Number(readText(wanted.pidFile)?.trim());
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return settingsFileOf(pid) === wanted.settingsFile ? pid : undefined;
}

/** What follows --conf-file= in the command line of a dnsmasq; undefined for any other process. */
function settingsFileOf(pid: number): string | undefined {
  const words = readText(`/proc/${pid}/cmdline`)?.split('\0') ?? [];
  if (!words[0]?.endsWith(COMMAND)) return undefined;
  return words.find((word) => word.startsWith('--conf-file='))?.slice('--conf-file='.length);
}

function isIn(pid: number, namespace: string): boolean {
  try {
    const { ino } = statSync(namespacePath(namespace));
    return readlinkSync(`/proc/${pid}/ns/net`) === `net:[${ino}]`;
  } catch {
    // The process has ended, or the namespace is gone: either way it is not in there.
    return false;
  }
}

function linesOf(text: string | undefined): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '');
}

/** Undefined when there is no such file (or process). */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function sendQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // ESRCH: it has just ended.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

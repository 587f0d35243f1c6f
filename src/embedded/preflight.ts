// What a machine must offer before anything is started on it; each failure is one sentence with the
// way out, instead of a half-made network later.
import { readFileSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { TroupeError } from '../../actors/kernel/errors.ts';

export interface Requirements {
  /** Exists already (lockDataDirectory makes it). */
  readonly dataDirectory: string;
  /** What will listen here. */
  readonly listeners: readonly Listener[];
  /** Bytes; default 1 GiB: etcd's log alone takes 128 MiB, and it stops when a write fails. */
  readonly leastFreeBytes?: number;
}

export interface Listener {
  readonly what: string;
  /** The setting that changes it. */
  readonly setting: string;
  readonly address: string;
  readonly port: number;
}

const LEAST_FREE_BYTES = 1024 ** 3;
/** CAP_NET_ADMIN and CAP_SYS_ADMIN: devices and namespaces. */
const CAPABILITIES = [
  ['CAP_NET_ADMIN', 12n],
  ['CAP_SYS_ADMIN', 21n],
] as const;
/** This code is younger than that; a machine that says otherwise has not set its clock. */
const EARLIEST_MS = Date.UTC(2025, 0, 1);

/**
 * Resolves when the machine will do. Errors: `host/no-privilege`, `host/disk-full`,
 * `host/port-in-use`, `config/invalid` (clock, an address that no device has).
 */
export async function checkMachine(wanted: Requirements): Promise<void> {
  checkPrivileges(readFileSync('/proc/self/status', 'utf8'));
  checkClock(Date.now());
  const { bavail, bsize } = statfsSync(wanted.dataDirectory);
  checkDisk(wanted.dataDirectory, bavail * bsize, wanted.leastFreeBytes ?? LEAST_FREE_BYTES);
  for (const listener of wanted.listeners) await checkPort(listener);
}

/** `status` is /proc/self/status. */
export function checkPrivileges(status: string): void {
  const user = /^Uid:\t\d+\t(\d+)/m.exec(status)?.[1];
  const effective = BigInt(`0x${/^CapEff:\t([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  const missing = CAPABILITIES.filter(([, bit]) => (effective & (1n << bit)) === 0n);
  if (user === '0' && missing.length === 0) return;
  const what =
    user === '0'
      ? `root here lacks ${missing.map(([name]) => name).join(' and ')}: give this container them, or use a real machine`
      : 'it has to run as root: use sudo';
  throw new TroupeError(
    'host/no-privilege',
    `Troupe makes network devices, namespaces and virtual machines; ${what}`,
  );
}

export function checkClock(nowMs: number): void {
  if (nowMs >= EARLIEST_MS) return;
  throw new TroupeError(
    'config/invalid',
    `this machine's clock says ${new Date(nowMs).toISOString()}, which cannot be; set it (date -s, or NTP), as leases, certificates and events depend on it`,
  );
}

export function checkDisk(directory: string, freeBytes: number, leastBytes: number): void {
  if (freeBytes >= leastBytes) return;
  const [free, least] = [freeBytes, leastBytes].map((bytes) => Math.floor(bytes / 1024 ** 2));
  throw new TroupeError(
    'host/disk-full',
    `${directory} has ${free} MiB free and ${least} MiB are needed: make room, or choose another disk with --data-dir`,
    { directory, freeBytes, leastBytes },
  );
}

/** Free at this moment; who listens later still has to handle its being taken. */
export function checkPort(listener: Listener): Promise<void> {
  const { address, port } = listener;
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenFailure(listener, cause)));
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

/** The error for a listener that failed to bind: also for the one that binds in earnest. */
export function listenFailure(listener: Listener, cause: NodeJS.ErrnoException): TroupeError {
  const { what, setting, address, port } = listener;
  const detail = { address, port };
  if (cause.code === 'EADDRINUSE') {
    const message = `port ${port} on ${address}, where ${what} should listen, is taken by another program: stop that, or choose another port with --${setting}-port`;
    return new TroupeError('host/port-in-use', message, detail, cause);
  }
  const message = `${what} cannot listen on ${address} port ${port} (${cause.code ?? cause.message}): choose an address of this machine with --${setting}-address`;
  return new TroupeError('config/invalid', message, detail, cause);
}

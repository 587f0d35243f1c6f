// What a killed daemon left on this machine, found in the kernel's own listings; for deploy/clean.sh
// and for tests that compare before and after.
//
// L1  Only what is the data directory's: by the rules of owned-process.ts, by the host tag in a name,
//     by a mount point below its directories.
// L2  Removal ends processes first, so that nothing makes anew what is being removed.
// L3  The ledger goes on naming segments, taps and domains that are removed: they are still wanted, and the next
//     start makes them anew from it. Only forwarding, which is put back, is forgotten.
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exec } from '../drivers/exec.ts';
import { Ledger } from '../drivers/ledger.ts';
import { Host } from '../drivers/network/host.ts';
import { restoreForwarding } from '../drivers/network/installation.ts';
import { isOurs } from '../drivers/network/names.ts';
import { lockDataDirectory } from './data-lock.ts';
import { ownedProcesses, type OwnedProcess } from './owned-process.ts';
import { endProcess } from './process-identity.ts';
import { removeRunDirectory, runDirectoryOwner } from './run-directory.ts';

/** Whose things: the daemon's directories and its tag. */
export interface Installation {
  readonly dataDir: string;
  readonly runDir: string;
  readonly hostTag: string;
}

export interface Leftovers {
  readonly processes: readonly OwnedProcess[];
  /** Mount points. */
  readonly mounts: readonly string[];
  readonly namespaces: readonly string[];
  readonly links: readonly string[];
  /** nft tables, `FAMILY NAME`. */
  readonly tables: readonly string[];
  readonly hasRunDirectory: boolean;
}

const TRACE = 'leftovers';
const END_TIMEOUT_MS = 10_000;

/** Lists them; the daemon itself is not one of them. Errors: those of exec() with ip and nft. */
export async function findLeftovers(of: Installation): Promise<Leftovers> {
  const { dataDir, runDir, hostTag } = of;
  const ours = (names: readonly string[]) => names.filter((name) => isOurs(hostTag, name));
  const namespaces = ours(await readdir('/run/netns').catch(() => []));
  const tables = await nftTables();
  return {
    processes: ownedProcesses({ dataDir, runDir, namespaces }),
    mounts: await mountsBelow([dataDir, runDir]),
    namespaces,
    links: ours(await linkNames()),
    tables: tables.filter((table) => isOurs(hostTag, table.split(' ')[1] ?? '')),
    hasRunDirectory: (await runDirectoryOwner(runDir)) === dataDir,
  };
}

/**
 * Removes them and says what they were. Virtual machines that still run are ended; below the
 * data directory nothing but the ledger is touched (L3). Error: `host/locked` while a daemon uses the data directory.
 */
export async function removeLeftovers(of: Installation): Promise<Leftovers> {
  const lock = lockDataDirectory(of.dataDir);
  try {
    const found = await findLeftovers(of);
    await Promise.all(found.processes.map((process) => endProcess(process, END_TIMEOUT_MS)));
    for (const table of found.tables) await run('nft', ['delete', 'table', ...table.split(' ')]);
    for (const namespace of found.namespaces) await run('ip', ['netns', 'delete', namespace]);
    // A veth whose other end has gone with its namespace is gone too.
    const links = (await findLeftovers(of)).links;
    for (const link of links) await run('ip', ['link', 'delete', link], [0, 1]);
    for (const mount of found.mounts.toReversed()) await run('umount', ['--lazy', mount]);
    if (found.hasRunDirectory) await removeRunDirectory(of.runDir);
    await putForwardingBack(of.dataDir);
    return found;
  } finally {
    lock.release();
  }
}

/** The one setting of the machine that the ledger has another value for. */
async function putForwardingBack(dataDir: string): Promise<void> {
  const path = join(dataDir, 'ledger.db');
  if (!existsSync(path)) return;
  const ledger = new Ledger(path);
  try {
    await restoreForwarding(ledger, new Host(exec), { trace: TRACE });
  } finally {
    ledger.close();
  }
}

async function run(program: string, args: readonly string[], okCodes = [0]): Promise<string> {
  return (await exec(program, args, { trace: TRACE, okCodes })).stdout;
}

async function linkNames(): Promise<string[]> {
  const lines = (await run('ip', ['-o', 'link', 'show'])).split('\n');
  // `7: name@peer: <FLAGS> ...`
  return lines.flatMap((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? []);
}

async function nftTables(): Promise<string[]> {
  const lines = (await run('nft', ['list', 'tables'])).split('\n');
  return lines.flatMap((line) => /^table (\S+ \S+)$/.exec(line.trim())?.[1] ?? []);
}

async function mountsBelow(directories: readonly string[]): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const points = lines.map((line) => unescape(line.split(' ')[4] ?? ''));
  return points.filter((point) =>
    directories.some((directory) => point === directory || point.startsWith(`${directory}/`)),
  );
}

/** mountinfo writes a space as \040. */
function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  );
}

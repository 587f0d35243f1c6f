// The directory of what is true for this boot only: records, locks and sockets of our services.
//
// D1  Its path is short, so that a socket below it fits the 107 bytes a socket address has.
// D2  It belongs to one data directory; a second one with the same tag is refused, not mixed in.
// D3  What another boot left in it is removed before it is read: its pids mean other processes now.
// D4  What others must not reach in it has a closed folder of its own (libvirt's sockets).
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { readRecord } from './launch.ts';
import { bootIdentity, isAlive } from './process-identity.ts';

const OWNER_FILE = 'owner';

/** Makes the directory ours, or finds that it is. Error: `config/invalid` when it is in use by another data directory. */
export async function claimRunDirectory(path: string, dataDirectory: string): Promise<void> {
  const claim = `${bootIdentity()}\n${dataDirectory}\n`;
  const found = await readOwner(path);
  if (found === claim) return;
  if (found !== undefined) await refuseIfInUse(path, found.split('\n')[1] ?? '');
  await rm(path, { recursive: true, force: true });
  // Open to pass through, not to list: dnsmasq, which is not root, reads its files below it (D4).
  await mkdir(path, { recursive: true, mode: 0o711 });
  await writeFile(join(path, OWNER_FILE), claim, { mode: 0o600 });
}

/** Removes it with all that is below. Only when every service in it has ended. */
export async function removeRunDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** The data directory that claimed it in this boot; undefined when none did. */
export async function runDirectoryOwner(path: string): Promise<string | undefined> {
  const [boot, owner] = (await readOwner(path))?.split('\n') ?? [];
  return boot === bootIdentity() ? owner : undefined;
}

async function readOwner(path: string): Promise<string | undefined> {
  try {
    return await readFile(join(path, OWNER_FILE), 'utf8');
  } catch {
    return undefined;
  }
}

async function refuseIfInUse(path: string, owner: string): Promise<void> {
  if ((await runDirectoryOwner(path)) === undefined) return;
  const records = (await readdir(path)).filter((name) => name.endsWith('.service'));
  const running = records
    .map((name) => readRecord(join(path, name)))
    .filter((r) => r && isAlive(r));
  if (running.length === 0) return;
  throw new TroupeError(
    'config/invalid',
    `${path} is in use by the data directory ${owner}: choose another host tag (--host-tag)`,
    { path, owner },
  );
}

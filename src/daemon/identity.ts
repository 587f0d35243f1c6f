// Who this daemon is: an installation keeps its id in the data directory, a start gets a new boot id.
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Identity {
  readonly installation: string;
  readonly bootId: string;
}

/** Call it with the data directory locked. */
export function identityOf(dataDir: string): Identity {
  return { installation: installationOf(join(dataDir, 'installation')), bootId: randomUUID() };
}

function installationOf(path: string): string {
  try {
    const kept = readFileSync(path, 'utf8').trim();
    if (kept !== '') return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const made = randomUUID();
  writeFileSync(path, `${made}\n`, { flush: true });
  return made;
}

// One daemon for one data directory.
//
// K1  The lock is the kernel's, on a file in the directory, held to the end of the process however it
//     ends: nothing has to be cleaned up after a kill. (Through SQLite, as Node has no flock of its own.)
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';

export interface DataLock {
  release(): void;
}

/** Error: `host/locked`, naming the process that has it; `host/tool-failed` when the file cannot be used. */
export function lockDataDirectory(dataDirectory: string): DataLock {
  const pidFile = join(dataDirectory, 'daemon.pid');
  let file: DatabaseSync | undefined;
  try {
    mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
    file = new DatabaseSync(join(dataDirectory, 'lock'));
    file.exec('pragma busy_timeout = 0; pragma locking_mode = exclusive; begin exclusive');
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    file?.close();
    throw lockFailure(dataDirectory, pidFile, error);
  }
  const held = file;
  const release = () => {
    process.off('exit', release);
    if (!held.isOpen) return;
    rmSync(pidFile, { force: true });
    held.close();
  };
  // Also keeps the file from being collected, and so closed, while nobody looks at the lock.
  process.once('exit', release);
  return { release };
}

function lockFailure(dataDirectory: string, pidFile: string, error: unknown): TroupeError {
  if (!reasonOf(error).includes('database is locked')) {
    const message = `the data directory ${dataDirectory} cannot be used: ${reasonOf(error)}`;
    return new TroupeError('host/tool-failed', message, { dataDirectory }, error);
  }
  const holder = readHolder(pidFile);
  const message = `a Troupe daemon (pid ${holder}) already uses ${dataDirectory}: stop it, or choose another directory with --data-dir`;
  return new TroupeError('host/locked', message, { dataDirectory, pid: holder });
}

function readHolder(pidFile: string): string {
  try {
    return readFileSync(pidFile, 'utf8').trim();
  } catch {
    // Between its taking the lock and its writing the file.
    return 'unknown';
  }
}

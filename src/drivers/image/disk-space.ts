// Running out of disk: looked for before and during the work, and named the same wherever it shows up.
import { statfs } from 'node:fs/promises';
import { TroupeError, reasonOf } from '../../../actors/kernel/errors.ts';

/** Bytes an ordinary writer can still use on the file system of `path`. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Throws `host/disk-full` unless `neededBytes` fit and `reserveBytes` stay free. */
export async function requireSpace(
  path: string,
  neededBytes: number,
  reserveBytes: number,
): Promise<void> {
  const free = await freeBytes(path);
  if (free - neededBytes >= reserveBytes) return;
  throw diskFull(path, { free, neededBytes, reserveBytes });
}

export function diskFull(
  path: string,
  space: { free: number; neededBytes: number; reserveBytes: number },
): TroupeError {
  const { free, neededBytes, reserveBytes } = space;
  return new TroupeError(
    'host/disk-full',
    `the disk that holds ${path} has ${mib(free)} free, ${mib(neededBytes)} more are needed and ${mib(reserveBytes)} are kept in reserve; free some space there, or delete artifacts and instances`,
    { path, freeBytes: free, neededBytes, reserveBytes },
  );
}

/** The same error, or `host/disk-full` when that is what it means: a system call's code, or a tool's words. */
export function asDiskFull(error: unknown, path: string): unknown {
  if (error instanceof TroupeError && error.code === 'host/disk-full') return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT' || FULL.test(reasonOf(error));
  if (!isFull) return error;
  return new TroupeError(
    'host/disk-full',
    `the disk that holds ${path} is full; free some space there, or delete artifacts and instances`,
    { path },
    error,
  );
}

/** Of the C library, and of SQLite when the ledger is on the same disk. */
const FULL = /No space left on device|Disk quota exceeded|database or disk is full/;

function mib(bytes: number): string {
  return `${Math.max(0, Math.floor(bytes / 2 ** 20))} MiB`;
}

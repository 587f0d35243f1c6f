// The serial log of an instance: a file that QEMU appends to while the guest runs.
//
// C1  QEMU has the file open with O_APPEND, so it can be emptied under it: the next byte goes to the
//     start, not to where the old end was.
// C2  A read costs what it returns, never the size of the log.
import { appendFile, open, stat, truncate } from 'node:fs/promises';
import { TroupeError } from '../../../actors/kernel/errors.ts';

/** Of one read. A whole log that is longer gives its last part. */
const MAX_READ_BYTES = 64 * 1024 * 1024;

/** The last `lengthBytes` of the file, all of it when negative (at most 64 MiB); empty when there is no file. */
export async function readLog(path: string, lengthBytes: number): Promise<Uint8Array> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const wanted = lengthBytes < 0 ? size : Math.min(lengthBytes, size);
    const length = Math.min(wanted, MAX_READ_BYTES);
    const buffer = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(
        buffer,
        filled,
        length - filled,
        size - length + filled,
      );
      // The log was emptied while it was read: what was there is what there is.
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  } catch (cause) {
    if (isMissing(cause)) return new Uint8Array(0);
    throw fileFailure(path, 'read', cause);
  }
}

/** Empties the log; quiet when there is none. */
export async function clearLog(path: string): Promise<void> {
  try {
    await truncate(path, 0);
  } catch (cause) {
    if (!isMissing(cause)) throw fileFailure(path, 'emptied', cause);
  }
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}

function fileFailure(path: string, what: string, cause: unknown): TroupeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TroupeError(
    'host/tool-failed',
    `${path} can't be ${what}: ${reason}`,
    { path },
    cause,
  );
}

/**
 * Cuts a log that is longer than `limitBytes` to its last `keepBytes`. What the guest prints in the
 * instant between the two steps may come before the kept part. Quiet when there is none.
 */
export async function trimLog(path: string, limitBytes: number, keepBytes: number): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size <= limitBytes) return;
  const kept = await readLog(path, keepBytes);
  await truncate(path, 0);
  await appendFile(path, kept);
}

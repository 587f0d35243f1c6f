// The hash of a file, read in large pieces on the worker thread.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { calledOff } from './called-off.ts';

export interface HashRequest {
  readonly path: string;
  readonly algorithm: 'sha256' | 'sha512';
}

export interface Hashed {
  readonly sizeBytes: number;
  /** Hex. */
  readonly digest: string;
}

const READ_BYTES = 1024 * 1024;
/** How often the thread looks whether it was called off. */
const PIECES_PER_TURN = 16;

/** Reads all of it. Errors: those of the file system; `actor/stopped`. */
export async function hashFile(
  request: HashRequest,
  progress: (doneBytes: number) => void,
  signal: AbortSignal,
): Promise<Hashed> {
  const hash = createHash(request.algorithm);
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const fd = openSync(request.path, 'r');
  let sizeBytes = 0;
  try {
    for (let piece = 1; ; piece++) {
      const got = readSync(fd, buffer, 0, READ_BYTES, null);
      if (got === 0) return { sizeBytes, digest: hash.digest('hex') };
      hash.update(buffer.subarray(0, got));
      sizeBytes += got;
      if (piece % PIECES_PER_TURN !== 0) continue;
      progress(sizeBytes);
      await turn();
      if (signal.aborted) throw calledOff();
    }
  } finally {
    closeSync(fd);
  }
}

// The hash of a file, read in large pieces on the worker thread; on request also that of each chunk.
import { createHash, hash as hashOnce } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { calledOff } from './called-off.ts';
import { CHUNK_BYTES } from './chunk-digests.ts';

export interface HashRequest {
  readonly path: string;
  readonly algorithm: 'sha256' | 'sha512';
  /** Also the SHA-256 of each chunk (chunk-digests.ts). */
  readonly withChunks?: boolean;
  /** Reads at most so quickly. */
  readonly bytesPerSecond?: number;
}

export interface Hashed {
  readonly sizeBytes: number;
  /** Hex. */
  readonly digest: string;
  /** Of the chunks, one after the other; empty unless asked for. */
  readonly chunkDigests: Uint8Array;
}

/** How often the thread looks whether it was called off. */
const PIECES_PER_TURN = 16;

/** Reads all of it. Errors: those of the file system; `actor/stopped`. */
export async function hashFile(
  request: HashRequest,
  progress: (doneBytes: number) => void,
  signal: AbortSignal,
): Promise<Hashed> {
  const hash = createHash(request.algorithm);
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  const fd = openSync(request.path, 'r');
  const digests: Buffer[] = [];
  let sizeBytes = 0;
  const beganAtMono = performance.now();
  try {
    for (let piece = 1; ; piece++) {
      const got = fill(fd, buffer);
      if (got > 0 && request.withChunks) {
        digests.push(hashOnce('sha256', buffer.subarray(0, got), 'buffer'));
      }
      hash.update(buffer.subarray(0, got));
      sizeBytes += got;
      if (got < CHUNK_BYTES) {
        return { sizeBytes, digest: hash.digest('hex'), chunkDigests: Buffer.concat(digests) };
      }
      if (request.bytesPerSecond === undefined && piece % PIECES_PER_TURN !== 0) continue;
      progress(sizeBytes);
      const dueAtMono = beganAtMono + (1000 * sizeBytes) / (request.bytesPerSecond ?? Infinity);
      const waitMs = dueAtMono - performance.now();
      await (waitMs > 1 ? pause(waitMs, undefined, { signal }).catch(calledOffLater) : turn());
      if (signal.aborted) throw calledOff();
    }
  } finally {
    closeSync(fd);
  }
}

/** The pause ended early because the work was called off, which is looked at next. */
function calledOffLater(): void {}

/** Reads on to the end of the buffer or of the file. */
function fill(fd: number, buffer: Buffer): number {
  let done = 0;
  while (done < buffer.length) {
    const got = readSync(fd, buffer, done, buffer.length - done, null);
    if (got === 0) break;
    done += got;
  }
  return done;
}

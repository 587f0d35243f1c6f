// The hashes of a file, all of them in one pass that reads it in large pieces on the worker thread; on request also that of
// each chunk.
import { createHash, hash as hashOnce } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { calledOff } from './called-off.ts';
import { CHUNK_BYTES } from './chunk-digests.ts';

export type Algorithm = 'sha1' | 'sha256' | 'sha512' | 'xxh128';

export interface HashRequest {
  readonly path: string;
  readonly algorithms: readonly Algorithm[];
  /** Also the SHA-256 of each chunk (chunk-digests.ts). */
  readonly withChunks?: boolean;
  /** Reads at most so quickly. */
  readonly bytesPerSecond?: number;
}

export interface Hashed {
  readonly sizeBytes: number;
  /** Hex; '' for what was not asked for. */
  readonly digests: Readonly<Record<Algorithm, string>>;
  /** Of the chunks, one after the other; empty unless asked for. */
  readonly chunkDigests: Uint8Array;
}

/** How often the thread looks whether it was called off. */
const PIECES_PER_TURN = 16;

interface Running {
  readonly update: (bytes: Uint8Array) => unknown;
  readonly digest: () => string;
}

/** Reads all of it. Errors: those of the file system; `actor/stopped`. */
export async function hashFile(
  request: HashRequest,
  progress: (doneBytes: number) => void,
  signal: AbortSignal,
): Promise<Hashed> {
  const hashes = new Map<Algorithm, Running>();
  for (const name of new Set(request.algorithms)) hashes.set(name, await begun(name));
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  const fd = openSync(request.path, 'r');
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const beganAtMono = performance.now();
  try {
    for (let piece = 1; ; piece++) {
      const got = fill(fd, buffer);
      const bytes = buffer.subarray(0, got);
      if (got > 0 && request.withChunks) chunks.push(hashOnce('sha256', bytes, 'buffer'));
      for (const { update } of hashes.values()) update(bytes);
      sizeBytes += got;
      if (got < CHUNK_BYTES) {
        return { sizeBytes, digests: endedAll(hashes), chunkDigests: Buffer.concat(chunks) };
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

async function begun(algorithm: Algorithm): Promise<Running> {
  if (algorithm === 'xxh128') {
    // Loaded by who hashes, and by nobody else: it compiles its code when it is.
    const { createXXHash128 } = await import('hash-wasm');
    const hash = (await createXXHash128()).init();
    return { update: (bytes) => hash.update(bytes), digest: () => hash.digest('hex') };
  }
  const hash = createHash(algorithm);
  return { update: (bytes) => hash.update(bytes), digest: () => hash.digest('hex') };
}

function endedAll(hashes: ReadonlyMap<Algorithm, Running>): Record<Algorithm, string> {
  const of = (name: Algorithm) => hashes.get(name)?.digest() ?? '';
  return { sha1: of('sha1'), sha256: of('sha256'), sha512: of('sha512'), xxh128: of('xxh128') };
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

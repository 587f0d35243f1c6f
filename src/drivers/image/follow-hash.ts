// The SHA-512 of a file while it is being written: reads up to where all bytes are there for good, waits, goes on. Runs
// on a worker thread; the writer is another one.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { calledOff } from './called-off.ts';

/** Shared by the threads: how many bytes from the start are written and will not change. */
export class Frontier {
  readonly #value: BigInt64Array;

  constructor(shared: SharedArrayBuffer) {
    this.#value = new BigInt64Array(shared);
  }

  static make(): SharedArrayBuffer {
    return new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  }

  get bytes(): number {
    return Number(Atomics.load(this.#value, 0));
  }

  moveTo(bytes: number): void {
    Atomics.store(this.#value, 0, BigInt(bytes));
    Atomics.notify(this.#value, 0);
  }

  /** Resolves when it has moved from there, or a while later. */
  async movedFrom(bytes: number): Promise<void> {
    await Atomics.waitAsync(this.#value, 0, BigInt(bytes), LOOK_MS).value;
  }
}

export interface FollowRequest {
  readonly path: string;
  readonly sizeBytes: number;
  /** Of Frontier.make(). */
  readonly frontier: SharedArrayBuffer;
}

/** How often it looks whether it was called off. */
const LOOK_MS = 100;
const READ_BYTES = 1024 * 1024;
/** Reads between two looks. */
const PIECES_PER_TURN = 16;

/** Hex. Errors: those of the file system; `actor/stopped`. */
export async function followHash(request: FollowRequest, signal: AbortSignal): Promise<string> {
  const { path, sizeBytes } = request;
  const frontier = new Frontier(request.frontier);
  const hash = createHash('sha512');
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const fd = openSync(path, 'r');
  let done = 0;
  try {
    for (let piece = 1; done < sizeBytes; piece++) {
      const there = frontier.bytes;
      if (there <= done) await frontier.movedFrom(there);
      else if (piece % PIECES_PER_TURN === 0) await turn();
      if (signal.aborted) throw calledOff();
      const got = readSync(fd, buffer, 0, Math.min(READ_BYTES, Math.max(0, there - done)), done);
      hash.update(buffer.subarray(0, got));
      done += got;
    }
    return hash.digest('hex');
  } finally {
    closeSync(fd);
  }
}

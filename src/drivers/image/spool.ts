// Bytes that are made on this machine piece by piece and then become a blob: uploads, what a guest's agent sends, screenshots,
// snapshots.
//
// Q1  A file's name is its id and nothing else; any other text names none.
// Q2  Writing the same piece again changes nothing, so that a piece whose answer was lost can be sent again.
// Q3  What has become a blob is gone from here (ingest.ts); what never does is removed MAX_AGE_MS after it was last written.
import { mkdir, open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { unlessAbsent } from './absent.ts';
import { asDiskFull, requireSpace } from './disk-space.ts';
import { isPathSafe, type Layout } from './layout.ts';
import { Turns } from '../turns.ts';

/** Of what nobody writes any more: whoever it was for has long removed it, or was out of reach then. */
const MAX_AGE_MS = 7 * 86_400_000;

export class Spool {
  readonly #layout: Layout;
  readonly #minFreeBytes: number;
  readonly #maxAgeMs: number;
  readonly #turns = new Turns();

  /** `leastAgeMs`: what was written within this is not removed, whatever MAX_AGE_MS is. */
  constructor(layout: Layout, minFreeBytes: number, leastAgeMs = 0) {
    this.#layout = layout;
    this.#minFreeBytes = minFreeBytes;
    this.#maxAgeMs = Math.max(MAX_AGE_MS, leastAgeMs);
  }

  /** Makes the directory, and removes what is too old. */
  async start(nowMs = Date.now()): Promise<void> {
    await mkdir(this.#layout.spool, { recursive: true, mode: 0o700 });
    await this.sweep(nowMs);
  }

  /** Removes what is too old; now and then, since a daemon may run for years. */
  async sweep(nowMs = Date.now()): Promise<void> {
    const { spool } = this.#layout;
    for (const name of await readdir(spool)) {
      const found = await stat(join(spool, name)).catch(unlessAbsent);
      if (found === undefined) continue;
      if (!isPathSafe(name) || nowMs - found.mtimeMs > this.#maxAgeMs) {
        await rm(join(spool, name), { recursive: true, force: true });
      }
    }
  }

  /** Waits for what runs. */
  close(): Promise<void> {
    return this.#turns.idle();
  }

  /** Makes the file if need be; returns its size. Errors: `api/conflict` for a hole, `host/disk-full`. */
  write(id: string, offset: number, bytes: Uint8Array): Promise<number> {
    return this.#turn(id, async (path) => {
      await requireSpace(this.#layout.spool, bytes.length, this.#minFreeBytes);
      await using file = await open(path, 'a+', 0o600);
      const { size } = await file.stat();
      if (offset > size) {
        const text = `${size} bytes are there: nothing can be written at ${offset}`;
        throw new TroupeError('api/conflict', text, { sizeBytes: size });
      }
      // Opened for appending: what is there already is not written again (Q2).
      const fresh = bytes.subarray(Math.min(bytes.length, size - offset));
      if (fresh.length > 0) await file.appendFile(fresh);
      return size + fresh.length;
    });
  }

  /** To exactly this many bytes: cut off, or filled up with zeros. */
  resize(id: string, sizeBytes: number): Promise<void> {
    return this.#turn(id, async (path) => {
      await requireSpace(this.#layout.spool, 0, this.#minFreeBytes);
      await using file = await open(path, 'a+', 0o600);
      await file.close();
      await truncate(path, sizeBytes);
    });
  }

  /** Null when there is none. */
  async size(id: string): Promise<number | null> {
    const found = await stat(this.#layout.spooled(id)).catch(unlessAbsent);
    return found?.size ?? null;
  }

  remove(id: string): Promise<void> {
    return this.#turn(id, (path) => rm(path, { force: true }));
  }

  #turn<T>(id: string, work: (path: string) => Promise<T>): Promise<T> {
    const path = this.#layout.spooled(id);
    return this.#turns.run(id, () =>
      work(path).catch((error: unknown) => {
        throw asDiskFull(error, this.#layout.spool);
      }),
    );
  }
}

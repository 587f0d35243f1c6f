// Bytes that were made on this machine (a guest's file, a picture of its screen) and are to become a blob.
//
//   spool/<id>        complete, and on the disk
//   spool/.<id>       being written
//
// P1  Named only when complete. What is half written is removed, also by the next daemon.
// P2  The disk's reserve is kept: looked for every LOOK_BYTES.
// P3  What nobody has made a blob of within KEPT_MS is removed.
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Spool as Port } from '../../../actors/node/guest-operations.ts';
import { asDiskFull, requireSpace } from './disk-space.ts';
import { isPathSafe } from './layout.ts';

const LOOK_BYTES = 16 * 1024 * 1024;
const KEPT_MS = 24 * 3_600_000;

export interface SpoolOptions {
  /** Absolute. */
  readonly dir: string;
  readonly minFreeBytes: number;
  /** Refuse more than this. */
  readonly maxSizeBytes: number;
}

export class Spool implements Port {
  readonly #options: SpoolOptions;

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  /** Makes the directory; removes what nobody will come for. */
  async start(): Promise<void> {
    const { dir } = this.#options;
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(dir)) {
      const path = join(dir, name);
      const isOld = async () => Date.now() - (await stat(path)).mtimeMs > KEPT_MS;
      if (!isPathSafe(name) || (await isOld())) await rm(path, { force: true });
    }
  }

  /** Errors: `host/disk-full`, `image/refused` (too large), `actor/stopped`, whatever the chunks' source throws. */
  async keep(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<string> {
    const { dir } = this.#options;
    const id = randomUUID();
    const half = join(dir, `.${id}`);
    try {
      await this.#write(half, chunks, signal);
      await rename(half, this.path(id));
      return id;
    } catch (error) {
      await rm(half, { force: true });
      throw asDiskFull(error, dir);
    }
  }

  /** Where it is, if it is. Error: `actor/bad-message` for what is no id. */
  path(id: string): string {
    if (isPathSafe(id)) return join(this.#options.dir, id);
    throw new TroupeError('actor/bad-message', `${JSON.stringify(id)} is no id of the spool`);
  }

  /** Quiet when there is none. */
  async remove(id: string): Promise<void> {
    await rm(this.path(id), { force: true });
  }

  async #write(
    path: string,
    chunks: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const { dir, minFreeBytes, maxSizeBytes } = this.#options;
    await using file = await open(path, 'wx', 0o600);
    let sizeBytes = 0;
    let lookAtBytes = 0;
    for await (const chunk of chunks) {
      if (signal.aborted) throw new TroupeError('actor/stopped', 'called off');
      if (sizeBytes >= lookAtBytes) {
        await requireSpace(dir, LOOK_BYTES, minFreeBytes);
        lookAtBytes += LOOK_BYTES;
      }
      sizeBytes += chunk.length;
      if (sizeBytes > maxSizeBytes) {
        throw new TroupeError('image/refused', `a blob may have ${maxSizeBytes} bytes, not more`);
      }
      // Not writeFile(): it would begin anew.
      await file.appendFile(chunk);
    }
    await file.sync();
  }
}

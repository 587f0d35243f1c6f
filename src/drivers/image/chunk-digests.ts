// The SHA-256 of each chunk of a replica, kept beside it: computed when the replica was verified as a whole, so
// that who serves a chunk hashes nothing, and a byte that rotted since is noticed by who gets it.
import { hash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sync } from './durable.ts';

/** As in transport/blobs/frame.ts; neither may import the other. */
export const CHUNK_BYTES = 1024 * 1024;
export const DIGEST_BYTES = 32;
const NAME = 'chunks.sha256';

export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES);
}

/** By which a list of them is told from a wrong one; hex. */
export function listSha256(digests: Uint8Array): string {
  return hash('sha256', digests);
}

/** Puts them into a replica's directory, for good. */
export async function writeChunkDigests(dir: string, digests: Uint8Array): Promise<void> {
  const path = join(dir, NAME);
  await writeFile(`${path}.new`, digests, { mode: 0o444, flush: true });
  await rename(`${path}.new`, path);
  await sync(dir);
}

/** Null when there are none for a replica of this size. */
export async function readChunkDigests(dir: string, sizeBytes: number): Promise<Uint8Array | null> {
  const digests = await readFile(join(dir, NAME)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  return digests?.length === chunkCount(sizeBytes) * DIGEST_BYTES ? digests : null;
}

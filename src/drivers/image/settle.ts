// The last steps of every replica: its bytes are on the disk and verified, then it gets its name.
import { existsSync } from 'node:fs';
import { chmod, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReplicaReport } from '../../../actors/blob/ports.ts';
import { calledOff } from './called-off.ts';
import { writeChunkDigests } from './chunk-digests.ts';
import { publish, sync } from './durable.ts';
import { ALGORITHMS } from './facts.ts';
import type { Hashed } from './hash-file.ts';
import type { Layout } from './layout.ts';
import { writeReport } from './replica-report.ts';
import { together } from './together.ts';
import { hashApart } from './worker-job.ts';

/** Hashes what is to be kept, in one pass, while its bytes go to the disk. A SHA-256 that is known is not computed. */
export async function settle(
  path: string,
  signal: AbortSignal,
  onProgress: (doneBytes: number, totalBytes: number) => void,
  sha256: string | null = null,
): Promise<Hashed> {
  const algorithms = ALGORITHMS.filter((name) => name !== 'sha256' || sha256 === null);
  await chmod(path, 0o444);
  const { size } = await stat(path);
  const [hashed] = await together(
    signal,
    (inner) =>
      hashApart(
        { path, algorithms, withChunks: true },
        { signal: inner, onProgress: (doneBytes) => onProgress(doneBytes, size) },
      ),
    () => sync(path),
  );
  return sha256 === null ? hashed : { ...hashed, digests: { ...hashed.digests, sha256 } };
}

export interface Ready {
  /** Holds the image under its final name. */
  readonly dir: string;
  readonly report: ReplicaReport;
  readonly chunkDigests: Uint8Array;
}

/** One rename; then what was half made is removed. */
export async function publishReplica(
  layout: Layout,
  blobId: string,
  { dir, report, chunkDigests }: Ready,
  signal: AbortSignal,
): Promise<void> {
  await writeChunkDigests(dir, chunkDigests);
  await writeReport(dir, report);
  await sync(dir);
  if (signal.aborted) throw calledOff();
  if (existsSync(layout.replica(blobId))) await putInPlace(layout, blobId, dir);
  else await publish(dir, layout.replica(blobId));
  await rm(layout.partial(blobId), { recursive: true, force: true });
}

/**
 * File by file in the place of a damaged one's: disks that are based on it keep their base, also in between. Who has it open
 * reads the old bytes to the end. The mark goes last, so that one that is cut short is made again.
 */
async function putInPlace(layout: Layout, blobId: string, dir: string): Promise<void> {
  const target = layout.replica(blobId);
  for (const name of await readdir(dir)) await rename(join(dir, name), join(target, name));
  await sync(target);
  await rm(layout.replicaMark(blobId), { force: true });
  await sync(target);
}

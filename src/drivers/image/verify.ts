// Reads replicas again, and marks those that are not what they were.
//
// V1  When a replica was last known to be good is the time of its report: the making writes it, and each good reading.
// V2  A marked one is not served, nor taken for kept, until good bytes are in its place (settle.ts), or it is read and found good.
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import type { ReplicaReport, Verdict, VerifyOptions } from '../../../actors/blob/ports.ts';
import { codeOf, reasonOf, TroupeError } from '../../../actors/kernel/errors.ts';
import { isPathSafe, type Layout } from './layout.ts';
import { readReport } from './replica-report.ts';
import { hashApart } from './worker-job.ts';

/** By blob; ms since the epoch. 0 for one whose report cannot be looked at: its reading is due, and says why. */
export async function checkedAt(layout: Layout): Promise<ReadonlyMap<string, number>> {
  const names = (await readdir(layout.blobs)).filter(isPathSafe);
  const entries = names.map(async (blobId): Promise<[string, number]> => {
    const report = await stat(layout.replicaReport(blobId)).catch(() => null);
    return [blobId, report?.mtimeMs ?? 0];
  });
  return new Map(await Promise.all(entries));
}

/** Throws `image/missing` when there is none, and what the file system says when it cannot be read for now. */
export async function verifyReplica(
  layout: Layout,
  blobId: string,
  asked: VerifyOptions & { readonly signal: AbortSignal },
): Promise<Verdict> {
  if (!isPathSafe(blobId) || !existsSync(layout.replica(blobId))) {
    throw new TroupeError('image/missing', `there is no replica of blob ${blobId} here`);
  }
  const verdict = await judge(layout, blobId, asked);
  const mark = layout.replicaMark(blobId);
  if (!verdict.isGood) {
    await writeFile(mark, `${verdict.reason}\n`, { flush: true });
    return verdict;
  }
  await rm(mark, { force: true });
  const now = new Date();
  await utimes(layout.replicaReport(blobId), now, now);
  return verdict;
}

async function judge(
  layout: Layout,
  blobId: string,
  asked: VerifyOptions & { readonly signal: AbortSignal },
): Promise<Verdict> {
  let report: ReplicaReport | null;
  try {
    report = await readReport(layout.replica(blobId));
  } catch (error) {
    if (codeOf(error) !== 'image/damaged') throw error;
    return { isGood: false, problem: 'size', reason: reasonOf(error) };
  }
  if (report === null) {
    const reason = `${layout.replica(blobId)} has no report of what it holds`;
    return { isGood: false, problem: 'size', reason };
  }
  const path = layout.replicaImage(blobId, report.format);
  const { sha512 = report.sha512 } = asked;
  const found = await hashOf(path, asked);
  if (found === sha512) return { isGood: true };
  const reason = `${path} hashes to ${found.slice(0, 16)}…, not ${sha512.slice(0, 16)}…`;
  return { isGood: false, problem: 'checksum', reason };
}

/** Hex. A block that the disk cannot read is damage too. */
async function hashOf(
  path: string,
  { signal, bytesPerSecond }: VerifyOptions & { readonly signal: AbortSignal },
): Promise<string> {
  const limit = bytesPerSecond === undefined ? {} : { bytesPerSecond };
  const shell = { signal, onProgress: () => undefined };
  try {
    return (await hashApart({ path, algorithms: ['sha512'], ...limit }, shell)).digests.sha512;
  } catch (error) {
    if (/\bEIO\b/.test(reasonOf(error))) return 'unreadable (EIO)';
    throw error;
  }
}

export async function isMarked(layout: Layout, blobId: string): Promise<boolean> {
  return isPathSafe(blobId) && existsSync(layout.replicaMark(blobId));
}

/** Throws `image/damaged` for one that was found bad. */
export async function requireUnmarked(layout: Layout, blobId: string): Promise<void> {
  if (!(await isMarked(layout, blobId))) return;
  const why = (await readFile(layout.replicaMark(blobId), 'utf8').catch(() => '')).trim();
  const text = `the replica of blob ${blobId} here is damaged: ${why || 'it was read again'}`;
  throw new TroupeError('image/damaged', text);
}

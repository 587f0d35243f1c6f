// Copies an image that an operator named on this machine. The file itself is only ever read.
import { rm, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { isAbsolute } from 'node:path';
import type { SourceVerdict } from '../../../actors/artifact/state.ts';
import { TroupeError, reasonOf } from '../../../actors/kernel/errors.ts';
import { requireSpace } from './disk-space.ts';
import { watchGrowth } from './growth.ts';
import { LONG, type RunTool } from './tool.ts';

export interface CopyOptions {
  readonly maxSizeBytes: number;
  readonly minFreeBytes: number;
  readonly trace: string;
  readonly signal: AbortSignal;
  readonly run: RunTool;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** A file as it was when it was copied, in the terms of a server. */
export interface CopiedFile {
  readonly sizeBytes: number;
  /** Changes with each write, and when another file takes its place. */
  readonly etag: string;
  readonly lastModified: string;
}

/** Whether the file is still as it was. Never throws for what is wrong with the file: that is the verdict `unknown`. */
export async function checkFile(path: string, etag: string | null): Promise<SourceVerdict> {
  try {
    const now = await stat(path);
    const found = etagOf(now);
    if (!now.isFile()) return { verdict: 'unknown', reason: `${path} is not a regular file` };
    if (found === etag) return { verdict: 'same' };
    return { verdict: 'changed', what: 'the file', before: etag ?? 'unknown', now: found };
  } catch (error) {
    return { verdict: 'unknown', reason: `the image file cannot be read: ${reasonOf(error)}` };
  }
}

function etagOf({ ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${ino}-${size}-${mtimeMs}-${ctimeMs}`;
}

/**
 * Copies `from` to `to`, shared with the original where the file system can, holes kept.
 * Errors: `image/bad-url` (relative, missing, no regular file), `image/refused` (too large),
 * `image/damaged` (it changed while it was copied), `host/disk-full`, `actor/stopped`.
 */
export async function copyFile(
  from: string,
  to: string,
  options: CopyOptions,
): Promise<CopiedFile> {
  const { maxSizeBytes, minFreeBytes, signal, trace, run, onProgress } = options;
  const before = await regularFile(from);
  if (before.size > maxSizeBytes) {
    throw new TroupeError(
      'image/refused',
      `${from} has ${before.size} bytes, and an image may have ${maxSizeBytes}; use a smaller one, or raise the limit`,
      { maxSizeBytes },
    );
  }
  await rm(to, { force: true });
  const dir = to.slice(0, to.lastIndexOf('/'));
  await requireSpace(dir, Math.min(before.size, before.blocks * 512), minFreeBytes);
  const onBytes = (bytes: number) => onProgress(bytes, before.size);
  await watchGrowth({ path: to, dir, reserveBytes: minFreeBytes, signal, onBytes }, (inner) =>
    run('cp', ['--reflink=auto', '--sparse=auto', '--', from, to], {
      trace,
      signal: inner,
      limits: { ...LONG, fileBytes: maxSizeBytes },
    }),
  );
  const after = await regularFile(from);
  const copied = await stat(to);
  if (after.mtimeMs !== before.mtimeMs || after.size !== copied.size) {
    throw new TroupeError('image/damaged', `${from} changed while it was copied; try again`);
  }
  onProgress(copied.size, copied.size);
  const lastModified = after.mtime.toUTCString();
  return { sizeBytes: copied.size, etag: etagOf(after), lastModified };
}

async function regularFile(path: string) {
  if (!isAbsolute(path)) {
    throw new TroupeError('image/bad-url', `the image file ${path} must be given by its full path`);
  }
  const found = await stat(path).catch((error: unknown) => {
    throw new TroupeError('image/bad-url', `the image file cannot be read: ${reasonOf(error)}`);
  });
  if (found.isFile()) return found;
  throw new TroupeError('image/bad-url', `${path} is not a regular file`);
}

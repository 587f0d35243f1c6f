// Copies an image that an operator named on this machine. The file itself is only ever read.
import { rm, stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
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

/**
 * Copies `from` to `to`, shared with the original where the file system can, holes kept; returns its bytes.
 * Errors: `image/bad-url` (relative, missing, no regular file), `image/refused` (too large),
 * `image/damaged` (it changed while it was copied), `host/disk-full`, `actor/stopped`.
 */
export async function copyFile(from: string, to: string, options: CopyOptions): Promise<number> {
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
  return copied.size;
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

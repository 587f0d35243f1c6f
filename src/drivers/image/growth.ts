// Watches a file that a tool writes: the tool says nothing that is of use, its output's size does.
//
// O1  The reserve is kept while the tool works: one that unpacks without end is stopped before the disk is full.
import { stat } from 'node:fs/promises';
import { requireSpace } from './disk-space.ts';

export interface Growth {
  /** The file that grows; it need not exist yet. */
  readonly path: string;
  /** An existing directory on the same file system. */
  readonly dir: string;
  readonly reserveBytes: number;
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
}

const LOOK_EVERY_MS = 500;

/** Runs `work` with a signal that also aborts when the disk gets full; rejects with `host/disk-full` then. */
export async function watchGrowth<T>(
  growth: Growth,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const full = new AbortController();
  let look: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    look = lookAt(growth).catch((error: unknown) => full.abort(error));
  }, LOOK_EVERY_MS);
  try {
    return await work(AbortSignal.any([growth.signal, full.signal]));
  } catch (error) {
    throw full.signal.aborted ? full.signal.reason : error;
  } finally {
    clearInterval(timer);
    await look;
  }
}

async function lookAt({ path, dir, reserveBytes, onBytes }: Growth): Promise<void> {
  const written = await stat(path).catch(() => null);
  if (written !== null) onBytes(written.blocks * 512);
  await requireSpace(dir, 0, reserveBytes);
}

// Making files and names survive a crash of the machine.
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Forces a file's bytes, or a directory's names, to the disk. */
export async function sync(path: string): Promise<void> {
  await using file = await open(path, 'r');
  await file.sync();
}

/** Gives a finished file or directory its final name, at once and for good: sync its content before. */
export async function publish(from: string, to: string): Promise<void> {
  await rename(from, to);
  await sync(dirname(to));
  if (dirname(from) !== dirname(to)) await sync(dirname(from));
}

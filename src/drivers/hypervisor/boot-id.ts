// Tells apart the spans of time through which running guests can have lived.
//
// I1  Two equal boot ids mean: what ran then can still run now. A new one means that everything is lost.
// I2  The host's boot id is one; an embedded libvirtd also ends its guests when it is stopped for good,
//     and takes its run directory with it. So the id of that span is a file in the run directory.
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const KERNEL = '/proc/sys/kernel/random/boot_id';
const FILE = 'guests-boot-id';

/** The boot id of now. `runDir`: the folder that goes when all guests are ended; made a mark in when it has none. */
export async function readBootId(runDir?: string): Promise<string> {
  const kernel = (await readFile(KERNEL, 'utf8')).trim();
  if (runDir === undefined) return kernel;
  const path = join(runDir, FILE);
  try {
    await writeFile(path, randomUUID(), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return `${kernel} ${await readFile(path, 'utf8')}`;
}

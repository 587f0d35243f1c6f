// Writes a config drive: an ISO 9660 file system with the label cloud-init looks for.
//
// A1  The digest of the files is in the ISO itself (application id), so that one rename publishes both and an
//     unchanged drive is recognised without taking it apart.
// A2  The files hold secrets (user data, seed): their directory and the ISO are readable by root only.
import { createHash } from 'node:crypto';
import { chmod, mkdir, open, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FileTree } from '../../../actors/blob/ports.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { publish, sync } from './durable.ts';
import { isPathSafe } from './layout.ts';
import { QUICK, type RunTool } from './tool.ts';

export interface ISOOptions {
  readonly run: RunTool;
  readonly trace: string;
  readonly signal: AbortSignal;
}

const LABEL = 'config-2';
/** Of the primary volume descriptor: sector 16, the application id at byte 574. */
const APPLICATION_AT = 16 * 2048 + 574;
const APPLICATION_BYTES = 128;

/** Makes the ISO at `path` hold these files, unless it does already; returns its bytes. */
export async function ensureISO(
  path: string,
  files: FileTree,
  options: ISOOptions,
): Promise<number> {
  const application = `TROUPE ${digestOf(files)}`;
  if ((await applicationOf(path)) !== application) await write(path, files, application, options);
  return (await stat(path)).size;
}

async function write(
  path: string,
  files: FileTree,
  application: string,
  { run, trace, signal }: ISOOptions,
): Promise<void> {
  const tree = join(dirname(path), '.config-drive.tree');
  const half = join(dirname(path), '.config-drive.iso');
  await rm(tree, { recursive: true, force: true });
  try {
    await writeTree(tree, files);
    const names = ['-V', LABEL, '-A', application, '-rational-rock', '-joliet'];
    const args = ['-quiet', '-input-charset', 'utf-8', ...names, '-o', half, tree];
    await run('genisoimage', args, { trace, signal, limits: QUICK });
    await chmod(half, 0o600);
    await sync(half);
    await publish(half, path);
  } finally {
    await rm(tree, { recursive: true, force: true });
    await rm(half, { force: true });
  }
}

async function writeTree(tree: string, files: FileTree): Promise<void> {
  await mkdir(tree, { mode: 0o700 });
  for (const [name, content] of Object.entries(files)) {
    if (!name.split('/').every(isPathSafe)) {
      throw new TroupeError('actor/bad-message', `${JSON.stringify(name)} is no config drive file`);
    }
    const file = join(tree, name);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, content, { mode: 0o600 });
  }
}

/** Upper case: the descriptor's character set. Names and contents are told apart by their lengths. */
function digestOf(files: FileTree): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(files).sort()) {
    const content = Buffer.from(files[name] ?? '');
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex').toUpperCase();
}

/** Null when there is no ISO, or it ends before its descriptor. */
async function applicationOf(path: string): Promise<string | null> {
  try {
    await using file = await open(path, 'r');
    const field = Buffer.alloc(APPLICATION_BYTES);
    await file.read(field, 0, field.length, APPLICATION_AT);
    return field.toString('latin1').trimEnd();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

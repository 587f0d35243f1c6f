// Disk images to feed the driver, made by the real tools.
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { tool } from './rig.ts';

export const MIB = 2 ** 20;

export interface Samples {
  readonly dir: string;
  /** 8 MiB, some of it random, with a boot signature. */
  readonly raw: string;
  path(name: string): string;
  /** The raw disk as another format, with qemu-img's options. */
  convert(name: string, format: string, options?: readonly string[]): string;
  write(name: string, content: string | Uint8Array): string;
}

export function makeSamples(dir: string): Samples {
  const path = (name: string) => join(dir, name);
  const raw = path('disk.raw');
  const content = Buffer.alloc(8 * MIB);
  randomBytes(3 * MIB).copy(content, MIB);
  content.writeUInt16BE(0x55aa, 510);
  writeFileSync(raw, content);
  return {
    dir,
    raw,
    path,
    convert(name, format, options = []) {
      tool('qemu-img', 'convert', '-f', 'raw', '-O', format, ...options, raw, path(name));
      return path(name);
    },
    write(name, bytes) {
      writeFileSync(path(name), bytes);
      return path(name);
    },
  };
}

export function sha(algorithm: 'sha1' | 'sha256' | 'sha512', path: string): string {
  return createHash(algorithm).update(readFileSync(path)).digest('hex');
}

/** Overwrites bytes inside a file: how hostile images are made by hand. */
export function patch(path: string, at: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

/** True when two images hold the same disk, as qemu-img reads them. */
export function sameDisk(
  a: readonly [format: string, path: string],
  b: readonly [format: string, path: string],
): boolean {
  return tool('qemu-img', 'compare', '-f', a[0], '-F', b[0], a[1], b[1]).includes('identical');
}

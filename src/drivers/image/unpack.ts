// Unpacks a compressed image with the tool that made it, under limits: what it grows to is not to be believed.
import { link } from 'node:fs/promises';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Packing } from './image-format.ts';
import { LONG, lastWords, type RunTool } from './tool.ts';

interface Unpacker {
  readonly tool: string;
  readonly suffix: string;
}

const UNPACKERS: Readonly<Record<Packing, Unpacker>> = {
  gzip: { tool: 'gzip', suffix: '.gz' },
  xz: { tool: 'xz', suffix: '.xz' },
  zstd: { tool: 'zstd', suffix: '.zst' },
  bzip2: { tool: 'bzip2', suffix: '.bz2' },
};

export interface UnpackOptions {
  readonly packing: Packing;
  readonly maxBytes: number;
  readonly trace: string;
  readonly signal: AbortSignal;
  readonly run: RunTool;
}

/** Writes `to` from the packed `from`, which stays. Throws `image/refused` for damaged or too much content. */
export async function unpack(from: string, to: string, options: UnpackOptions): Promise<void> {
  const { packing, maxBytes, trace, signal, run } = options;
  const { tool, suffix } = UNPACKERS[packing];
  // The tools derive the name they write to from the one they read. --force: they refuse a second link otherwise.
  const packed = `${to}${suffix}`;
  await link(from, packed);
  const limits = { ...LONG, fileBytes: maxBytes };
  try {
    await run(tool, ['--decompress', '--keep', '--force', packed], { trace, signal, limits });
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== 'host/tool-failed') throw error;
    throw new TroupeError(
      'image/refused',
      `the image is refused: ${tool} cannot unpack it, or it unpacks to more than ${maxBytes} bytes: ${lastWords(error)}`,
      {},
      error,
    );
  }
}

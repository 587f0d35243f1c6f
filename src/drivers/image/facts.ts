// What clients are told of a replica beyond what it takes to use it: more hashes, and what qemu-img says of the file.
import { stat } from 'node:fs/promises';
import type { ReplicaFacts } from '../../../actors/blob/ports.ts';
import type { Algorithm } from './hash-file.ts';
import type { KeptFormat } from './layout.ts';
import type { QemuImg, Request } from './qemu-img.ts';

/** All that a replica is known by. */
export const ALGORITHMS: readonly Algorithm[] = ['sha1', 'sha256', 'sha512', 'xxh128'];

/** `image` is ours, or was let through by inspect(). Errors: `host/tool-failed`, those of the file system. */
export async function factsOf(
  image: { readonly path: string; readonly format: KeptFormat },
  digests: Readonly<Record<Algorithm, string>>,
  { qemuImg, ...request }: Request & { readonly qemuImg: QemuImg },
): Promise<ReplicaFacts> {
  const { sha1, sha256, xxh128 } = digests;
  const { blocks } = await stat(image.path);
  const about = { sha1, sha256, xxh128, diskBytes: blocks * BLOCK };
  const none = { clusterBytes: null, compat: null, compression: null, extendedL2: null };
  if (image.format !== 'qcow2') return { ...about, ...none };
  const info = await qemuImg.info(image.path, image.format, request);
  const data = info['format-specific']?.data;
  return {
    ...about,
    clusterBytes: info['cluster-size'] ?? null,
    compat: data?.compat ?? null,
    compression: data?.['compression-type'] ?? null,
    extendedL2: data?.['extended-l2'] ?? null,
  };
}

/** Of `stat`, bytes. */
const BLOCK = 512;

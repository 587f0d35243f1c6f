// Images that hold only what differs from a blob: thin snapshots of disks. Their own header names the blob's replica by a
// path from the place of their own (Layout.fromChild()), so that replicas are alike on every node.
//
// L1  Only what this daemon wrote is linked: to the blob that is said, by that path and no other. Anything else that names
//     another file is refused like an image from outside.
import { open } from 'node:fs/promises';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { HEAD_BYTES } from './image-format.ts';
import type { Kind } from './ingest.ts';
import { Layout } from './layout.ts';
import { isCleanQcow2, readQcow2Header, refuseQcow2 } from './qcow2-header.ts';

/** Errors: `image/refused` for anything but a clean qcow2 over that blob; those of the file system. */
export async function linkedKind(path: string, dependsOn: string): Promise<Kind> {
  await using file = await open(path, 'r');
  const head = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  const header = readQcow2Header(head.subarray(0, bytesRead));
  const names = (['qcow2', 'raw'] as const).map((format) => Layout.fromChild(dependsOn, format));
  const isLinked = header.backingFile !== null && names.includes(header.backingFile);
  const reason = isLinked ? refuseQcow2({ ...header, backingFile: null }) : 'it is not based on it';
  if (reason !== null || !isCleanQcow2(header)) {
    const text = `what differs from blob ${dependsOn} cannot be kept: ${reason ?? 'it was not closed'}`;
    throw new TroupeError('image/refused', text);
  }
  return { format: 'qcow2', sourceFormat: 'qcow2', mimeType: 'application/octet-stream' };
}

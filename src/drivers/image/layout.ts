// Where the image driver keeps things under its directory, and nowhere else.
//
//   blobs/<blob>/image.qcow2 | image.iso | image.raw   a replica: read-only, complete
//   blobs/<blob>/replica.json              what is known of it
//   blobs/<blob>/chunks.sha256             the digest of each chunk, for who copies it
//   blobs/<blob>/damaged                   there when it was read again and is bad: how
//   blobs/.partial/<blob>/                 one replica being made; nothing else is ever in there
//   instances/<instance>/<device>.qcow2    an instance's own disk
//   instances/<instance>/config-drive.iso
//   instances/<instance>/.copy-<blob>      one of its disks, being copied for a snapshot
//   instances/<instance>/nvram-template.fd what its UEFI variables start from
//   spool/<id>                             bytes that are to become a blob
//
// P1  An id becomes a path only after isPathSafe(): no slash, no leading dot, so nothing climbs out of the directory.
// P2  Names that start with a dot are work in progress: never listed, removed when the daemon starts.
import { isAbsolute, join } from 'node:path';
import { TroupeError } from '../../../actors/kernel/errors.ts';

/** 'raw': bytes as they came; to a guest, a raw disk. */
export type KeptFormat = 'qcow2' | 'iso' | 'raw';

/** Paths as strings; makes nothing on the disk. */
export class Layout {
  readonly dir: string;
  readonly blobs: string;
  readonly partials: string;
  readonly instances: string;
  readonly spool: string;

  /** Refuses a relative directory: qemu-img resolves a relative backing file against the overlay. */
  constructor(dir: string) {
    if (!isAbsolute(dir)) {
      throw new TroupeError('config/invalid', `the image directory ${dir} must be absolute`);
    }
    this.dir = dir;
    this.blobs = join(dir, 'blobs');
    this.partials = join(this.blobs, '.partial');
    this.instances = join(dir, 'instances');
    this.spool = join(dir, 'spool');
  }

  replica(blobId: string): string {
    return join(this.blobs, pathSafe(blobId));
  }

  replicaImage(blobId: string, format: KeptFormat): string {
    return join(this.replica(blobId), imageName(format));
  }

  /** As a child of the blob names it in its own file: from its place, wherever that is on a node. */
  static fromChild(blobId: string, format: KeptFormat): string {
    return `../${pathSafe(blobId)}/${imageName(format)}`;
  }

  replicaReport(blobId: string): string {
    return join(this.replica(blobId), REPORT_NAME);
  }

  replicaMark(blobId: string): string {
    return join(this.replica(blobId), MARK_NAME);
  }

  partial(blobId: string): string {
    return join(this.partials, pathSafe(blobId));
  }

  spooled(id: string): string {
    return join(this.spool, pathSafe(id));
  }

  instance(instanceId: string): string {
    return join(this.instances, pathSafe(instanceId));
  }

  disk(instanceId: string, device: string): string {
    return join(this.instance(instanceId), `${pathSafe(device)}.qcow2`);
  }

  /** Work in progress (P2). */
  diskCopy(instanceId: string, blobId: string): string {
    return join(this.instance(instanceId), `.copy-${pathSafe(blobId)}`);
  }

  nvramTemplate(instanceId: string): string {
    return join(this.instance(instanceId), 'nvram-template.fd');
  }

  configDrive(instanceId: string): string {
    return join(this.instance(instanceId), 'config-drive.iso');
  }
}

export const MARK_NAME = 'damaged';
export const REPORT_NAME = 'replica.json';

export function imageName(format: KeptFormat): string {
  return `image.${format}`;
}

/** True for text that may be one component of a path: letters, digits, `.`, `_`, `-`, not starting with a dot. */
export function isPathSafe(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(text);
}

function pathSafe(text: string): string {
  if (isPathSafe(text)) return text;
  throw new TroupeError('actor/bad-message', `${JSON.stringify(text)} cannot be part of a path`);
}

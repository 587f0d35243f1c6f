// The head of a qcow2 file, read by ourselves before qemu-img opens it: opening alone already follows an
// external data file. Layout: QEMU's docs/interop/qcow2.txt. All numbers are big-endian.
//
// Q1  A feature bit that is not known here is refused, never ignored: that is how the next way to name
//     another file would come in.
import { TroupeError } from '../../../actors/kernel/errors.ts';

const MAGIC = 0x51_46_49_fb;
/** A version 2 header; version 3 adds feature bits up to byte 104. */
const V2_BYTES = 72;
const V3_BYTES = 104;
const DIRTY = 1n;
const CORRUPT = 2n;
const DATA_FILE = 4n;
/** Compression type and extended L2 entries concern only how clusters are laid out. */
const HARMLESS = DIRTY | 8n | 16n;
const DATA_FILE_EXTENSION = 0x44_41_54_41;
const MAX_EXTENSIONS = 64;

export interface Qcow2Header {
  readonly version: number;
  readonly virtualSizeBytes: number;
  /** As written in the file; null: none. */
  readonly backingFile: string | null;
  readonly isEncrypted: boolean;
  readonly snapshots: number;
  readonly incompatible: bigint;
  readonly namesDataFile: boolean;
}

export function isQcow2(head: Buffer): boolean {
  return head.length >= V2_BYTES && head.readUInt32BE(0) === MAGIC;
}

/** Throws `image/refused` when it is too short or broken to be read. `head`: at least the first cluster, or the first 64 KiB. */
export function readQcow2Header(head: Buffer): Qcow2Header {
  if (!isQcow2(head)) throw broken('it does not start like one');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) {
    throw broken(`its version is ${version}, and 2 and 3 are understood`);
  }
  if (version === 3 && head.length < V3_BYTES) throw broken('its header is cut off');
  const clusterBits = head.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw broken(`its clusters are 2^${clusterBits} bytes`);
  const headerBytes = version === 3 ? head.readUInt32BE(100) : V2_BYTES;
  return {
    version,
    virtualSizeBytes: Number(head.readBigUInt64BE(24)),
    backingFile: backingFile(head),
    isEncrypted: head.readUInt32BE(32) !== 0,
    snapshots: head.readUInt32BE(60),
    incompatible: version === 3 ? head.readBigUInt64BE(72) : 0n,
    namesDataFile: hasExtension(head, headerBytes, DATA_FILE_EXTENSION),
  };
}

/** Why this file must not be opened, and what to do; null when its header refers to nothing outside it. */
export function refuseQcow2(header: Qcow2Header): string | null {
  if (header.backingFile !== null) {
    return `it is an overlay on another file (${header.backingFile}); upload it flattened: qemu-img convert -O qcow2 IN OUT`;
  }
  if (header.namesDataFile || (header.incompatible & DATA_FILE) !== 0n) {
    return 'it keeps its data in another file (data_file); upload it as one file: qemu-img convert -O qcow2 IN OUT';
  }
  if (header.isEncrypted) {
    return 'it is encrypted, and there is no key here; upload it decrypted';
  }
  if ((header.incompatible & CORRUPT) !== 0n) {
    return 'it is marked corrupt; repair it at its source: qemu-img check -r all FILE';
  }
  const unknown = header.incompatible & ~HARMLESS;
  if (unknown !== 0n) {
    return `it uses qcow2 features this version does not know (bits 0x${unknown.toString(16)}); convert it with compat=1.1 and default options`;
  }
  return null;
}

/** True when the file can be kept as it came: version 3, no internal snapshots, closed cleanly. */
export function isCleanQcow2(header: Qcow2Header): boolean {
  return header.version === 3 && header.snapshots === 0 && (header.incompatible & DIRTY) === 0n;
}

function backingFile(head: Buffer): string | null {
  const offset = Number(head.readBigUInt64BE(8));
  const length = head.readUInt32BE(16);
  if (offset === 0) return null;
  return head.toString('utf8', offset, offset + Math.min(length, 1023)) || 'a name out of reach';
}

/** Extensions follow the header: type, length, content padded to 8 bytes; type 0 ends them. */
function hasExtension(head: Buffer, start: number, wanted: number): boolean {
  let at = start;
  for (let seen = 0; seen < MAX_EXTENSIONS && at + 8 <= head.length; seen++) {
    const type = head.readUInt32BE(at);
    if (type === wanted) return true;
    if (type === 0) return false;
    at += 8 + Math.ceil(head.readUInt32BE(at + 4) / 8) * 8;
  }
  return false;
}

function broken(why: string): TroupeError {
  return new TroupeError('image/refused', `the qcow2 image cannot be read: ${why}`);
}

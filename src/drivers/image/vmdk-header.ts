// The head of a VMDK file, read by ourselves before qemu-img opens it. A VMDK carries a text descriptor
// that may name other files as extents or as parent. Numbers are little-endian, places in 512-byte sectors.
//
// V1  Only a file that is its own single extent is let through (monolithicSparse, streamOptimized).
// V2  qemu-img looks for the parent at byte 512 whatever the header says, so both places are read.
const MAGIC = 'KDMV';
const SECTOR = 512;
const FIXED_DESCRIPTOR_BYTES = 20 * SECTOR;
const OWN_EXTENT = ['monolithicSparse', 'streamOptimized'];
const FLATTEN = 'upload it as one file: qemu-img convert -O qcow2 IN OUT';

export function isVmdk(head: Buffer): boolean {
  return head.toString('latin1', 0, 4) === MAGIC;
}

/** True for a descriptor alone: text that names the files which hold the data. */
export function isVmdkDescriptor(head: Buffer): boolean {
  return /^\s*# Disk DescriptorFile/.test(head.toString('latin1', 0, SECTOR));
}

/** Why this file must not be opened, and what to do; null when it refers to nothing outside it. */
export function refuseVmdk(head: Buffer): string | null {
  if (head.length < 2 * SECTOR) return 'its VMDK header is cut off';
  if (head.readBigUInt64LE(12) === 0n) {
    return `its VMDK header has no size and points at a descriptor; ${FLATTEN}`;
  }
  const start = Number(head.readBigUInt64LE(28)) * SECTOR;
  const end = start + Number(head.readBigUInt64LE(36)) * SECTOR;
  if (start === 0 || end > head.length) return `its VMDK descriptor is out of reach; ${FLATTEN}`;
  const descriptor = text(head.subarray(start, end));
  const fixed = text(head.subarray(SECTOR, SECTOR + FIXED_DESCRIPTOR_BYTES));
  if (namesParent(descriptor) || namesParent(fixed)) {
    return `it is a delta on another VMDK (its parent); ${FLATTEN}`;
  }
  const type = /^\s*createType\s*=\s*"([^"]*)"/m.exec(descriptor)?.[1] ?? 'unknown';
  if (!OWN_EXTENT.includes(type)) {
    return `its VMDK type is ${type}, and ${OWN_EXTENT.join(' and ')} are accepted; ${FLATTEN}`;
  }
  const extents = descriptor.match(/^\s*(RW|RDONLY|NOACCESS)\s.*$/gm) ?? [];
  const isOwn = extents.length === 1 && /^\s*RW\s+\d+\s+SPARSE\s+"[^"/]*"\s*$/.test(extents[0]);
  return isOwn ? null : `its data is in other files (VMDK extents); ${FLATTEN}`;
}

function text(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end);
}

function namesParent(descriptor: string): boolean {
  if (/parentFileNameHint/i.test(descriptor)) return true;
  const parent = /^\s*parentCID\s*=\s*(\w+)/im.exec(descriptor)?.[1];
  return parent !== undefined && parent.toLowerCase() !== 'ffffffff';
}

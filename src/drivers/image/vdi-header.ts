// The head of a VDI file. qemu-img reads what is missing at the end of one as zeros and says nothing, so the
// length is checked here. Numbers are little-endian.
const DATA_AT = 0x158;
const BLOCK_BYTES_AT = 0x178;
const BLOCKS_ALLOCATED_AT = 0x184;

/** Why the file cannot be used; null when all blocks it counts are there. */
export function refuseVdi(head: Buffer, sizeBytes: number): string | null {
  if (head.length < BLOCKS_ALLOCATED_AT + 4) return 'its VDI header is cut off';
  const blocks = head.readUInt32LE(BLOCKS_ALLOCATED_AT);
  const needed = head.readUInt32LE(DATA_AT) + blocks * head.readUInt32LE(BLOCK_BYTES_AT);
  if (needed <= sizeBytes) return null;
  return `it is cut off: its VDI header counts ${needed} bytes, and there are ${sizeBytes}`;
}

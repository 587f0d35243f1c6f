// The footer of a VHD file (of which a growing one has a copy at its start). qemu-img takes a differencing
// disk for a growing one and reads what its parent holds as zeros, so the type is checked here. Big-endian.
const TYPE_AT = 60;
const TYPES: Readonly<Record<number, string>> = { 2: 'fixed', 3: 'dynamic', 4: 'differencing' };

/** Why the file cannot be used; null when all of the disk is in it. `tail`: its last 512 bytes. */
export function refuseVpc(head: Buffer, tail: Buffer): string | null {
  const isAtStart = head.toString('latin1', 0, 8) === 'conectix';
  const footer = isAtStart ? head : tail;
  if (footer.length < TYPE_AT + 4) return 'its VHD footer is cut off';
  const type = footer.readUInt32BE(TYPE_AT);
  if (type === 2 || type === 3) return null;
  const name = TYPES[type] ?? `unknown (${type})`;
  return `it is a ${name} VHD, and fixed and dynamic ones are accepted; merge it into its parent first`;
}

// UUIDs that a transition draws and stores before an effect uses them, or that follow from what is known.

const BYTES = 16;
const RANDOM = 4;
/** "Custom" in RFC 9562. */
const DERIVED = 8;

/** Version 4 (RFC 9562); `random` is uniform in [0, 1). */
export function randomUuid(random: () => number): string {
  return format(
    Array.from({ length: BYTES }, () => Math.floor(random() * 256)),
    RANDOM,
  );
}

/** Version 8 (RFC 9562), of the first 16 bytes of a hash: the same for the same. */
export function asUuid(hash: Uint8Array): string {
  return format([...hash.subarray(0, BYTES)], DERIVED);
}

function format(bytes: number[], version: number): string {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

// UUIDs that a transition draws and stores before an effect uses them.

const BYTES = 16;

/** Version 4 (RFC 9562); `random` is uniform in [0, 1). */
export function randomUuid(random: () => number): string {
  const bytes = Array.from({ length: BYTES }, () => Math.floor(random() * 256));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

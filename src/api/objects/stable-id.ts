// Ids that follow from what is asked for: who asks again, at whichever node, means the same object.
import { createHash } from 'node:crypto';

/** A UUID made from the parts; the same on every node. */
export function stableId(parts: readonly unknown[]): string {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest();
  // Version 8, of our own making (RFC 9562, 5.8).
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  const cuts = [0, 8, 12, 16, 20, 32];
  return cuts
    .slice(1)
    .map((to, index) => hex.slice(cuts[index], to))
    .join('-');
}

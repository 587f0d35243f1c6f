// Who fetches from an address, or has fetched from it last: a claim on the address and the hash that is expected there. It is
// the blob's own, and goes with it (actors/artifact/origins.ts).
import { createHash } from 'node:crypto';
import type { Source } from './state.ts';

/** The space of these claims. */
export const ORIGIN = 'origin';

/** What is claimed: no secret of an address can be read in it. Null: nothing that all nodes reach alike. */
export function originOf(source: Source | null): string | null {
  if (source?.kind !== 'url') return null;
  const { url, checksum } = source;
  const expected = checksum === undefined ? null : [checksum.algorithm, checksum.hex];
  return createHash('sha256')
    .update(JSON.stringify([plain(url), expected]))
    .digest('hex');
}

/** However it is written; what follows `#` is never sent to a server. */
function plain(text: string): string {
  const url = URL.parse(text);
  if (url === null) return text;
  url.hash = '';
  return url.href;
}

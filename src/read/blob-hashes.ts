// The hashes that blobs are found by: of the bytes as they are kept.
import type { BlobState } from '../../actors/blob/state.ts';
import type { Keys } from './collection.ts';

export const HASHES = ['sha1', 'sha256', 'sha512', 'xxh128'] as const;
export type HashName = (typeof HASHES)[number];

/** Null while it is not known. */
export const HASH_KEYS: Keys<BlobState, HashName> = {
  sha512: ({ content }) => content?.sha512 ?? null,
  sha1: ({ content }) => content?.facts?.sha1 ?? null,
  xxh128: ({ content }) => content?.facts?.xxh128 ?? null,
  // Of one of an older version, that of what came, which is what is kept unless it was converted.
  sha256: ({ content }) => content?.facts?.sha256 ?? keptAsItCame(content),
};

function keptAsItCame(content: BlobState['content']): string | null {
  if (content === null || content.sourceSizeBytes !== content.sizeBytes) return null;
  return content.sourceSha256;
}

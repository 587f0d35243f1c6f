// What a blob holds, for tests to which its particulars are all the same.
import type { Content, Facts } from '../../actors/blob/state.ts';

/** Ten bytes of a qcow2; replace what matters. */
export const CONTENT = {
  sizeBytes: 10,
  sha512: 'aa',
  sourceSizeBytes: 10,
  sourceSha256: 'bb',
  sourceFormat: 'qcow2',
  format: 'qcow2',
  mimeType: 'application/octet-stream',
  virtualSizeBytes: 20,
  etag: null,
  lastModified: null,
} as const satisfies Content;

/** What is found out about it in one more reading. */
export const FACTS = {
  sha1: 'cc',
  sha256: 'dd',
  xxh128: 'ee',
  diskBytes: 1,
  clusterBytes: null,
  compat: null,
  compression: null,
  extendedL2: null,
} as const satisfies Facts;

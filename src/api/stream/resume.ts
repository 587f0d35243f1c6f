// Resume tokens: where in the cluster's history a reader is. Opaque to clients; the same at every node.

const TOKEN = /^1\.(0|[1-9]\d{0,15})$/;

/** For who has everything up to the revision. */
export function resumeToken(revision: number): string {
  return Buffer.from(`1.${revision}`).toString('base64url');
}

/** Undefined for what is no token. */
export function revisionOf(token: string): number | undefined {
  const found = TOKEN.exec(Buffer.from(token, 'base64url').toString());
  const revision = Number(found?.[1] ?? Number.NaN);
  return Number.isSafeInteger(revision) ? revision : undefined;
}

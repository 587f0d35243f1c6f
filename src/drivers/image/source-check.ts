// Asks a server whether a URL still gives what it gave (contract: artifacts 6.2).
//
// S1  An ETag of both times decides; else date and length, of which a missing one counts as another.
// S2  No byte of the content is waited for, and nothing is tried twice: who asks has a version to go on with.
import type { SourceVerdict } from '../../../actors/artifact/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { DestinationCheck, type FetchPolicy } from './fetch-policy.ts';
import { get, parseURL } from './http-source.ts';

/** What is known of a source since it was fetched. */
export interface KnownSource {
  readonly url: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly sizeBytes: number;
}

export interface SourceCheckOptions {
  readonly policy: FetchPolicy;
  readonly answerTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** Never throws for what the server does: that is the verdict `unknown`. */
export async function checkSource(
  known: KnownSource,
  { policy, answerTimeoutMs, signal }: SourceCheckOptions,
): Promise<SourceVerdict> {
  try {
    const check = new DestinationCheck(policy);
    const headers = conditions(known);
    const { status, body } = await get(parseURL(known.url), {
      check,
      headers,
      answerTimeoutMs,
      signal,
    });
    body.destroy();
    if (status === 304) return { verdict: 'same' };
    if (status !== 200) return { verdict: 'unknown', reason: `the server answers ${status}` };
    const { etag, 'last-modified': lastModified, 'content-length': length } = body.headers;
    return compare(known, { etag, lastModified, length });
  } catch (error) {
    if (error instanceof TroupeError) return { verdict: 'unknown', reason: error.message };
    throw error;
  }
}

function conditions({ etag, lastModified }: KnownSource): Record<string, string> {
  const headers = { 'Accept-Encoding': 'identity' };
  if (etag !== null) return { ...headers, 'If-None-Match': etag };
  return lastModified === null ? headers : { ...headers, 'If-Modified-Since': lastModified };
}

interface Said {
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  readonly length: string | undefined;
}

function compare(known: KnownSource, { etag, lastModified, length }: Said): SourceVerdict {
  if (etag !== undefined && known.etag !== null) {
    return etag === known.etag ? { verdict: 'same' } : changed('ETag', known.etag, etag);
  }
  const [before, now] = [known.lastModified, lastModified];
  if (before === null || now === undefined || Date.parse(before) !== Date.parse(now)) {
    return changed('Last-Modified', before, now);
  }
  const size = String(known.sizeBytes);
  return length === size ? { verdict: 'same' } : changed('Content-Length', size, length);
}

function changed(what: string, before: string | null, now: string | undefined): SourceVerdict {
  return { verdict: 'changed', what, before: before ?? 'unknown', now: now ?? 'unknown' };
}

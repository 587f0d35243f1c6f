// Judges the head of an answer to a GET that may have asked for the rest of a file (RFC 9110, section 14).
// Pure.
//
// J1  Bytes are joined only when the server says where they belong and proves the version; in any doubt the
//     download starts over.
import type { IncomingHttpHeaders } from 'node:http';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { shownURL, unreachable } from './http-source.ts';
import type { Validators } from './partial-file.ts';

export interface Held {
  readonly offset: number;
  readonly validators: Validators;
}

export type Judged =
  | { readonly kind: 'continue' }
  | { readonly kind: 'restart'; readonly validators: Validators }
  /** Its part and ours do not fit together: ours has to be forgotten before asking again. */
  | { readonly kind: 'out-of-step' };

/** Throws `image/bad-url` for an answer that asking again does not change, `image/unreachable` for one it may. */
export function judgeAnswer(
  status: number,
  headers: IncomingHttpHeaders,
  held: Held,
  url: URL,
): Judged {
  if (status === 200) {
    return { kind: 'restart', validators: validatorsOf(headers, lengthOf(headers)) };
  }
  if (status === 206) return { kind: continues(headers, held) ? 'continue' : 'out-of-step' };
  if (status === 416) return { kind: 'out-of-step' };
  throw statusError(status, url);
}

function continues(headers: IncomingHttpHeaders, held: Held): boolean {
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '');
  if (range === null || Number(range[1]) !== held.offset) return false;
  const total = range[3] === '*' ? null : Number(range[3]);
  const now = validatorsOf(headers, total);
  const { etag, lastModified, totalBytes } = held.validators;
  if (now.totalBytes !== totalBytes) return false;
  if (now.etag !== null || etag !== null) return now.etag === etag;
  return now.lastModified === null || now.lastModified === lastModified;
}

function validatorsOf(headers: IncomingHttpHeaders, totalBytes: number | null): Validators {
  return { etag: headers.etag ?? null, lastModified: headers['last-modified'] ?? null, totalBytes };
}

function lengthOf(headers: IncomingHttpHeaders): number | null {
  const declared = headers['content-length'];
  return declared === undefined ? null : Number(declared);
}

const AGAIN = new Set([408, 425, 429]);

function statusError(status: number, url: URL): TroupeError {
  if (status >= 500 || AGAIN.has(status)) return unreachable(url, `answered ${status}`);
  const way =
    status === 401 || status === 403
      ? 'it wants a login: give the URL with one, or a signed URL'
      : 'check the URL';
  return new TroupeError('image/bad-url', `${shownURL(url)} answered ${status}; ${way}`, {
    status,
  });
}

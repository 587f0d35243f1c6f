// What a source URL of an image stands for (contract: artifacts 5).
import { isAbsolute, normalize } from 'node:path';
import type { BlobSource } from '../../../actors/blob/ports.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { Caller } from '../http/route.ts';
import { expandShortcut, type Shortcut } from './shortcuts.ts';

/** Where the bytes of an image come from that is not brought, but fetched. */
export type OutsideSource = Extract<BlobSource, { kind: 'url' | 'file' }>;

const FILE = 'file://';
/** Far above any real address, far below what the store takes. */
const MAX_URL_LENGTH = 4_096;

/**
 * `http(s)`, and names that the table has, for everybody; a file of the node, by `file://`, for the administrator only.
 * Error: `image/bad-url`.
 */
export function imageSource(
  given: string,
  caller: Caller,
  shortcuts: readonly Shortcut[],
): OutsideSource {
  const url = expandShortcut(shortcuts, given) ?? given;
  if (url.length > MAX_URL_LENGTH)
    throw badUrl(`an image's address has at most ${MAX_URL_LENGTH} characters`);
  if (/^https?:\/\//i.test(url)) return { kind: 'url', url: checkedUrl(url) };
  if (!url.startsWith(FILE)) {
    throw badUrl(
      `${url} is no address of an image: give an http(s) URL, file:///PATH on the node, or a name that the setting image-shortcuts has`,
    );
  }
  if (caller.namespace !== SYSTEM) {
    throw badUrl('only the system namespace can use files of the node; give an http(s) URL');
  }
  return { kind: 'file', path: filePath(url) };
}

function checkedUrl(url: string): string {
  if (URL.canParse(url)) return url;
  throw badUrl(`${url} is no URL that can be fetched; check host and port`);
}

function filePath(url: string): string {
  const path = decoded(url.slice(FILE.length));
  if (path !== undefined && isAbsolute(path) && !path.includes('\0')) return normalize(path);
  throw badUrl(`${url} should be file:///PATH, with an absolute path`);
}

/** Undefined when it is no percent-encoding. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function badUrl(message: string): TroupeError {
  return new TroupeError('image/bad-url', message);
}

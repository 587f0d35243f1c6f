// What a source URL of an image stands for (contract: artifacts 5).
import { isAbsolute, normalize } from 'node:path';
import type { BlobSource, Checksum } from '../../../actors/blob/ports.ts';
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
  const { url: asked, ...expected } = withoutChecksum(given);
  const url = expandShortcut(shortcuts, asked) ?? asked;
  if (url.length > MAX_URL_LENGTH)
    throw badUrl(`an image's address has at most ${MAX_URL_LENGTH} characters`);
  if (/^https?:\/\//i.test(url)) return { kind: 'url', url: checkedUrl(url), ...expected };
  if (!url.startsWith(FILE)) {
    throw badUrl(
      `${url} is no address of an image: give an http(s) URL, file:///PATH on the node, or a name that the setting image-shortcuts has`,
    );
  }
  if (caller.namespace !== SYSTEM) {
    throw badUrl('only the system namespace can use files of the node; give an http(s) URL');
  }
  return { kind: 'file', path: filePath(url), ...expected };
}

/** Where the hash of an image stands in its address: part of what names it, and never sent to a server. */
const CHECKSUM = /#(sha256|sha512)=(.*)$/i;
const HEX_DIGITS = { sha256: 64, sha512: 128 } as const;

/** Error: `image/bad-url` for a hash that is none. */
function withoutChecksum(given: string): { url: string; checksum?: Checksum } {
  const found = CHECKSUM.exec(given);
  if (found === null) return { url: given };
  const algorithm = found[1]?.toLowerCase() === 'sha256' ? 'sha256' : 'sha512';
  const hex = found[2]?.toLowerCase() ?? '';
  if (new RegExp(`^[0-9a-f]{${HEX_DIGITS[algorithm]}}$`).test(hex)) {
    return { url: given.slice(0, found.index), checksum: { algorithm, hex } };
  }
  throw badUrl(
    `a ${algorithm} has ${HEX_DIGITS[algorithm]} hex digits, not ${hex.length} characters`,
  );
}

/** The address with the hash that is expected of its bytes, as `sha256:HEX`. Error: `image/bad-url`. */
export function urlWithChecksum(url: string, expected: string): string {
  const [algorithm = '', hex = ''] = expected.split(':');
  if (CHECKSUM.test(url)) throw badUrl('give the hash either in the address or beside it');
  const whole = `${url}#${algorithm}=${hex}`;
  if (!CHECKSUM.test(whole)) throw badUrl('a checksum is given as sha256:HEX or sha512:HEX');
  withoutChecksum(whole);
  return `${url}#${algorithm.toLowerCase()}=${hex.toLowerCase()}`;
}

/** What it is called: the last part of its address (contract: artifacts 4.1). */
export function imageNameOf(given: string): string {
  const url = given.replace(CHECKSUM, '');
  return url.split('/').at(-1) ?? url;
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

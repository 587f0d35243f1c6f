// What bytes are that are no image of a disk, by their own first ones: the MIME type that clients are told.
import type { Sample } from './image-format.ts';

const UNKNOWN = 'application/octet-stream';

/** What begins so, at this place. The more a rule asks for, the earlier it comes. */
const RULES: readonly (readonly [type: string, magic: string, at?: number])[] = [
  ['image/png', '\x89PNG\r\n\x1a\n'],
  ['image/jpeg', '\xff\xd8\xff'],
  ['image/gif', 'GIF8'],
  ['image/x-portable-pixmap', 'P6\n'],
  ['application/pdf', '%PDF-'],
  ['application/zip', 'PK\x03\x04'],
  ['application/x-7z-compressed', "7z\xbc\xaf'\x1c"],
  ['application/x-tar', 'ustar', 257],
  ['application/x-executable', '\x7fELF'],
];

/** Of a file that is empty, or of which nothing is known, `application/octet-stream`. */
export function mimeOf({ head }: Pick<Sample, 'head'>): string {
  const found = RULES.find(
    ([, magic, at = 0]) => head.toString('latin1', at, at + magic.length) === magic,
  );
  if (found !== undefined) return found[0];
  const start = head.subarray(0, TEXT_BYTES);
  if (start.length === 0 || !isText(start)) return UNKNOWN;
  const text = start.toString('utf8').trimStart();
  if (/^(<!doctype html|<html)/i.test(text)) return 'text/html';
  if (text.startsWith('<?xml')) return 'text/xml';
  return text.startsWith('#!') ? 'text/x-shellscript' : 'text/plain';
}

const TEXT_BYTES = 4_096;

/** UTF-8 without control characters; the last character may be cut off. */
function isText(bytes: Uint8Array): boolean {
  if (bytes.some((byte) => byte < 0x20 && (byte < 8 || byte > 13) && byte !== 0x1b)) return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

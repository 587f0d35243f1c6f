// Reads one setting's text. Each parser returns the value or throws Expected, which says what is
// allowed; who asked adds which setting it was and what was found.
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseNetblock } from '../../actors/network/netblock.ts';
import type { Shortcut } from '../api/artifacts/shortcuts.ts';

/** The text is not what the setting takes; the message completes "expected …". */
export class Expected extends Error {
  override readonly name = 'Expected';
}

/** `directory` is what a relative path is relative to. */
export type Parser<T> = (text: string, directory: string) => T;

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const HOST_LABEL = new RegExp(`^${LABEL}$`);
const DOMAIN = new RegExp(`^${LABEL}(\\.${LABEL})*$`);
const SIZE = /^([1-9][0-9]*)([KMGT]?)(iB|i)?$/;
const UNITS = ['', 'K', 'M', 'G', 'T'];

/** Empty text means: not set. */
export function optional<T>(parser: Parser<T>): Parser<T | null> {
  return (text, directory) => (text === '' ? null : parser(text, directory));
}

/** The word `never` is null. */
export function orNever<T>(parser: Parser<T>): Parser<T | null> {
  return (text, directory) => (text === 'never' ? null : parser(text, directory));
}

/** The first and the last port, both included. */
export const portRange: Parser<{ first: number; last: number }> = (text) => {
  const [, first = 0, last = 0] = (/^([0-9]{1,5})-([0-9]{1,5})$/.exec(text) ?? []).map(Number);
  if (first >= 1 && first <= last && last <= 65_535) return { first, last };
  throw new Expected('a range of ports such as 13020-13083');
};

/** Separated by commas or spaces; empty text is an empty list. */
export function listOf<T>(parser: Parser<T>): Parser<readonly T[]> {
  return (text, directory) =>
    text
      .split(/[\s,]+/)
      .filter((part) => part !== '')
      .map((part) => parser(part, directory));
}

export function whole(least: number, most: number): Parser<number> {
  return (text) => {
    const value = Number(text);
    if (/^[0-9]+$/.test(text) && value >= least && value <= most) return value;
    throw new Expected(`a whole number from ${least} to ${most}`);
  };
}

/** Seconds, as milliseconds; -1: for ever, which is null. */
export const age: Parser<number | null> = (text) => {
  if (text === '-1') return null;
  if (/^[0-9]{1,10}$/.test(text)) return Number(text) * 1000;
  throw new Expected('a whole number of seconds, or -1 for ever');
};

/** A number of things; -1: any, which is null. */
export const most: Parser<number | null> = (text) => {
  if (text === '-1') return null;
  if (/^[1-9][0-9]{0,9}$/.test(text)) return Number(text);
  throw new Expected('a whole number from 1, or -1 for any number');
};

export function oneOf<T extends string>(...allowed: readonly T[]): Parser<T> {
  return (text) => {
    const found = allowed.find((each) => each === text);
    if (found !== undefined) return found;
    throw new Expected(allowed.join(', ').replace(/, ([^,]*)$/, ' or $1'));
  };
}

/** One or more of them, each once, separated by commas or spaces. */
export function someOf<T extends string>(...allowed: readonly T[]): Parser<readonly T[]> {
  const parse = listOf(oneOf(...allowed));
  return (text, directory) => {
    const found = new Set(parse(text, directory));
    if (found.size > 0) return allowed.filter((one) => found.has(one));
    throw new Expected(`at least one of ${allowed.join(', ')}`);
  };
}

/** An absolute path. */
export const path: Parser<string> = (text, directory) => {
  if (text !== '' && !/[\0\n]/.test(text)) return resolve(directory, text);
  throw new Expected('the path of a file or directory');
};

/** Bytes, with K, M, G or T for powers of 1024. */
export const size: Parser<number> = (text) => {
  const [, digits = '', unit = ''] = SIZE.exec(text) ?? [];
  const bytes = Number(digits) * 1024 ** UNITS.indexOf(unit);
  if (digits !== '' && Number.isSafeInteger(bytes)) return bytes;
  throw new Expected('a size such as 500M, 64G or 2T');
};

/** What may be a host's name in DNS, in lower case. */
export const hostLabel: Parser<string> = (text) => {
  if (HOST_LABEL.test(text)) return text;
  throw new Expected('a name of up to 63 lower case letters, digits and inner hyphens');
};

export const domain: Parser<string> = (text) => {
  if (DOMAIN.test(text) && text.length <= 200) return text;
  throw new Expected('a DNS domain such as cloud.example, in lower case');
};

export const hostTag: Parser<string> = (text) => {
  if (/^[0-9a-f]{4}$/.test(text)) return text;
  throw new Expected('four digits from 0-9 and a-f');
};

export const address: Parser<string> = (text) => {
  if (isIP(text) !== 0) return text;
  throw new Expected('an IP address');
};

/** An IPv4 address that other machines and namespaces can reach. */
export const remoteAddress: Parser<string> = (text) => {
  if (isIP(text) === 4 && !/^(127|0)\./.test(text)) return text;
  throw new Expected('an IPv4 address that is not a loopback one');
};

export const netblock: Parser<string> = (text) => {
  try {
    return parseNetblock(text).cidr;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Expected(`an IPv4 block such as 192.168.20.0/24, from /8 to /29 (${why})`, { cause });
  }
};

/** A CIDR block or a single address, of either family. */
export const addressBlock: Parser<string> = (text) => {
  const [host = '', bits, ...more] = text.split('/');
  const family = isIP(host);
  const most = family === 6 ? 128 : 32;
  const fits = bits === undefined || (/^[0-9]{1,3}$/.test(bits) && Number(bits) <= most);
  if (family !== 0 && more.length === 0 && fits) return text;
  throw new Expected('addresses or blocks such as 10.0.0.0/8, with commas between them');
};

export const device: Parser<string> = (text) => {
  if (/^[^\s/:]{1,15}$/.test(text) && text !== '.' && text !== '..') return text;
  throw new Expected('the name of a network device, such as eth0');
};

export function url(...schemes: readonly string[]): Parser<string> {
  return (text) => {
    if (URL.canParse(text)) {
      const parsed = new URL(text);
      if (schemes.includes(parsed.protocol.slice(0, -1)) && parsed.hostname !== '') return text;
    }
    throw new Expected(
      `a URL that begins with ${schemes.map((each) => `${each}://`).join(' or ')}`,
    );
  };
}

/** `NAME=URL`: a short name of an image and its address; `debian*` stands for all that begin so. */
export const shortcut: Parser<Shortcut> = (text, directory) => {
  const [, pattern = '', address = ''] = /^([\w.:+-]+\*?)=(.+)$/.exec(text) ?? [];
  if (pattern === '') throw new Expected('lines such as debian:12=https://HOST/{name}.qcow2');
  url('http', 'https')(address.replace(/\{(name|version)\}/g, 'x'), directory);
  return { pattern, url: address };
};

/** An http(s) URL, or the path of a file, which comes out absolute. */
export const source: Parser<string> = (text, directory) =>
  text.includes('://') ? url('http', 'https')(text, directory) : path(text, directory);

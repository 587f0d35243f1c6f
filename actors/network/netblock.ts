// IPv4 blocks: parsing as strict as the API promises, and the arithmetic of addresses in them.
import { TroupeError } from '../kernel/errors.ts';

/** A block of IPv4 addresses; addresses in it are named by their index, 0 being the network address. */
export interface Netblock {
  readonly cidr: string;
  /** The network address as a number. */
  readonly base: number;
  readonly prefix: number;
  readonly size: number;
}

const SMALLEST_PREFIX = 8;
const LARGEST_PREFIX = 29;
const OCTET = '(0|[1-9][0-9]{0,2})';
const ADDRESS = new RegExp(`^${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}$`);

/** Blocks no guest can use, because kernels give their addresses another meaning. */
const SPECIAL: readonly (readonly [string, number, string])[] = [
  ['0.0.0.0', 8, 'it means "this network"'],
  ['127.0.0.0', 8, 'it is the loopback block'],
  ['224.0.0.0', 3, 'it is multicast or reserved'],
];

/**
 * Reads `a.b.c.d/prefix` with no host bits set; a bare address counts as /32. Errors: `network/bad-netblock`,
 * with the texts that clients know.
 */
export function parseNetblock(text: unknown): Netblock {
  if (typeof text !== 'string') throw unparsable('it is not given as text such as 10.0.0.0/24');
  const slash = text.indexOf('/');
  const prefixText = slash < 0 ? '32' : text.slice(slash + 1);
  const base = parseAddress(slash < 0 ? text : text.slice(0, slash));
  const shown = JSON.stringify(text.slice(0, 64));
  if (base === undefined || !/^(0|[1-9][0-9]?)$/.test(prefixText) || Number(prefixText) > 32) {
    throw unparsable(`${shown} is not an IPv4 block such as 10.0.0.0/24`);
  }
  const prefix = Number(prefixText);
  if (base % 2 ** (32 - prefix) !== 0) throw unparsable(`${shown} has host bits set`);
  if (prefix > LARGEST_PREFIX) {
    throw new TroupeError('network/bad-netblock', 'network is below minimum size of /29');
  }
  if (prefix < SMALLEST_PREFIX) {
    throw unparsable(`${shown} is larger than a /${SMALLEST_PREFIX}`);
  }
  const block = { cidr: text, base, prefix, size: 2 ** (32 - prefix) };
  for (const [address, bits, why] of SPECIAL) {
    if (Math.floor(base / 2 ** (32 - bits)) === Math.floor(numberOf(address) / 2 ** (32 - bits))) {
      throw unparsable(`${shown} cannot be used by guests: ${why}`);
    }
  }
  return block;
}

/** Undefined when the text is not four decimal octets without leading zeros. */
export function parseAddress(text: string): number | undefined {
  const match = ADDRESS.exec(text);
  if (match === null) return undefined;
  const octets = match.slice(1).map(Number);
  if (octets.some((octet) => octet > 255)) return undefined;
  return octets.reduce((sum, octet) => sum * 256 + octet, 0);
}

export function isAddress(text: string): boolean {
  return parseAddress(text) !== undefined;
}

/** Address at an index of the block. Errors: `network/address-outside`. */
export function addressAt(block: Netblock, index: number): string {
  if (!Number.isInteger(index) || index < 0 || index >= block.size) {
    throw new TroupeError('network/address-outside', `${block.cidr} has no address ${index}`, {
      netblock: block.cidr,
    });
  }
  return formatAddress(block.base + index);
}

/** Index of an address in the block; undefined when it is outside or no address at all. */
export function indexOf(block: Netblock, address: string): number | undefined {
  const value = parseAddress(address);
  if (value === undefined) return undefined;
  const index = value - block.base;
  return index >= 0 && index < block.size ? index : undefined;
}

export function contains(block: Netblock, address: string): boolean {
  return indexOf(block, address) !== undefined;
}

/** Index 1: router, DHCP and DNS server of the block. */
export function gatewayOf(block: Netblock): string {
  return addressAt(block, 1);
}

export function broadcastOf(block: Netblock): string {
  return addressAt(block, block.size - 1);
}

/** Whether the two have any address in common. */
export function overlaps(
  a: Pick<Netblock, 'base' | 'size'>,
  b: Pick<Netblock, 'base' | 'size'>,
): boolean {
  return a.base < b.base + b.size && b.base < a.base + a.size;
}

export function netmaskOf(block: Netblock): string {
  return formatAddress(2 ** 32 - block.size);
}

function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

function numberOf(address: string): number {
  return parseAddress(address) ?? 0;
}

function unparsable(why: string): TroupeError {
  return new TroupeError('network/bad-netblock', `cannot parse netblock: ${why}`);
}

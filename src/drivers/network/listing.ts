// The kernel's listings (`ip -d -j`, `bridge -j`) as typed values. Fields that are missing come out empty,
// so that a difference is seen, never a crash.
import { TroupeError } from '../../../actors/kernel/errors.ts';

export type Fields = Readonly<Record<string, unknown>>;

export interface Link {
  readonly name: string;
  readonly index: number;
  /** bridge, vxlan, veth, tun …; empty for hardware. */
  readonly kind: string;
  readonly mtu: number;
  readonly isUp: boolean;
  readonly mac: string;
  readonly master: string;
  readonly alias: string;
  /** How IPv6 addresses come about; 'none': not at all. */
  readonly ipv6: string;
  /** What `type KIND …` sets. */
  readonly settings: Fields;
  /** What `type bridge_slave …` sets. */
  readonly portSettings: Fields;
  /** IPv4 addresses, `a.b.c.d/prefix`. */
  readonly addresses: readonly string[];
}

export interface Route {
  readonly to: string;
  readonly device: string;
  readonly via: string;
  readonly source: string;
}

export interface Neighbour {
  readonly device: string;
  readonly address: string;
  readonly mac: string;
}

export interface FdbEntry {
  readonly mac: string;
  readonly device: string;
  /** VTEP, for an entry of the VXLAN device itself; empty for the bridge's own. */
  readonly vtep: string;
  /** 'static', 'permanent', or empty for a learnt one. */
  readonly state: string;
}

/** `forwarding` and `rp_filter` per device, plus `all` and `default`. */
export interface DeviceSettings {
  readonly device: string;
  readonly forwards: boolean;
  readonly checksReversePath: boolean;
}

/** One JSON list per command of a batch. Errors: `host/tool-failed` when it is not that. */
export function parseBatch(stdout: string): Fields[][] {
  return stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(parseList);
}

export function parseList(text: string): Fields[] {
  const value: unknown = text.trim() === '' ? [] : parseJson(text);
  if (!Array.isArray(value)) throw unreadable(text);
  return value.map(fieldsOf);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(text);
  }
}

export function linkOf(row: Fields): Link {
  const info = fieldsOf(row['linkinfo']);
  const flags = row['flags'];
  const addresses = listOf(row['addr_info']).filter((entry) => entry['family'] === 'inet');
  return {
    name: textOf(row['ifname']),
    index: Number(row['ifindex'] ?? 0),
    kind: textOf(info['info_kind']),
    mtu: Number(row['mtu'] ?? 0),
    isUp: Array.isArray(flags) && flags.includes('UP'),
    mac: textOf(row['address']),
    master: textOf(row['master']),
    alias: textOf(row['ifalias']),
    ipv6: textOf(row['inet6_addr_gen_mode']),
    settings: fieldsOf(info['info_data']),
    portSettings: fieldsOf(info['info_slave_data']),
    addresses: addresses.map((entry) => `${textOf(entry['local'])}/${Number(entry['prefixlen'])}`),
  };
}

export function routeOf(row: Fields): Route {
  return {
    to: textOf(row['dst']),
    device: textOf(row['dev']),
    via: textOf(row['gateway']),
    source: textOf(row['prefsrc']),
  };
}

export function neighbourOf(row: Fields): Neighbour {
  return {
    device: textOf(row['dev']),
    address: textOf(row['dst']),
    mac: textOf(row['lladdr']),
  };
}

export function fdbEntryOf(row: Fields): FdbEntry {
  return {
    mac: textOf(row['mac']),
    device: textOf(row['ifname']),
    vtep: textOf(row['dst']),
    state: textOf(row['state']),
  };
}

/** IPv4 rows of `ip netconf`. */
export function deviceSettingsOf(rows: readonly Fields[]): DeviceSettings[] {
  return rows
    .filter((row) => row['family'] === 'inet')
    .map((row) => ({
      device: textOf(row['interface']),
      forwards: row['forwarding'] === true,
      checksReversePath: row['rp_filter'] !== 'off',
    }));
}

function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : [];
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function unreadable(text: string): TroupeError {
  return new TroupeError(
    'host/tool-failed',
    `expected JSON from iproute2 or nft, found ${JSON.stringify(text.slice(0, 80))}; iproute2 5.10 and nftables 0.9.8 or newer are needed`,
  );
}

// Which addresses an image may be fetched from: a tenant names the URL, but this machine makes the request,
// with this machine's reach (metadata services, the store, other daemons).
//
// F1  The address that is connected to is the one that was checked: the check sits in the name lookup of the
//     socket itself, so a name that resolves differently the second time gains nothing.
// F2  Every hop of a redirect is checked like the first.
// F3  `allow` wins over `refuse`, so that an operator can open one address of a closed range. Nothing opens `services`.
import { lookup } from 'node:dns';
import { lookup as lookupAll } from 'node:dns/promises';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { TroupeError } from '../../../actors/kernel/errors.ts';

/** A port of a host, by address or name. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** CIDR blocks or single addresses. Plain data: it crosses to the worker thread that downloads. */
export interface FetchPolicy {
  readonly refuse: readonly string[];
  readonly allow: readonly string[];
  /** Of the cluster itself, by address (cluster-services.ts). */
  readonly services?: readonly Endpoint[];
  /** Base URL of a proxy that http URLs are asked of; https ones are not. Which addresses it reaches is its operator's to limit. */
  readonly httpProxy?: string;
}

/**
 * Loopback, link-local (metadata services), multicast, unspecified and address-translation ranges. Private
 * ranges stay open: a private cloud's mirrors live there. The cluster's own addresses are the caller's to add.
 */
export const DEFAULT_FETCH_POLICY: FetchPolicy = {
  refuse: [
    '0.0.0.0/8',
    '127.0.0.0/8',
    '169.254.0.0/16',
    '224.0.0.0/4',
    '240.0.0.0/4',
    '::/128',
    '::1/128',
    '64:ff9b::/96',
    '64:ff9b:1::/48',
    '2002::/16',
    'fe80::/10',
    'ff00::/8',
  ],
  allow: [],
};

/** A policy ready to be asked. Throws `config/invalid` for text that is no address block. */
export class DestinationCheck {
  readonly #refuse: BlockList;
  readonly #allow: BlockList;
  readonly #proxy: URL | null;
  /** By port. */
  readonly #services = new Map<number, BlockList>();

  constructor(policy: FetchPolicy) {
    this.#refuse = blockList(policy.refuse);
    this.#allow = blockList(policy.allow);
    this.#proxy = policy.httpProxy === undefined ? null : new URL(policy.httpProxy);
    for (const { host, port } of policy.services ?? []) {
      const hosts = this.#services.get(port) ?? new BlockList();
      hosts.addAddress(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
      this.#services.set(port, hosts);
    }
  }

  /** That the URL is asked of; null: of its own host. */
  proxyFor({ protocol }: URL): URL | null {
    return protocol === 'http:' ? this.#proxy : null;
  }

  /** `port`: that is to be connected to, if that is known. */
  isAllowed(address: string, port?: number): boolean {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const services = port === undefined ? undefined : this.#services.get(port);
    if (services?.check(address, family)) return false;
    return this.#allow.check(address, family) || !this.#refuse.check(address, family);
  }

  /** Throws `image/bad-url` when the URL's host is a literal address that is refused (no lookup happens for one). */
  checkLiteral(url: URL): void {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0 && !this.isAllowed(host, portOf(url))) throw refused(host, host);
  }

  /**
   * For a URL that a proxy is asked for, whose name it looks up by itself. Throws `image/bad-url` when the name is known here
   * as well, and closed.
   */
  async checkName(url: URL): Promise<void> {
    this.checkLiteral(url);
    const found = await lookupAll(url.hostname, { all: true }).catch(() => []);
    const [first] = found;
    const isOpen = found.some(({ address }) => this.isAllowed(address, portOf(url)));
    if (first !== undefined && !isOpen) throw refused(url.hostname, first.address);
  }

  /** For the `lookup` of a socket to the URL: resolves as usual, and hands on the allowed addresses only. */
  lookupFor(url: URL): LookupFunction {
    const port = portOf(url);
    return (hostname, options, callback) => {
      lookup(hostname, { ...options, all: true }, (error, found) => {
        if (error !== null) return callback(error, '', 0);
        const allowed = found.filter(({ address }) => this.isAllowed(address, port));
        const [first] = allowed;
        if (first === undefined) {
          return callback(refused(hostname, found[0]?.address ?? 'nothing'), '', 0);
        }
        if (options.all) return callback(null, allowed);
        return callback(null, first.address, first.family);
      });
    };
  }
}

function portOf(url: URL): number {
  return Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
}

function refused(hostname: string, address: string): TroupeError {
  const what = hostname === address ? hostname : `${hostname} (${address})`;
  return new TroupeError(
    'image/bad-url',
    `images may not be fetched from ${what}; an operator can allow the address in the fetch policy`,
    { address },
  );
}

function blockList(blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [address = '', bits] = block.split('/');
    const version = isIP(address);
    const prefix = bits === undefined ? (version === 6 ? 128 : 32) : Number(bits);
    const isBlock = version !== 0 && Number.isInteger(prefix) && prefix >= 0;
    if (!isBlock || prefix > (version === 6 ? 128 : 32)) {
      throw new TroupeError('config/invalid', `fetch policy: ${block} is not an address block`);
    }
    list.addSubnet(address, prefix, version === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

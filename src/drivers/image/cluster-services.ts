// Where the cluster's own services listen, as addresses that the fetch policy compares: a tenant's image URL must not have
// this machine talk to the store, the mesh or the API with this machine's reach.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Endpoint } from './fetch-policy.ts';

const ANY = ['0.0.0.0', '::'];

/** A name becomes its addresses, a wildcard all of this machine; one that is not known names nothing that could be reached. */
export async function resolved(endpoints: readonly Endpoint[]): Promise<Endpoint[]> {
  const found = await Promise.all(
    endpoints.map(async ({ host, port }) => {
      const addresses = await addressesOf(host.replace(/^\[|\]$/g, ''));
      return addresses.map((address) => ({ host: address, port }));
    }),
  );
  return found.flat();
}

/** Of a base URL; none for text that is no URL. */
export function endpointOf(url: string): Endpoint[] {
  const { protocol, hostname, port } = URL.parse(url) ?? {};
  if (hostname === undefined || hostname === '') return [];
  return [{ host: hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80) }];
}

async function addressesOf(host: string): Promise<string[]> {
  if (ANY.includes(host)) {
    return Object.values(networkInterfaces()).flatMap((all) =>
      (all ?? []).map(({ address }) => address),
    );
  }
  if (isIP(host) !== 0) return [host];
  const found = await lookup(host, { all: true }).catch(() => []);
  return found.map(({ address }) => address);
}

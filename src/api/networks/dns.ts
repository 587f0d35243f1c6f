// DNS entries of networks (contract: networks 2.10). What will never be right is a 400 here, where the contract has 406:
// its clients ask again after a 406 until they lose patience (conventions 9.2).
import { isDNSName } from '../../../actors/network/dns-entries.ts';
import { isAddress } from '../../../actors/network/netblock.ts';
import { networkRef, type NetworkState } from '../../../actors/network/state.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import { json, NOTHING, optional, route, type Route } from '../http/route.ts';
import { badRequest, change, type ApiServices } from '../services.ts';
import type { FindNetwork } from './networks.ts';
import { checkReady } from './ready.ts';

export function dnsRoutes(services: ApiServices, object: FindNetwork): Route[] {
  return [
    route('POST /networks/:network_ref/dns', {
      summary: "Add or replace a name that a network's DNS server answers for",
      answer: NOTHING,
      object,
      body: { name: optional(Type.String()), value: optional(Type.String()) },
      handle: async ({ object: network, body, trace }) => {
        const name = nameFor(network, body.name);
        const address = body.value ?? '';
        if (!isAddress(address)) throw badRequest('value should be an IPv4 address');
        await change(services, networkRef(network.id), { kind: 'set-dns', name, address }, trace);
        return json(null);
      },
    }),
    route('DELETE /networks/:network_ref/dns', {
      summary: "Remove a name from a network's DNS server; quiet when it is not there",
      answer: NOTHING,
      object,
      body: { name: optional(Type.String()) },
      handle: async ({ object: network, body, trace }) => {
        const name = nameFor(network, body.name);
        await change(services, networkRef(network.id), { kind: 'remove-dns', name }, trace);
        return json(null);
      },
    }),
  ];
}

/** In lower case: DNS knows no other difference. Errors: 406 for the network's state, 400. */
function nameFor(network: ReadObject<NetworkState>, given: string | null | undefined): string {
  checkReady(network);
  if (!network.state.dns) throw badRequest('network does not provide DNS');
  const name = given?.toLowerCase() ?? '';
  if (!isDNSName(name)) throw badRequest('invalid DNS name');
  return name;
}

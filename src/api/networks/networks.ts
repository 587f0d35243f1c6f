// Network routes (contract: networks 2).
import { Type } from '../../../actors/kernel/schema.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { parseNetblock } from '../../../actors/network/netblock.ts';
import { FLOATING, networkRef, type NetworkState } from '../../../actors/network/state.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { checkNamespace, existingNamespace, owns } from '../identity/access.ts';
import { eventList, eventsBody, EventView } from '../objects/events.ts';
import { InterfaceView, interfaceView } from '../instances/interface-view.ts';
import { deleteAllRoute } from './delete-all.ts';
import { dnsRoutes } from './dns.ts';
import { AddressView, NetworkView, networkView } from './network-view.ts';
import { pingRoute } from './ping.ts';
import { routedRoutes } from './routed.ts';
import { finder, listed } from '../objects/reference.ts';
import { networks } from '../objects/resources.ts';
import {
  json,
  optional,
  route,
  type Caller,
  type Route,
  finding,
  type Finder,
} from '../http/route.ts';
import { change, type ApiServices } from '../services.ts';

/** How long create waits for the VNI before it answers with what there is. */
const VNI_MS = 5_000;

const createBody = {
  netblock: Type.Optional(Type.Unknown()),
  name: optional(Type.String({ maxLength: 255 })),
  provide_dhcp: optional(Type.Boolean()),
  provide_nat: optional(Type.Boolean()),
  provide_dns: optional(Type.Boolean()),
  namespace: optional(Type.String()),
};

export type FindNetwork = Finder<ReadObject<NetworkState>>;

export function networkRoutes(services: ApiServices): Route[] {
  const { read } = services;
  const object = networkFinder(services);
  return [
    route('GET /networks', {
      summary: "The caller's networks; system sees everybody's",
      answer: { json: Type.Array(NetworkView) },
      rule: 'own',
      body: { all: optional(Type.Boolean()) },
      handle: ({ body, caller }) => {
        const shown = listed(networks(read), caller, body.all === true);
        return json(shown.filter(({ id }) => id !== FLOATING).map(networkView));
      },
    }),
    createRoute(services),
    deleteAllRoute(services),
    route('GET /networks/:network_ref', {
      summary: 'One network',
      answer: { json: NetworkView },
      object,
      body: { namespace: optional(Type.String()) },
      handle: (request) => json(networkView(request.object)),
    }),
    deleteRoute(services, object),
    ...memberRoutes(services, object),
    ...routedRoutes(services, object),
    ...dnsRoutes(services, object),
    pingRoute(services, object),
  ];
}

/** As every object; and the floating pool, which is no UUID and in no index, by its own name for system. */
export function networkFinder({ read }: ApiServices): FindNetwork {
  const find = finder(networks(read), 'network_ref');
  return finding(find.what, find.rule, (request) => {
    const isPool =
      request.params['network_ref'] === FLOATING && request.caller.namespace === SYSTEM;
    return (isPool ? read.networks.get(FLOATING) : undefined) ?? find(request);
  });
}

function createRoute(services: ApiServices): Route {
  const { read } = services;
  return route('POST /networks', {
    summary: 'Make a virtual network; poll it until `created`',
    answer: { json: NetworkView },
    rule: 'own',
    body: createBody,
    handle: async ({ body, caller, newId, trace }) => {
      const namespace = body.namespace ?? caller.namespace;
      existingNamespace(services, namespace);
      const { cidr: netblock } = parseNetblock(body.netblock);
      checkOwn(caller, namespace);
      const id = newId();
      const asked = { name: body.name ?? null, namespace, netblock };
      const [dhcp, nat, dns] = [
        body.provide_dhcp ?? true,
        body.provide_nat ?? true,
        body.provide_dns ?? false,
      ];
      await change(services, networkRef(id), { kind: 'create', ...asked, dhcp, nat, dns }, trace);
      const hasVni = ({ vni, phase }: NetworkState) => vni !== null || phase !== 'initial';
      await read.when(read.networks, id, hasVni, VNI_MS).catch(() => undefined);
      return json(networkView(await read.when(read.networks, id, () => true, 0)));
    },
  });
}

function deleteRoute(services: ApiServices, object: FindNetwork): Route {
  const { read } = services;
  return route('DELETE /networks/:network_ref', {
    summary: 'Delete a network, once its last interface is gone',
    answer: { json: Type.Union([NetworkView, Type.Null()]) },
    object,
    body: { namespace: optional(Type.String()) },
    handle: async ({ object: before, body, trace }) => {
      checkNamespace(services, 'network', before.state, body.namespace);
      if (before.state.phase === 'deleted') return json(null);
      await change(services, networkRef(before.id), { kind: 'delete' }, trace);
      return json(networkView(read.networks.get(before.id) ?? before));
    },
  });
}

function memberRoutes(services: ApiServices, object: FindNetwork): Route[] {
  const { read } = services;
  return [
    route('GET /networks/:network_ref/interfaces', {
      summary: 'Interfaces on the network',
      answer: { json: Type.Array(InterfaceView) },
      object,
      handle: ({ object: { id } }) => {
        const onIt = read.interfaces.by('network', id);
        return json(onIt.filter(({ state }) => state.phase !== 'deleted').map(interfaceView));
      },
    }),
    route('GET /networks/:network_ref/addresses', {
      summary: 'Addresses that are given out or rest, by address as text',
      answer: { json: Type.Array(AddressView) },
      object,
      handle: ({ object: { state } }) => json(addressList(state)),
    }),
    route('GET /networks/:network_ref/events', {
      summary: 'Events of a network, newest first',
      answer: { json: Type.Array(EventView) },
      object,
      body: eventsBody,
      handle: async ({ object: { id }, body }) =>
        json(await eventList(services, [networkRef(id)], body)),
    }),
  ];
}

/** Ordered by address as text, as clients know it (contract: networks 2.7). */
function addressList(state: NetworkState) {
  return Object.entries(state.reservations)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([address, { user, type, atMs }]) => ({
      address,
      user,
      when: atMs / 1000,
      type,
      comment: '',
    }));
}

/** Trust does not count here. Error: 401, which makes clients log in again and then give up. */
function checkOwn(caller: Caller, namespace: string): void {
  if (owns(caller, { namespace })) return;
  throw new TroupeError(
    'api/unauthenticated',
    'only admins can create resources in a different namespace',
  );
}

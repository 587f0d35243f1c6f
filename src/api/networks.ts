// Network routes (contract: networks 2).
import { Type } from '../../actors/kernel/schema.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { parseNetblock } from '../../actors/network/netblock.ts';
import { FLOATING, networkRef, type NetworkState } from '../../actors/network/state.ts';
import { SYSTEM } from '../../actors/namespace/state.ts';
import type { ReadObject } from '../read/collection.ts';
import { eventList, eventsBody } from './events.ts';
import { interfaceView } from './interface-view.ts';
import { networkView } from './network-view.ts';
import { inNamespace, resolve } from './reference.ts';
import { json, optional, route, type Caller, type Route } from './route.ts';
import { change, notFound, type ApiServices } from './services.ts';

const createBody = {
  netblock: Type.Optional(Type.Unknown()),
  name: optional(Type.String()),
  provide_dhcp: optional(Type.Boolean()),
  provide_nat: optional(Type.Boolean()),
  provide_dns: optional(Type.Boolean()),
  namespace: optional(Type.String()),
};

type Find = (ref: string | undefined, caller: Caller) => ReadObject<NetworkState>;

export function networkRoutes(services: ApiServices): Route[] {
  const find: Find = (ref, caller) => resolve(services.read.networks, 'network', ref ?? '', caller);
  return [
    ...collectionRoutes(services),
    ...objectRoutes(services, find),
    ...memberRoutes(services, find),
  ];
}

function collectionRoutes(services: ApiServices): Route[] {
  const { read } = services;
  return [
    route('GET /networks', {
      body: { all: optional(Type.Boolean()) },
      handle: ({ body, caller }) => {
        const isShown = ({ id, state }: ReadObject<NetworkState>) =>
          id !== FLOATING &&
          (caller.namespace === SYSTEM || caller.namespace === state.namespace) &&
          (body.all === true || state.phase !== 'deleted');
        return Promise.resolve(json([...read.networks.all()].filter(isShown).map(networkView)));
      },
    }),
    route('POST /networks', {
      body: createBody,
      handle: async ({ body, caller, trace }) => {
        const namespace = ownNamespace(services, caller, body.namespace ?? null);
        const { cidr } = parseNetblock(body.netblock);
        const id = services.random.uuid();
        const made = read.when(read.networks, id, () => true, 10_000);
        const message = {
          kind: 'create',
          name: body.name ?? null,
          namespace,
          netblock: cidr,
          dhcp: body.provide_dhcp ?? true,
          nat: body.provide_nat ?? true,
          dns: body.provide_dns ?? false,
        } as const;
        await Promise.all([services.router.ask(networkRef(id), message, { trace }), made]);
        return json(networkView(await made));
      },
    }),
  ];
}

function objectRoutes(services: ApiServices, find: Find): Route[] {
  const { read } = services;
  return [
    route('GET /networks/:ref', {
      body: { namespace: optional(Type.String()) },
      handle: ({ params, caller }) =>
        Promise.resolve(json(networkView(find(params['ref'], caller)))),
    }),
    route('DELETE /networks/:ref', {
      body: { namespace: optional(Type.String()) },
      handle: async ({ params, caller, body, trace }) => {
        const { id, state } = find(params['ref'], caller);
        if (body.namespace) inNamespace(services, 'network', state, body.namespace);
        if (state.phase === 'deleted') return json(null);
        await change(services, networkRef(id), { kind: 'delete' }, trace);
        return json(networkView(read.networks.get(id) ?? { id, state, revision: 0 }));
      },
    }),
  ];
}

function memberRoutes(services: ApiServices, find: Find): Route[] {
  const { read } = services;
  return [
    route('GET /networks/:ref/interfaces', {
      handle: ({ params, caller }) => {
        const { id } = find(params['ref'], caller);
        const onIt = [...read.interfaces.all()].filter(
          ({ state }) => state.networkId === id && state.phase !== 'deleted',
        );
        return Promise.resolve(json(onIt.map(interfaceView)));
      },
    }),
    route('GET /networks/:ref/addresses', {
      handle: ({ params, caller }) =>
        Promise.resolve(json(addressList(find(params['ref'], caller).state))),
    }),
    route('GET /networks/:ref/events', {
      body: eventsBody,
      handle: async ({ params, caller, body }) => {
        const { id } = find(params['ref'], caller);
        return json(await eventList(services, networkRef(id), body));
      },
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

/** Trust does not count here: own namespace, or any for system. */
function ownNamespace(services: ApiServices, caller: Caller, asked: string | null): string {
  const namespace = asked ?? caller.namespace;
  const found = services.read.namespaces.get(namespace)?.state;
  if (found === undefined || found.phase === 'deleted') throw notFound('namespace');
  if (caller.namespace === namespace || caller.namespace === SYSTEM) return namespace;
  throw new TroupeError(
    'api/unauthenticated',
    'only admins can create resources in a different namespace',
  );
}

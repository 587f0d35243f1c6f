// Metadata of objects (contract: conventions 10): in any state, for whoever may see the object; any JSON value that is
// not falsy.
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { metadataRef } from '../../../actors/kernel/metadata.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { findInterface } from '../instances/interfaces.ts';
import { checkScheduling, plainPair } from './metadata.ts';
import { findNamespace } from '../identity/namespaces.ts';
import { networkFinder } from '../networks/networks.ts';
import { findNode } from '../nodes/nodes.ts';
import { finder } from './reference.ts';
import { instances } from './resources.ts';
import { json, route, type Answer, type ApiRequest, type Route } from '../http/route.ts';
import { change, type ApiServices } from '../services.ts';

interface Described {
  readonly id: string;
  readonly state: { readonly metadata: Readonly<Record<string, unknown>> };
}

const POST = { key: Type.Optional(Type.Unknown()), value: Type.Optional(Type.Unknown()) };
const PUT = { value: Type.Optional(Type.Unknown()) };

type Find = (request: ApiRequest<unknown>) => Described;
type Check = (key: string, value: unknown) => void;

export function metadataRoutes(services: ApiServices): Route[] {
  return [
    ...ofInstances(services),
    ...ofNetworks(services),
    ...ofInterfaces(services),
    ...ofNodes(services),
    ...ofNamespaces(services),
  ];
}

function ofInstances(services: ApiServices): Route[] {
  const find = finder(instances(services.read), 'instance_ref');
  const { get, post, put, remove } = handlers(services, 'instance', find, checkScheduling);
  return [
    route('GET /instances/:instance_ref/metadata', { handle: get }),
    route('POST /instances/:instance_ref/metadata', { body: POST, handle: post }),
    route('PUT /instances/:instance_ref/metadata/:key', { body: PUT, handle: put }),
    route('DELETE /instances/:instance_ref/metadata/:key', { handle: remove }),
  ];
}

function ofNetworks(services: ApiServices): Route[] {
  const { get, post, put, remove } = handlers(services, 'network', networkFinder(services));
  return [
    route('GET /networks/:network_ref/metadata', { handle: get }),
    route('POST /networks/:network_ref/metadata', { body: POST, handle: post }),
    route('PUT /networks/:network_ref/metadata/:key', { body: PUT, handle: put }),
    route('DELETE /networks/:network_ref/metadata/:key', { handle: remove }),
  ];
}

function ofInterfaces(services: ApiServices): Route[] {
  const find: Find = ({ params, caller }) =>
    findInterface(services, params['interface_uuid'] ?? '', caller);
  const { get, post, put, remove } = handlers(services, 'interface', find);
  return [
    route('GET /interfaces/:interface_uuid/metadata', { handle: get }),
    route('POST /interfaces/:interface_uuid/metadata', { body: POST, handle: post }),
    route('PUT /interfaces/:interface_uuid/metadata/:key', { body: PUT, handle: put }),
    route('DELETE /interfaces/:interface_uuid/metadata/:key', { handle: remove }),
  ];
}

function ofNamespaces(services: ApiServices): Route[] {
  const { get, post, put, remove } = handlers(services, 'namespace', findNamespace(services));
  return [
    route('GET /auth/namespaces/:namespace/metadata', { handle: get }),
    route('POST /auth/namespaces/:namespace/metadata', { body: POST, handle: post }),
    route('PUT /auth/namespaces/:namespace/metadata/:key', { body: PUT, handle: put }),
    route('DELETE /auth/namespaces/:namespace/metadata/:key', { handle: remove }),
  ];
}

/** Key and value are looked at before the node (contract: nodes 1.2). */
function ofNodes(services: ApiServices): Route[] {
  const { get, post, put, remove } = handlers(services, 'node', findNode(services));
  const access = 'system' as const;
  return [
    route('GET /nodes/:node/metadata', { access, handle: get }),
    route('POST /nodes/:node/metadata', { access, body: POST, handle: post }),
    route('PUT /nodes/:node/metadata/:key', { access, body: PUT, handle: put }),
    route('DELETE /nodes/:node/metadata/:key', { access, handle: remove }),
  ];
}

function handlers(services: ApiServices, kind: string, find: Find, check: Check = () => {}) {
  const isLate = kind === 'node';
  const set = async (
    request: ApiRequest<unknown>,
    key: unknown,
    value: unknown,
  ): Promise<Answer> => {
    const found = isLate ? null : find(request);
    plainPair(key, value);
    check(key as string, value);
    const { id } = found ?? find(request);
    const message = { kind: 'set-metadata', key: key as string, value } as const;
    await change(services, metadataRef({ kind, id }), message, request.trace);
    return json(null);
  };
  return {
    get: (request: ApiRequest<unknown>) => json(find(request).state.metadata as JsonObject),
    post: (request: ApiRequest<{ key?: unknown; value?: unknown }>) =>
      set(request, request.body.key, request.body.value),
    put: (request: ApiRequest<{ value?: unknown }>) =>
      set(request, request.params['key'], request.body.value),
    remove: async (request: ApiRequest<unknown>): Promise<Answer> => {
      const { id } = find(request);
      const message = { kind: 'remove-metadata', key: request.params['key'] ?? '' } as const;
      await change(services, metadataRef({ kind, id }), message, request.trace);
      return json(null);
    },
  };
}

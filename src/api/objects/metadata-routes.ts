// Metadata of objects (contract: conventions 10): in any state, for whoever may see the object; any JSON value that is
// not falsy.
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { metadataRef } from '../../../actors/kernel/metadata.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { interfaceFinder } from '../instances/interfaces.ts';
import { checkScheduling, Metadata, plainPair } from './metadata.ts';
import { artifactResources } from '../artifacts/artifacts.ts';
import { blobFinder } from '../blobs/blobs.ts';
import { findNamespace } from '../identity/namespaces.ts';
import { networkFinder } from '../networks/networks.ts';
import { findNode } from '../nodes/nodes.ts';
import { finder } from './reference.ts';
import { instances } from './resources.ts';
import {
  json,
  NOTHING,
  route,
  type Answer,
  type ApiRequest,
  type Route,
  type Finder,
} from '../http/route.ts';
import { change, type ApiServices } from '../services.ts';

interface Described {
  readonly id: string;
  readonly state: { readonly metadata: Readonly<Record<string, unknown>> };
}

const POST = { key: Type.Optional(Type.Unknown()), value: Type.Optional(Type.Unknown()) };
const PUT = { value: Type.Optional(Type.Unknown()) };

type Find = Finder<Described>;
type Check = (key: string, value: unknown) => void;

export function metadataRoutes(services: ApiServices): Route[] {
  return [
    ...ofInstances(services),
    ...ofNetworks(services),
    ...ofInterfaces(services),
    ...ofNodes(services),
    ...ofArtifacts(services),
    ...ofBlobs(services),
    ...ofNamespaces(services),
  ];
}

function ofInstances(services: ApiServices): Route[] {
  const find = finder(instances(services.read), 'instance_ref');
  const { get, post, put, remove, rule } = handlers(services, 'instance', find, checkScheduling);
  return [
    route('GET /instances/:instance_ref/metadata', {
      summary: 'Metadata of an instance',
      answer: { json: Metadata },
      rule,
      handle: get,
    }),
    route('POST /instances/:instance_ref/metadata', {
      summary: "Set a pair of an instance's metadata",
      answer: NOTHING,
      rule,
      body: POST,
      handle: post,
    }),
    route('PUT /instances/:instance_ref/metadata/:key', {
      summary: "Set a pair of an instance's metadata",
      answer: NOTHING,
      rule,
      body: PUT,
      handle: put,
    }),
    route('DELETE /instances/:instance_ref/metadata/:key', {
      summary: "Remove a pair of an instance's metadata",
      answer: NOTHING,
      rule,
      handle: remove,
    }),
  ];
}

function ofNetworks(services: ApiServices): Route[] {
  const { get, post, put, remove, rule } = handlers(services, 'network', networkFinder(services));
  return [
    route('GET /networks/:network_ref/metadata', {
      summary: 'Metadata of a network',
      answer: { json: Metadata },
      rule,
      handle: get,
    }),
    route('POST /networks/:network_ref/metadata', {
      summary: "Set a pair of a network's metadata",
      answer: NOTHING,
      rule,
      body: POST,
      handle: post,
    }),
    route('PUT /networks/:network_ref/metadata/:key', {
      summary: "Set a pair of a network's metadata",
      answer: NOTHING,
      rule,
      body: PUT,
      handle: put,
    }),
    route('DELETE /networks/:network_ref/metadata/:key', {
      summary: "Remove a pair of a network's metadata",
      answer: NOTHING,
      rule,
      handle: remove,
    }),
  ];
}

function ofInterfaces(services: ApiServices): Route[] {
  const { get, post, put, remove, rule } = handlers(
    services,
    'interface',
    interfaceFinder(services),
  );
  return [
    route('GET /interfaces/:interface_uuid/metadata', {
      summary: 'Metadata of an interface',
      answer: { json: Metadata },
      rule,
      handle: get,
    }),
    route('POST /interfaces/:interface_uuid/metadata', {
      summary: "Set a pair of an interface's metadata",
      answer: NOTHING,
      rule,
      body: POST,
      handle: post,
    }),
    route('PUT /interfaces/:interface_uuid/metadata/:key', {
      summary: "Set a pair of an interface's metadata",
      answer: NOTHING,
      rule,
      body: PUT,
      handle: put,
    }),
    route('DELETE /interfaces/:interface_uuid/metadata/:key', {
      summary: "Remove a pair of an interface's metadata",
      answer: NOTHING,
      rule,
      handle: remove,
    }),
  ];
}

function ofNamespaces(services: ApiServices): Route[] {
  const { get, post, put, remove, rule } = handlers(services, 'namespace', findNamespace(services));
  return [
    route('GET /auth/namespaces/:namespace/metadata', {
      summary: 'Metadata of a namespace',
      answer: { json: Metadata },
      rule,
      handle: get,
    }),
    route('POST /auth/namespaces/:namespace/metadata', {
      summary: "Set a pair of a namespace's metadata",
      answer: NOTHING,
      rule,
      body: POST,
      handle: post,
    }),
    route('PUT /auth/namespaces/:namespace/metadata/:key', {
      summary: "Set a pair of a namespace's metadata",
      answer: NOTHING,
      rule,
      body: PUT,
      handle: put,
    }),
    route('DELETE /auth/namespaces/:namespace/metadata/:key', {
      summary: "Remove a pair of a namespace's metadata",
      answer: NOTHING,
      rule,
      handle: remove,
    }),
  ];
}

/** Reading is for whom the artifact can be read by, so that what is shared can be shown whole. */
function ofArtifacts(services: ApiServices): Route[] {
  const { readable, owned } = artifactResources(services);
  const { get, rule: readRule } = handlers(services, 'artifact', finder(readable, 'artifact_ref'));
  const { post, put, remove, rule } = handlers(services, 'artifact', finder(owned, 'artifact_ref'));
  return [
    route('GET /artifacts/:artifact_ref/metadata', {
      summary: 'Metadata of an artifact',
      answer: { json: Metadata },
      rule: readRule,
      handle: get,
    }),
    route('POST /artifacts/:artifact_ref/metadata', {
      summary: "Set a pair of an artifact's metadata",
      answer: NOTHING,
      rule,
      body: POST,
      handle: post,
    }),
    route('PUT /artifacts/:artifact_ref/metadata/:key', {
      summary: "Set a pair of an artifact's metadata",
      answer: NOTHING,
      rule,
      body: PUT,
      handle: put,
    }),
    route('DELETE /artifacts/:artifact_ref/metadata/:key', {
      summary: "Remove a pair of an artifact's metadata",
      answer: NOTHING,
      rule,
      handle: remove,
    }),
  ];
}

function ofBlobs(services: ApiServices): Route[] {
  const { get, post, put, remove, rule } = handlers(services, 'blob', blobFinder(services));
  return [
    route('GET /blobs/:blob_uuid/metadata', {
      summary: 'Metadata of a blob',
      answer: { json: Metadata },
      rule,
      handle: get,
    }),
    route('POST /blobs/:blob_uuid/metadata', {
      summary: "Set a pair of a blob's metadata",
      answer: NOTHING,
      rule,
      body: POST,
      handle: post,
    }),
    route('PUT /blobs/:blob_uuid/metadata/:key', {
      summary: "Set a pair of a blob's metadata",
      answer: NOTHING,
      rule,
      body: PUT,
      handle: put,
    }),
    route('DELETE /blobs/:blob_uuid/metadata/:key', {
      summary: "Remove a pair of a blob's metadata",
      answer: NOTHING,
      rule,
      handle: remove,
    }),
  ];
}

/** Key and value are looked at before the node (contract: nodes 1.2). */
function ofNodes(services: ApiServices): Route[] {
  const { get, post, put, remove, rule } = handlers(services, 'node', findNode(services));
  const access = 'system' as const;
  return [
    route('GET /nodes/:node/metadata', {
      summary: 'Metadata of a machine',
      answer: { json: Metadata },
      rule,
      access,
      handle: get,
    }),
    route('POST /nodes/:node/metadata', {
      summary: "Set a pair of a machine's metadata",
      answer: NOTHING,
      rule,
      access,
      body: POST,
      handle: post,
    }),
    route('PUT /nodes/:node/metadata/:key', {
      summary: "Set a pair of a machine's metadata",
      answer: NOTHING,
      rule,
      access,
      body: PUT,
      handle: put,
    }),
    route('DELETE /nodes/:node/metadata/:key', {
      summary: "Remove a pair of a machine's metadata",
      answer: NOTHING,
      rule,
      access,
      handle: remove,
    }),
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
    rule: find.rule,
    get: (request: ApiRequest<unknown>) => json(inOrder(find(request).state.metadata)),
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

/** By key (contract: nodes 5). */
function inOrder(metadata: Readonly<Record<string, unknown>>): JsonObject {
  const pairs = Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(pairs) as JsonObject;
}

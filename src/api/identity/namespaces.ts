// Namespace routes (contract: auth 6): who may use the API, by which keys, and which namespaces act on which others.
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import { artifactRef } from '../../../actors/artifact/state.ts';
import { codeOf, TroupeError, unlessGone } from '../../../actors/kernel/errors.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { namespaceRef, SYSTEM, type NamespaceState } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { existingNamespace, isTrusted } from './access.ts';
import { json, route, type ApiRequest, type Route } from '../http/route.ts';
import { hashSecret } from './secret.ts';
import { badRequest, change, notFound, type ApiServices } from '../services.ts';

/** It becomes part of DNS names. */
const NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const RESERVED_KEY = '_service_key';

const KEY = { key_name: Type.Optional(Type.Unknown()), key: Type.Optional(Type.Unknown()) };
const EXTERNAL = { external_namespace: Type.Optional(Type.Unknown()) };

type Find = (request: ApiRequest<unknown>) => ReadObject<NamespaceState>;

export function namespaceRoutes(services: ApiServices): Route[] {
  const object = findNamespace(services);
  return [
    route('GET /auth/namespaces', {
      handle: ({ caller }) => {
        const all = [...services.read.namespaces.all()].toSorted(byName);
        const shown = all.filter(
          ({ id, state }) => state.phase === 'created' && isTrusted(services, caller, id),
        );
        return json(shown.map(namespaceView));
      },
    }),
    createRoute(services),
    route('GET /auth/namespaces/:namespace', {
      object,
      handle: (request) => json(namespaceView(request.object)),
    }),
    deleteRoute(services),
    ...keyRoutes(services, object),
    ...trustRoutes(services, object),
  ];
}

/** One that trusts the caller. Error: 404, so that it is not told which there are. */
export function findNamespace(services: ApiServices): Find {
  return ({ params, caller }) => {
    const name = params['namespace'] ?? '';
    if (!isTrusted(services, caller, name)) throw notFound('namespace');
    existingNamespace(services, name);
    const found = services.read.namespaces.get(name);
    if (found === undefined) throw notFound('namespace');
    return found;
  };
}

/** All is checked before anything is made. */
function createRoute(services: ApiServices): Route {
  return route('POST /auth/namespaces', {
    access: 'system',
    body: { namespace: Type.Optional(Type.Unknown()), ...KEY },
    handle: async ({ body, trace }) => {
      const { namespace: name } = body;
      if (!name) throw badRequest('no namespace specified');
      if (typeof name !== 'string' || !NAME.test(name)) {
        throw badRequest(
          'a namespace is named by up to 63 letters, digits, hyphens, underscores and dots',
        );
      }
      const before = services.read.namespaces.get(name)?.state;
      if (before !== undefined && before.phase !== 'deleted') throw exists();
      const first = await firstKey(body);
      const message = { kind: 'found', ...(first === undefined ? {} : { key: first }) } as const;
      await change(services, namespaceRef(name), message, trace).catch((error: unknown) => {
        throw codeOf(error) === 'object/exists' ? exists() : error;
      });
      return json(namespaceView(services.read.namespaces.get(name) ?? notThere(name)));
    },
  });
}

async function firstKey({ key_name: name, key }: { key_name?: unknown; key?: unknown }) {
  if (!name) return undefined;
  if (!key) throw badRequest('no key specified');
  return { name: keyName(name), key: await hashSecret(secret(key)) };
}

/** Artifacts go with it; instances and networks have to be gone before. */
function deleteRoute(services: ApiServices): Route {
  const { read, router } = services;
  return route('DELETE /auth/namespaces/:namespace', {
    access: 'system',
    object: findNamespace(services),
    handle: async ({ object: { id }, trace }) => {
      if (id === SYSTEM) throw forbidden('you cannot delete the system namespace');
      const isLive = (gone: readonly string[]) => (one: { state: { phase: string } }) =>
        !gone.includes(one.state.phase);
      if (read.instances.inNamespace(id).some(isLive(['deleted', 'error']))) {
        throw badRequest('you cannot delete a namespace with instances');
      }
      if (read.networks.inNamespace(id).some(isLive(['deleted', 'delete-wait', 'error']))) {
        throw badRequest('you cannot delete a namespace with networks');
      }
      const artifacts = read.artifacts.inNamespace(id).filter(isLive(['deleted']));
      for (const one of artifacts) {
        await unlessGone(router.ask(artifactRef(one.id), { kind: 'delete' }, { trace }));
      }
      await change(services, namespaceRef(id), { kind: 'delete' }, trace);
      return json(null);
    },
  });
}

function keyRoutes(services: ApiServices, object: Find): Route[] {
  const set = async (id: string, name: string, key: unknown, trace: string) => {
    const hashed = await hashSecret(secret(key));
    await change(services, namespaceRef(id), { kind: 'set-key', name, key: hashed }, trace);
    return json(name);
  };
  /** Contract: auth 6.5; null when it may be a new one. */
  const checked = (body: { key_name?: unknown; key?: unknown }): string => {
    if (!body.key_name) throw badRequest('no key name specified');
    if (!body.key) throw badRequest('no key specified');
    return keyName(body.key_name);
  };
  const known = (state: NamespaceState, name: string): string => {
    if (!Object.hasOwn(state.keys, name))
      throw new TroupeError('api/not-found', 'key does not exist');
    return name;
  };
  return [
    route('GET /auth/namespaces/:namespace/keys', {
      object,
      handle: ({ object: { state } }) => json(Object.keys(state.keys).toSorted(ascending)),
    }),
    route('POST /auth/namespaces/:namespace/keys', {
      object,
      body: KEY,
      handle: ({ object: { id }, body, trace }) => set(id, checked(body), body.key, trace),
    }),
    // As the Python client sends it.
    route('PUT /auth/namespaces/:namespace/keys', {
      object,
      body: KEY,
      handle: ({ object: { id, state }, body, trace }) =>
        set(id, known(state, checked(body)), body.key, trace),
    }),
    // As the Go client does.
    route('PUT /auth/namespaces/:namespace/keys/:key_name', {
      object,
      body: { key: Type.Optional(Type.Unknown()) },
      handle: ({ object: { id, state }, params, body, trace }) => {
        const name = checked({ key_name: params['key_name'], key: body.key });
        return set(id, known(state, name), body.key, trace);
      },
    }),
    route('DELETE /auth/namespaces/:namespace/keys/:key_name', {
      object,
      handle: async ({ object: { id, state }, params, trace }) => {
        const name = params['key_name'] ?? '';
        if (!Object.hasOwn(state.keys, name)) {
          throw new TroupeError('api/not-found', 'key name not found in namespace');
        }
        await change(services, namespaceRef(id), { kind: 'remove-key', name }, trace);
        return json(null);
      },
    }),
  ];
}

function trustRoutes(services: ApiServices, object: Find): Route[] {
  const { read } = services;
  const set = async (id: string, kind: 'trust' | 'untrust', namespace: string, trace: string) => {
    await change(services, namespaceRef(id), { kind, namespace }, trace);
    return json(namespaceView(read.namespaces.get(id) ?? notThere(id)));
  };
  return [
    route('POST /auth/namespaces/:namespace/trust', {
      object,
      body: EXTERNAL,
      handle: ({ object: { id }, body: { external_namespace: name }, trace }) => {
        if (typeof name !== 'string' || name === '') {
          throw badRequest('no external namespace specified');
        }
        return set(id, 'trust', name, trace);
      },
    }),
    route('DELETE /auth/namespaces/:namespace/trust/:external_namespace', {
      object,
      handle: ({ object: { id }, params, trace }) =>
        set(id, 'untrust', params['external_namespace'] ?? '', trace),
    }),
  ];
}

function namespaceView({ id, state }: ReadObject<NamespaceState>): JsonObject {
  return {
    name: id,
    state: state.phase,
    metadata: state.metadata as JsonObject,
    version: OBJECT_VERSIONS.namespace,
    keys: Object.keys(state.keys).toSorted(ascending),
    trust: { full: [...state.trusts] },
  };
}

const ascending = (a: string, b: string) => (a < b ? -1 : 1);
const byName = (a: { id: string }, b: { id: string }) => ascending(a.id, b.id);

function keyName(name: unknown): string {
  if (typeof name !== 'string') throw badRequest('key_name is not a string');
  if (name.startsWith(RESERVED_KEY)) throw forbidden('illegal key name');
  if (name === '__proto__') throw badRequest('"__proto__" cannot be a key name');
  return name;
}

function secret(key: unknown): string {
  if (typeof key === 'string') return key;
  throw badRequest('key is not a string');
}

function forbidden(message: string): TroupeError {
  return new TroupeError('api/forbidden', message);
}

function exists(): TroupeError {
  return forbidden('namespace exists');
}

function notThere(name: string): never {
  throw new TroupeError('api/not-found', `namespace ${name} was deleted at once by somebody else`);
}

// Namespace routes (contract: auth 6): who may use the API, by which keys, and which namespaces act on which others.
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import { artifactRef } from '../../../actors/artifact/state.ts';
import { codeOf, TroupeError, unlessGone } from '../../../actors/kernel/errors.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { liveKey, liveKeys } from '../../../actors/namespace/keys.ts';
import { namespaceRef, SYSTEM, type NamespaceState } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { eventList, eventsBody } from '../objects/events.ts';
import { existingNamespace, isTrusted } from './access.ts';
import { json, route, type ApiRequest, type Route } from '../http/route.ts';
import { hashSecret } from './secret.ts';
import { badRequest, change, notFound, type ApiServices } from '../services.ts';

/** It becomes part of DNS names. */
const NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
/** Beyond this a date cannot be told. */
const LATEST_S = 8_640_000_000_000;
const RESERVED_KEY = '_service_key';

const KEY = {
  key_name: Type.Optional(Type.Unknown()),
  key: Type.Optional(Type.Unknown()),
  /** When the key ends, seconds since the epoch; none: never. Ours. */
  expires_at: Type.Optional(Type.Unknown()),
};
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
        return json(shown.map((one) => namespaceView(services, one)));
      },
    }),
    createRoute(services),
    route('GET /auth/namespaces/:namespace', {
      object,
      handle: (request) => json(namespaceView(services, request.object)),
    }),
    deleteRoute(services),
    route('GET /auth/namespaces/:namespace/events', {
      summary: 'List what happened to a namespace, its keys and trusts, newest first.',
      answer: { json: Type.Array(Type.Record(Type.String(), Type.Unknown())) },
      object,
      body: eventsBody,
      handle: async ({ object: { id }, body }) =>
        json(await eventList(services, [namespaceRef(id)], body)),
    }),
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
      const first = await firstKey(body, services.clock.nowMs());
      const message = { kind: 'found', ...(first === undefined ? {} : { key: first }) } as const;
      await change(services, namespaceRef(name), message, trace).catch((error: unknown) => {
        throw codeOf(error) === 'object/exists' ? exists() : error;
      });
      return json(namespaceView(services, services.read.namespaces.get(name) ?? notThere(name)));
    },
  });
}

type KeyBody = Readonly<Partial<Record<keyof typeof KEY, unknown>>>;

async function firstKey({ key_name: name, key, expires_at }: KeyBody, nowMs: number) {
  if (!name) return undefined;
  if (!key) throw badRequest('no key specified');
  return { name: keyName(name), key: await hashSecret(secret(key), endOf(expires_at, nowMs)) };
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
  const nowMs = () => services.clock.nowMs();
  const set = async (id: string, name: string, body: KeyBody, trace: string) => {
    const key = await hashSecret(secret(body.key), endOf(body.expires_at, nowMs()));
    await change(services, namespaceRef(id), { kind: 'set-key', name, key }, trace);
    return json(name);
  };
  /** Contract: auth 6.5; null when it may be a new one. */
  const checked = (body: KeyBody): string => {
    if (!body.key_name) throw badRequest('no key name specified');
    if (!body.key) throw badRequest('no key specified');
    return keyName(body.key_name);
  };
  const known = (state: NamespaceState, name: string): string => {
    if (liveKey(state, name, nowMs()) !== undefined) return name;
    throw new TroupeError('api/not-found', 'key does not exist');
  };
  return [
    route('GET /auth/namespaces/:namespace/keys', {
      object,
      handle: ({ object: { state } }) => json(keyNames(state, nowMs())),
    }),
    route('POST /auth/namespaces/:namespace/keys', {
      object,
      body: KEY,
      handle: ({ object: { id }, body, trace }) => set(id, checked(body), body, trace),
    }),
    // As the Python client sends it.
    route('PUT /auth/namespaces/:namespace/keys', {
      object,
      body: KEY,
      handle: ({ object: { id, state }, body, trace }) =>
        set(id, known(state, checked(body)), body, trace),
    }),
    // As the Go client does.
    route('PUT /auth/namespaces/:namespace/keys/:key_name', {
      object,
      body: { key: KEY.key, expires_at: KEY.expires_at },
      handle: ({ object: { id, state }, params, body, trace }) => {
        const name = checked({ key_name: params['key_name'], key: body.key });
        return set(id, known(state, name), body, trace);
      },
    }),
    route('DELETE /auth/namespaces/:namespace/keys/:key_name', {
      object,
      handle: async ({ object: { id, state }, params, trace }) => {
        const name = params['key_name'] ?? '';
        if (liveKey(state, name, nowMs()) === undefined) {
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
    return json(namespaceView(services, read.namespaces.get(id) ?? notThere(id)));
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

function namespaceView(
  { clock }: ApiServices,
  { id, state }: ReadObject<NamespaceState>,
): JsonObject {
  return {
    name: id,
    state: state.phase,
    metadata: state.metadata as JsonObject,
    version: OBJECT_VERSIONS.namespace,
    keys: keyNames(state, clock.nowMs()),
    trust: { full: [...state.trusts] },
  };
}

function keyNames(state: NamespaceState, nowMs: number): string[] {
  return liveKeys(state, nowMs)
    .map(([name]) => name)
    .toSorted(ascending);
}

/** Null: it does not end. Error: 400 for what is no time to come. */
function endOf(expiresAt: unknown, nowMs: number): number | null {
  if (expiresAt === undefined || expiresAt === null) return null;
  if (typeof expiresAt === 'number' && expiresAt * 1000 > nowMs && expiresAt < LATEST_S) {
    return Math.round(expiresAt * 1000);
  }
  throw badRequest('expires_at is a time to come, in seconds since the epoch');
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

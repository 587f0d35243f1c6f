// Namespace routes (contract: auth 6): who may use the API, by which keys, and which namespaces act on which others.
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import { artifactRef } from '../../../actors/artifact/state.ts';
import { codeOf, TroupeError, unlessGone } from '../../../actors/kernel/errors.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, Type } from '../../../actors/kernel/schema.ts';
import { namespaceRef, SYSTEM, type NamespaceState } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { eventList, eventsBody, EventView } from '../objects/events.ts';
import { Metadata } from '../objects/metadata.ts';
import { existingNamespace, isTrusted } from './access.ts';
import { json, NOTHING, route, type Route, finding, type Finder } from '../http/route.ts';
import { firstKey, KEY, keyNames, keyRoutes } from './keys.ts';
import { badRequest, change, notFound, type ApiServices } from '../services.ts';

/** It becomes part of DNS names. */
const NAME = /^(?!.*(\.[.-]|-\.))[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;

export const NamespaceView = closed({
  name: Type.String(),
  state: Type.String(),
  metadata: Metadata,
  version: Type.Integer(),
  /** Names only. */
  keys: Type.Array(Type.String()),
  trust: closed({ full: Type.Array(Type.String()) }),
});

const EXTERNAL = { external_namespace: Type.Optional(Type.Unknown()) };

export type FindNamespace = Finder<ReadObject<NamespaceState>>;

export function namespaceRoutes(services: ApiServices): Route[] {
  const object = findNamespace(services);
  return [
    route('GET /auth/namespaces', {
      summary: 'Namespaces that trust the caller',
      answer: { json: Type.Array(NamespaceView) },
      rule: 'trusted',
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
      summary: 'One namespace',
      answer: { json: NamespaceView },
      object,
      handle: (request) => json(namespaceView(services, request.object)),
    }),
    deleteRoute(services),
    route('GET /auth/namespaces/:namespace/events', {
      summary: 'Events of a namespace, its keys and trusts, newest first',
      answer: { json: Type.Array(EventView) },
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
export function findNamespace(services: ApiServices): FindNamespace {
  return finding('namespace', 'trusted', ({ params, caller }) => {
    const name = params['namespace'] ?? '';
    if (!isTrusted(services, caller, name)) throw notFound('namespace');
    existingNamespace(services, name);
    const found = services.read.namespaces.get(name);
    if (found === undefined) throw notFound('namespace');
    return found;
  });
}

/** All is checked before anything is made. */
function createRoute(services: ApiServices): Route {
  return route('POST /auth/namespaces', {
    summary: 'Make a namespace, if need be with a first key',
    answer: { json: NamespaceView },
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

/** Artifacts go with it; instances and networks have to be gone before. */
function deleteRoute(services: ApiServices): Route {
  const { read, router } = services;
  return route('DELETE /auth/namespaces/:namespace', {
    summary: 'Delete a namespace and its artifacts; its instances and networks have to be gone',
    answer: NOTHING,
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

function trustRoutes(services: ApiServices, object: FindNamespace): Route[] {
  const { read } = services;
  const set = async (id: string, kind: 'trust' | 'untrust', namespace: string, trace: string) => {
    await change(services, namespaceRef(id), { kind, namespace }, trace);
    return json(namespaceView(services, read.namespaces.get(id) ?? notThere(id)));
  };
  return [
    route('POST /auth/namespaces/:namespace/trust', {
      summary: 'Let another namespace act on this one',
      answer: { json: NamespaceView },
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
      summary: 'Let another namespace act on this one no more',
      answer: { json: NamespaceView },
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

const ascending = (a: string, b: string) => (a < b ? -1 : 1);
const byName = (a: { id: string }, b: { id: string }) => ascending(a.id, b.id);

function forbidden(message: string): TroupeError {
  return new TroupeError('api/forbidden', message);
}

function exists(): TroupeError {
  return forbidden('namespace exists');
}

function notThere(name: string): never {
  throw new TroupeError('api/not-found', `namespace ${name} was deleted at once by somebody else`);
}

// Keys of namespaces (contract: auth 6.5): names are shown, secrets are hashed at once and never told again.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { namespaceRef, type NamespaceState } from '../../../actors/namespace/state.ts';
import { json, NOTHING, route, type Answer, type Route } from '../http/route.ts';
import { badRequest, change, type ApiServices } from '../services.ts';
import type { FindNamespace } from './namespaces.ts';
import { hashSecret } from './secret.ts';

const RESERVED_KEY = '_service_key';
export const KEY = { key_name: Type.Optional(Type.Unknown()), key: Type.Optional(Type.Unknown()) };

export function keyRoutes(services: ApiServices, object: FindNamespace): Route[] {
  return [
    route('GET /auth/namespaces/:namespace/keys', {
      summary: 'Names of its keys',
      answer: { json: Type.Array(Type.String()) },
      object,
      handle: ({ object: { state } }) => json(Object.keys(state.keys).toSorted()),
    }),
    route('POST /auth/namespaces/:namespace/keys', {
      summary: 'Give a namespace a key, or replace the one of that name',
      answer: { json: Type.String() },
      object,
      body: KEY,
      handle: ({ object: { id }, body, trace }) =>
        setKey(services, id, { name: checked(body), key: body.key, trace }),
    }),
    ...replaceRoutes(services, object),
    route('DELETE /auth/namespaces/:namespace/keys/:key_name', {
      summary: 'Remove a key; tokens made with it die',
      answer: NOTHING,
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

function replaceRoutes(services: ApiServices, object: FindNamespace): Route[] {
  return [
    // As the Python client sends it.
    route('PUT /auth/namespaces/:namespace/keys', {
      summary: 'Replace a key that there is',
      answer: { json: Type.String() },
      object,
      body: KEY,
      handle: ({ object: { id, state }, body, trace }) =>
        setKey(services, id, { name: known(state, checked(body)), key: body.key, trace }),
    }),
    // As the Go client does.
    route('PUT /auth/namespaces/:namespace/keys/:key_name', {
      summary: 'Replace a key that there is',
      answer: { json: Type.String() },
      object,
      body: { key: Type.Optional(Type.Unknown()) },
      handle: ({ object: { id, state }, params, body, trace }) => {
        const name = checked({ key_name: params['key_name'], key: body.key });
        return setKey(services, id, { name: known(state, name), key: body.key, trace });
      },
    }),
  ];
}

interface NewKey {
  readonly name: string;
  readonly key: unknown;
  readonly trace: string;
}

async function setKey(
  services: ApiServices,
  id: string,
  { name, key, trace }: NewKey,
): Promise<Answer> {
  const hashed = await hashSecret(secret(key));
  await change(services, namespaceRef(id), { kind: 'set-key', name, key: hashed }, trace);
  return json(name);
}

/** The key's name (contract: auth 6.5). Errors: 400, 403. */
function checked(body: { key_name?: unknown; key?: unknown }): string {
  if (!body.key_name) throw badRequest('no key name specified');
  if (!body.key) throw badRequest('no key specified');
  return keyName(body.key_name);
}

function known(state: NamespaceState, name: string): string {
  if (Object.hasOwn(state.keys, name)) return name;
  throw new TroupeError('api/not-found', 'key does not exist');
}

/** The key that a namespace is made with; undefined: none. Errors: 400, 403. */
export async function firstKey({ key_name: name, key }: { key_name?: unknown; key?: unknown }) {
  if (!name) return undefined;
  if (!key) throw badRequest('no key specified');
  return { name: keyName(name), key: await hashSecret(secret(key)) };
}

function keyName(name: unknown): string {
  if (typeof name !== 'string') throw badRequest('key_name is not a string');
  if (name.startsWith(RESERVED_KEY)) throw new TroupeError('api/forbidden', 'illegal key name');
  if (name === '__proto__') throw badRequest('"__proto__" cannot be a key name');
  return name;
}

function secret(key: unknown): string {
  if (typeof key === 'string') return key;
  throw badRequest('key is not a string');
}

// Keys of namespaces (contract: auth 6.5): names are shown, secrets are hashed at once and never told again.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { liveKey, liveKeys } from '../../../actors/namespace/keys.ts';
import { namespaceRef, type NamespaceState } from '../../../actors/namespace/state.ts';
import { json, NOTHING, route, type Answer, type Route } from '../http/route.ts';
import { badRequest, change, type ApiServices } from '../services.ts';
import type { FindNamespace } from './namespaces.ts';
import { hashSecret } from './secret.ts';

const RESERVED_KEY = '_service_key';
/** Beyond this a date cannot be told. */
const LATEST_S = 8_640_000_000_000;

export const KEY = {
  key_name: Type.Optional(Type.Unknown()),
  key: Type.Optional(Type.Unknown()),
  /** When the key ends, seconds since the epoch; none: never. Ours. */
  expires_at: Type.Optional(Type.Unknown()),
};
type KeyBody = Readonly<Partial<Record<keyof typeof KEY, unknown>>>;

export function keyRoutes(services: ApiServices, object: FindNamespace): Route[] {
  const { clock } = services;
  return [
    route('GET /auth/namespaces/:namespace/keys', {
      summary: 'Names of its keys',
      answer: { json: Type.Array(Type.String()) },
      object,
      handle: ({ object: { state } }) => json(keyNames(state, clock.nowMs())),
    }),
    route('POST /auth/namespaces/:namespace/keys', {
      summary: 'Give a namespace a key, or replace the one of that name',
      answer: { json: Type.String() },
      object,
      body: KEY,
      handle: ({ object: { id }, body, trace }) =>
        setKey(services, id, { ...body, name: checked(body), trace }),
    }),
    ...replaceRoutes(services, object),
    route('DELETE /auth/namespaces/:namespace/keys/:key_name', {
      summary: 'Remove a key; tokens made with it die',
      answer: NOTHING,
      object,
      handle: async ({ object: { id, state }, params, trace }) => {
        const name = params['key_name'] ?? '';
        if (liveKey(state, name, clock.nowMs()) === undefined) {
          throw new TroupeError('api/not-found', 'key name not found in namespace');
        }
        await change(services, namespaceRef(id), { kind: 'remove-key', name }, trace);
        return json(null);
      },
    }),
  ];
}

function replaceRoutes(services: ApiServices, object: FindNamespace): Route[] {
  const known = (state: NamespaceState, name: string): string => {
    if (liveKey(state, name, services.clock.nowMs()) !== undefined) return name;
    throw new TroupeError('api/not-found', 'key does not exist');
  };
  return [
    // As the Python client sends it.
    route('PUT /auth/namespaces/:namespace/keys', {
      summary: 'Replace a key that there is',
      answer: { json: Type.String() },
      object,
      body: KEY,
      handle: ({ object: { id, state }, body, trace }) =>
        setKey(services, id, { ...body, name: known(state, checked(body)), trace }),
    }),
    // As the Go client does.
    route('PUT /auth/namespaces/:namespace/keys/:key_name', {
      summary: 'Replace a key that there is',
      answer: { json: Type.String() },
      object,
      body: { key: KEY.key, expires_at: KEY.expires_at },
      handle: ({ object: { id, state }, params, body, trace }) => {
        const name = checked({ key_name: params['key_name'], key: body.key });
        return setKey(services, id, { ...body, name: known(state, name), trace });
      },
    }),
  ];
}

interface NewKey extends KeyBody {
  readonly name: string;
  readonly trace: string;
}

async function setKey(
  services: ApiServices,
  id: string,
  { name, key, expires_at: end, trace }: NewKey,
): Promise<Answer> {
  const hashed = await hashSecret(secret(key), endOf(end, services.clock.nowMs()));
  await change(services, namespaceRef(id), { kind: 'set-key', name, key: hashed }, trace);
  return json(name);
}

/** The key's name (contract: auth 6.5). Errors: 400, 403. */
function checked(body: KeyBody): string {
  if (!body.key_name) throw badRequest('no key name specified');
  if (!body.key) throw badRequest('no key specified');
  return keyName(body.key_name);
}

/** The key that a namespace is made with; undefined: none. Errors: 400, 403. */
export async function firstKey({ key_name: name, key, expires_at: end }: KeyBody, nowMs: number) {
  if (!name) return undefined;
  if (!key) throw badRequest('no key specified');
  return { name: keyName(name), key: await hashSecret(secret(key), endOf(end, nowMs)) };
}

/** Of the keys that count. */
export function keyNames(state: NamespaceState, nowMs: number): string[] {
  return liveKeys(state, nowMs)
    .map(([name]) => name)
    .toSorted();
}

/** Null: it does not end. Error: 400 for what is no time to come. */
function endOf(expiresAt: unknown, nowMs: number): number | null {
  if (expiresAt === undefined || expiresAt === null) return null;
  if (typeof expiresAt === 'number' && expiresAt * 1000 > nowMs && expiresAt < LATEST_S) {
    return Math.round(expiresAt * 1000);
  }
  throw badRequest('expires_at is a time to come, in seconds since the epoch');
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

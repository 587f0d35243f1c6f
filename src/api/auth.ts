// Logging in, and what a token is worth (contract: auth 2 to 4).
import { TroupeError } from '../../actors/kernel/errors.ts';
import { Type } from '../../actors/kernel/schema.ts';
import { SYSTEM } from '../../actors/namespace/state.ts';
import { json, route, type Access, type Caller, type Route } from './route.ts';
import { matches } from './secret.ts';
import { badRequest, notFound, type ApiServices } from './services.ts';
import { signToken, TOKEN_LIFETIME_S, verifyToken } from './token.ts';

const NOBODY: Caller = { namespace: '', keyName: '' };

export function authRoutes(services: ApiServices): Route[] {
  return [
    route('POST /auth', {
      access: 'public',
      body: { namespace: Type.Optional(Type.Unknown()), key: Type.Optional(Type.Unknown()) },
      handle: async ({ body }) => {
        if (!('namespace' in body)) throw badRequest('missing namespace in request');
        const name = typeof body.namespace === 'string' ? body.namespace : '';
        const found = services.read.namespaces.get(name)?.state;
        if (found === undefined || found.phase === 'deleted') throw notFound('namespace');
        if (!body.key) throw badRequest('missing key in request');
        if (typeof body.key !== 'string') throw badRequest('key is not a string');
        for (const [keyName, key] of Object.entries(found.keys)) {
          if (!(await matches(body.key, key))) continue;
          const claims = { namespace: name, keyName, nonce: key.nonce };
          const { tokenSecret, zone, clock } = services;
          const token = signToken(tokenSecret, zone, claims, clock.nowMs());
          return json({ access_token: token, token_type: 'Bearer', expires_in: TOKEN_LIFETIME_S });
        }
        throw unauthenticated('unauthorized');
      },
    }),
  ];
}

/** Who calls, by the Authorization header; nobody on public routes. Errors: 401 with the contract's texts. */
export function authenticate(
  services: ApiServices,
  access: Access,
  header: string | undefined,
): Caller {
  if (access === 'public') return NOBODY;
  const caller = tokenCaller(services, bearerToken(header));
  if (access === 'system' && caller.namespace !== SYSTEM) throw unauthenticated('unauthorized');
  return caller;
}

function bearerToken(header: string | undefined): string {
  if (header === undefined || header.trim() === '') {
    throw unauthenticated('Missing Authorization Header');
  }
  const words = header.trim().split(/\s+/);
  const expected = "Expected 'Authorization: Bearer <JWT>'";
  if (words[0] !== 'Bearer') {
    throw unauthenticated(`Missing 'Bearer' type in 'Authorization' header. ${expected}`);
  }
  if (words.length !== 2) throw unauthenticated(`Bad Authorization header. ${expected}`);
  return words[1] ?? '';
}

function tokenCaller(services: ApiServices, token: string): Caller {
  const verified = verifyToken(services.tokenSecret, token, services.clock.nowMs());
  if (!verified.ok) throw unauthenticated(verified.reason);
  const { namespace, keyName, nonce } = verified;
  const found = services.read.namespaces.get(namespace)?.state;
  // A token dies with its namespace, its key, or when the key is set anew.
  if (found?.phase !== 'created' || found.keys[keyName]?.nonce !== nonce) throw unauthenticated('');
  return { namespace, keyName };
}

function unauthenticated(message: string): TroupeError {
  return new TroupeError('api/unauthenticated', message);
}

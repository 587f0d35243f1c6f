// What a token is worth (contract: auth 4).
import { TroupeError } from '../../actors/kernel/errors.ts';
import { SYSTEM } from '../../actors/namespace/state.ts';
import { WORN_OUT } from './answer.ts';
import type { Access, Caller } from './route.ts';
import type { ApiServices } from './services.ts';
import { verifyToken } from './token.ts';

const NOBODY: Caller = { namespace: '', keyName: '' };
const EXPECTED = "Expected 'Authorization: Bearer <JWT>'";

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

export function unauthenticated(message: string): TroupeError {
  return new TroupeError('api/unauthenticated', message);
}

function bearerToken(header: string | undefined): string {
  if (header === undefined || header.trim() === '') {
    throw unauthenticated('Missing Authorization Header');
  }
  const words = header.trim().split(/\s+/);
  if (words[0] !== 'Bearer') {
    throw unauthenticated(`Missing 'Bearer' type in 'Authorization' header. ${EXPECTED}`);
  }
  if (words.length !== 2) throw unauthenticated(`Bad Authorization header. ${EXPECTED}`);
  return words[1] ?? '';
}

function tokenCaller(services: ApiServices, token: string): Caller {
  const verified = verifyToken(services.tokenSecret, token, services.clock.nowMs());
  if (!verified.ok) {
    const detail = verified.isWornOut ? WORN_OUT : {};
    throw new TroupeError('api/unauthenticated', verified.reason, detail);
  }
  const { namespace, keyName, nonce } = verified;
  const found = services.read.namespaces.get(namespace)?.state;
  // A token dies with its namespace, its key, or when the key is set anew.
  if (found?.phase !== 'created' || found.keys[keyName]?.nonce !== nonce) throw unauthenticated('');
  return { namespace, keyName };
}

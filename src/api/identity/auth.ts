// What a token is worth (contract: auth 4).
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import { liveKey } from '../../../actors/namespace/keys.ts';
import { WORN_OUT } from '../http/answer.ts';
import type { Access, Caller } from '../http/route.ts';
import type { ApiServices } from '../services.ts';
import { TokenVerifier } from './token.ts';

const NOBODY: Caller = { namespace: '', keyName: '' };
const EXPECTED = "Expected 'Authorization: Bearer <JWT>'";

/** Tells who calls. */
export class Authenticator {
  readonly #services: ApiServices;
  readonly #tokens: TokenVerifier;

  constructor(services: ApiServices) {
    this.#services = services;
    this.#tokens = new TokenVerifier(() => services.tokenSecrets.accepted());
  }

  /**
   * By the Authorization header; nobody on public routes. `isLocal`: the request comes from this machine itself. Errors: 401
   * with the contract's texts.
   */
  caller(access: Access, header: string | undefined, isLocal = false): Caller {
    if (access === 'public' || (access === 'monitor' && this.#mayMonitor(isLocal))) return NOBODY;
    const caller = this.#owner(bearerToken(header));
    if (access !== 'any' && caller.namespace !== SYSTEM) throw unauthenticated('unauthorized');
    return caller;
  }

  #mayMonitor(isLocal: boolean): boolean {
    const access = this.#services.monitoring.access();
    return access === 'open' || (access === 'local' && isLocal);
  }

  #owner(token: string): Caller {
    const { read, clock } = this.#services;
    const verified = this.#tokens.verify(token, clock.nowMs());
    if (!verified.ok) {
      const detail = verified.isWornOut ? WORN_OUT : {};
      throw new TroupeError('api/unauthenticated', verified.reason, detail);
    }
    const { namespace, keyName, nonce } = verified;
    const found = read.namespaces.get(namespace)?.state;
    // A token dies with its namespace, with its key, or when the key is set anew.
    const key = found?.phase === 'created' ? liveKey(found, keyName, clock.nowMs()) : undefined;
    if (key?.nonce !== nonce) throw unauthenticated('');
    return { namespace, keyName };
  }
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

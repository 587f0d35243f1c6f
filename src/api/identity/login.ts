// Logging in: a secret for a token (contract: auth 2).
import { createHmac, randomBytes } from 'node:crypto';
import { closed, Type } from '../../../actors/kernel/schema.ts';
import { liveKeys } from '../../../actors/namespace/keys.ts';
import type { NamespaceKey } from '../../../actors/namespace/state.ts';
import { existingNamespace } from './access.ts';
import { unauthenticated } from './auth.ts';
import { LoginGuard } from './login-guard.ts';
import { json, route, type Route } from '../http/route.ts';
import { matches } from './secret.ts';
import { badRequest, type ApiServices } from '../services.ts';
import { signToken, TOKEN_LIFETIME_S } from './token.ts';

const Token = closed({
  access_token: Type.String(),
  token_type: Type.Literal('Bearer'),
  /** Seconds. */
  expires_in: Type.Integer(),
});

export function loginRoutes(services: ApiServices): Route[] {
  const { tokenSecrets, zone, clock, audit } = services;
  const guard = new LoginGuard(clock);
  const known = new KnownSecrets();
  return [
    route('POST /auth', {
      summary: "Log in: a namespace's secret for a token",
      answer: { json: Token },
      errors: [401, 404],
      access: 'public',
      body: { namespace: Type.Optional(Type.Unknown()), key: Type.Optional(Type.Unknown()) },
      handle: async ({ body, remote, trace }) => {
        if (!('namespace' in body)) throw badRequest('missing namespace in request');
        const name = typeof body.namespace === 'string' ? body.namespace : '';
        const namespace = existingNamespace(services, name);
        if (!body.key) throw badRequest('missing key in request');
        if (typeof body.key !== 'string') throw badRequest('key is not a string');
        const attempt = { name, secret: body.key, client: `${remote} ${name}` };
        const keys = liveKeys(namespace, clock.nowMs());
        const key = await keyOf({ guard, known }, keys, attempt);
        audit.note(key === null ? 'login refused' : 'login', {
          namespace: name,
          key,
          remote,
          trace,
        });
        if (key === null) throw unauthenticated('unauthorized');
        const claims = { namespace: name, keyName: key.name, nonce: key.set.nonce };
        const token = signToken(tokenSecrets.signing(), zone, claims, clock.nowMs());
        return json({ access_token: token, token_type: 'Bearer', expires_in: TOKEN_LIFETIME_S });
      },
    }),
  ];
}

interface Attempt {
  readonly name: string;
  readonly secret: string;
  readonly client: string;
}

interface FoundKey {
  readonly name: string;
  readonly set: NamespaceKey;
}

/** The key whose secret it is; null: of none. */
async function keyOf(
  { guard, known }: { readonly guard: LoginGuard; readonly known: KnownSecrets },
  keys: readonly (readonly [name: string, key: NamespaceKey])[],
  { name, secret, client }: Attempt,
): Promise<FoundKey | null> {
  const remembered = known.get(name, secret);
  if (remembered !== undefined) {
    const same = keys.find(
      ([keyName, { nonce }]) => keyName === remembered.keyName && nonce === remembered.nonce,
    );
    if (same !== undefined) return { name: same[0], set: same[1] };
  }
  const found = await guard.attempt(client, async () => {
    for (const [keyName, key] of keys) {
      if (await matches(secret, key)) return { name: keyName, set: key };
    }
    return null;
  });
  if (found !== null) known.set(name, secret, { keyName: found.name, nonce: found.set.nonce });
  return found;
}

interface Known {
  readonly keyName: string;
  readonly nonce: string;
}

/**
 * Secrets that were right lately, so that a client that logs in for every command costs one hash of the slow
 * sort. Kept as a keyed digest under a key that never leaves this process.
 */
class KnownSecrets {
  static readonly MAX = 1_000;
  readonly #digestKey = randomBytes(32);
  readonly #known = new Map<string, Known>();

  get(namespace: string, secret: string): Known | undefined {
    return this.#known.get(this.#digest(namespace, secret));
  }

  set(namespace: string, secret: string, known: Known): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= KnownSecrets.MAX && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(this.#digest(namespace, secret), known);
  }

  #digest(namespace: string, secret: string): string {
    const text = JSON.stringify([namespace, secret]);
    return createHmac('sha256', this.#digestKey).update(text).digest('base64');
  }
}

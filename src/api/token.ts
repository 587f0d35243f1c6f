// Access tokens: JSON Web Tokens, HS256 only, with the claims that the contract lists (auth 3).
//
// T1  The algorithm is ours, never the token's: a header that names another is refused.
// T2  `sub` is an array, which the JWT specification forbids and the contract demands; that is why this is not a
//     library's job.
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';

export const TOKEN_LIFETIME_S = 900;

export interface TokenClaims {
  readonly namespace: string;
  readonly keyName: string;
  readonly nonce: string;
}

export type VerifiedToken =
  | ({ readonly ok: true } & TokenClaims)
  | { readonly ok: false; readonly reason: string };

const HEADER = encode({ alg: 'HS256', typ: 'JWT' });
const MAX_TOKEN_LENGTH = 4096;

/** Signs a token that is valid from `nowMs` for TOKEN_LIFETIME_S. */
export function signToken(
  secret: Uint8Array,
  issuer: string,
  claims: TokenClaims,
  nowMs: number,
): string {
  const iat = Math.floor(nowMs / 1000);
  const payload = encode({
    fresh: false,
    iat,
    jti: randomUUID(),
    type: 'access',
    sub: [claims.namespace, claims.keyName],
    nbf: iat,
    csrf: randomUUID(),
    exp: iat + TOKEN_LIFETIME_S,
    iss: issuer,
    nonce: claims.nonce,
  });
  return `${HEADER}.${payload}.${signature(secret, `${HEADER}.${payload}`)}`;
}

/** Never throws; the reasons are the contract's texts (auth 4). Whether the key still exists is not looked at here. */
export function verifyToken(secret: Uint8Array, token: string, nowMs: number): VerifiedToken {
  const invalid = { ok: false, reason: 'invalid JWT in Authorization header' } as const;
  const [header, payload, signed, ...rest] = token.split('.');
  if (token.length > MAX_TOKEN_LENGTH || rest.length > 0 || !payload || !signed) return invalid;
  if (header !== HEADER || !isEqual(signed, signature(secret, `${header}.${payload}`)))
    return invalid;
  const claims = decode(payload);
  if (claims === undefined) return invalid;
  const now = Math.floor(nowMs / 1000);
  if (typeof claims['exp'] !== 'number' || claims['exp'] <= now) {
    return { ok: false, reason: 'Signature has expired' };
  }
  const [namespace, keyName] = Array.isArray(claims['sub']) ? (claims['sub'] as unknown[]) : [];
  const nonce = claims['nonce'];
  if (typeof namespace !== 'string' || typeof keyName !== 'string') {
    return { ok: false, reason: 'Missing claim: sub' };
  }
  if (typeof nonce !== 'string') return { ok: false, reason: '' };
  return { ok: true, namespace, keyName, nonce };
}

function signature(secret: Uint8Array, text: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url');
}

function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    // Signed by us and still not JSON cannot be; whoever sent it learns only that it is invalid.
    return undefined;
  }
}

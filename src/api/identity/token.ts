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
  | {
      readonly ok: false;
      readonly reason: string;
      /** Garbled or expired: a new login helps. */
      readonly isWornOut: boolean;
    };

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

/**
 * Verifies tokens by the secrets that count at the time. What it has found signed it remembers, since a client sends the
 * same token with each request; times, and whether that secret still counts, are looked at again each time.
 */
export class TokenVerifier {
  static readonly MAX_REMEMBERED = 10_000;
  readonly #secrets: () => readonly Uint8Array[];
  readonly #signed = new Map<string, Signed>();

  /** `secrets` gives the same objects for as long as they count. */
  constructor(secrets: () => readonly Uint8Array[]) {
    this.#secrets = secrets;
  }

  /** Never throws; the reasons are the contract's texts (auth 4). Whether the key still exists is not looked at here. */
  verify(token: string, nowMs: number): VerifiedToken {
    const secrets = this.#secrets();
    const known = this.#signed.get(token);
    const isKnown = known !== undefined && secrets.includes(known.secret);
    const claims = isKnown ? known.claims : this.#learn(token, secrets);
    if (claims === undefined) return refused('invalid JWT in Authorization header', true);
    const now = Math.floor(nowMs / 1000);
    const problem = untimely(claims, now);
    if (problem === undefined) return owner(claims);
    if (problem.isWornOut) this.#signed.delete(token);
    return problem;
  }

  #learn(token: string, secrets: readonly Uint8Array[]): Claims | undefined {
    this.#signed.delete(token);
    const signed = signedBy(secrets, token);
    const [oldest] = this.#signed.keys();
    if (signed === undefined) return undefined;
    if (this.#signed.size >= TokenVerifier.MAX_REMEMBERED && oldest !== undefined) {
      this.#signed.delete(oldest);
    }
    this.#signed.set(token, signed);
    return signed.claims;
  }
}

type Claims = Readonly<Record<string, unknown>>;

interface Signed {
  readonly claims: Claims;
  readonly secret: Uint8Array;
}

type Refused = Extract<VerifiedToken, { ok: false }>;

function untimely({ exp, nbf, iat }: Claims, now: number): Refused | undefined {
  if (typeof exp !== 'number' || exp <= now) return refused('Signature has expired', true);
  if (isLater(nbf, now)) return refused('The token is not yet valid (nbf)');
  if (isLater(iat, now)) return refused('The token is not yet valid (iat)');
  return undefined;
}

function owner({ type, sub, nonce }: Claims): VerifiedToken {
  if (type === 'refresh') return refused('Only non-refresh tokens are allowed');
  const [namespace, keyName] = Array.isArray(sub) ? (sub as unknown[]) : [];
  if (typeof namespace !== 'string' || typeof keyName !== 'string') {
    return refused('Missing claim: sub');
  }
  if (typeof nonce !== 'string') return refused('');
  return { ok: true, namespace, keyName, nonce };
}

function refused(reason: string, isWornOut = false): Refused {
  return { ok: false, reason, isWornOut };
}

function isLater(claim: unknown, now: number): boolean {
  return typeof claim === 'number' && claim > now;
}

function signedBy(secrets: readonly Uint8Array[], token: string): Signed | undefined {
  for (const secret of secrets) {
    const claims = signedClaims(secret, token);
    if (claims !== undefined) return { claims, secret };
  }
  return undefined;
}

/** What is in a token that we have signed. */
function signedClaims(secret: Uint8Array, token: string): Claims | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined;
  const [header, payload, signed, ...rest] = token.split('.');
  if (header !== HEADER || !payload || !signed || rest.length > 0) return undefined;
  if (!isEqual(signed, signature(secret, `${header}.${payload}`))) return undefined;
  return decode(payload);
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

function decode(text: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as Claims) : undefined;
  } catch {
    // Signed by us and still not JSON cannot be; whoever sent it learns only that it is invalid.
    return undefined;
  }
}

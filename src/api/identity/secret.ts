// Namespace keys as kept: salted scrypt, so that who reads the store cannot log in.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { NamespaceKey } from '../../../actors/namespace/state.ts';

const HASH_BYTES = 32;
const SALT_BYTES = 16;
/** 16 MiB and some tens of milliseconds for each try; docs/operations.md names them. */
const COST = { N: 2 ** 14, r: 8, p: 1 } as const;
/** Longer ones are never a key: what a stranger sends is not worth hashing. */
const MAX_SECRET_LENGTH = 1_024;

/** A new key of high entropy, for people to copy: 32 characters. */
export function newSecret(): string {
  return randomBytes(24).toString('base64url');
}

/** `expiresAtMs` null: it does not end. */
export async function hashSecret(
  secret: string,
  expiresAtMs: number | null = null,
): Promise<NamespaceKey> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(secret, salt);
  const nonce = randomBytes(8).toString('hex');
  return { hash: hash.toString('base64'), salt: salt.toString('base64'), nonce, expiresAtMs };
}

/** Constant-time in the comparison; takes tens of milliseconds on purpose. */
export async function matches(secret: string, key: NamespaceKey): Promise<boolean> {
  if (secret.length > MAX_SECRET_LENGTH) return false;
  const expected = Buffer.from(key.hash, 'base64');
  const found = await derive(secret, Buffer.from(key.salt, 'base64'));
  return expected.length === found.length && timingSafeEqual(expected, found);
}

function derive(secret: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(secret, salt, HASH_BYTES, COST, (error, hash) =>
      error ? reject(error) : resolve(hash),
    );
  });
}

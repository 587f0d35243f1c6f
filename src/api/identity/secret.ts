// Namespace keys as kept: salted scrypt, so that who reads the store cannot log in.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { NamespaceKey } from '../../../actors/namespace/state.ts';

const HASH_BYTES = 32;
/** Longer ones are never a key: what a stranger sends is not worth hashing. */
const MAX_SECRET_LENGTH = 1_024;

/** A new key of high entropy, for people to copy: 32 characters. */
export function newSecret(): string {
  return randomBytes(24).toString('base64url');
}

export async function hashSecret(secret: string): Promise<NamespaceKey> {
  const salt = randomBytes(16);
  const hash = await derive(secret, salt);
  const nonce = randomBytes(8).toString('hex');
  return { hash: hash.toString('base64'), salt: salt.toString('base64'), nonce };
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
    scrypt(secret, salt, HASH_BYTES, (error, hash) => (error ? reject(error) : resolve(hash)));
  });
}

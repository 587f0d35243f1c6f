// A node's key pair: made here, and never anywhere else.
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';

/** Writes the private key (0600) and returns the public one, PEM. */
export async function newKeyPair(file: string): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(file, pem, { mode: 0o600, flush: true });
  return publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

/** The public key of a private one that is there; undefined when none is. */
export async function publicKeyOf(file: string): Promise<string | undefined> {
  try {
    const key = createPublicKey(await readFile(file));
    return key.export({ type: 'spki', format: 'pem' }).toString();
  } catch {
    // Missing, or cut off as it was written: a new one is made.
    return undefined;
  }
}

/** Signature by the private key in the file, base64. */
export function signWith(file: string, bytes: Uint8Array): string {
  return sign('sha256', bytes, readFileSync(file)).toString('base64');
}

/** Whether who made the signature (base64) has the private key of this public one, PEM. */
export function isSignedBy(publicKey: string, bytes: Uint8Array, signature: string): boolean {
  try {
    return verify('sha256', bytes, publicKey, Buffer.from(signature, 'base64'));
  } catch {
    // A key of a kind that newKeyPair() does not make.
    return false;
  }
}

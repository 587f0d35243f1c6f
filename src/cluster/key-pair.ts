// A node's key pair: made here, and never anywhere else.
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
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

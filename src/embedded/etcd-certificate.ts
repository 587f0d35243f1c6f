// One certificate for both ends of the embedded etcd. etcd on a loopback port is open to every user
// of the machine, and who writes there decides what runs as root; so both sides prove that they can
// read the key, which only root can.
//
// T1  The key never leaves its directory (0700, file 0600).
// T2  A certificate that ends within RENEW_MS, or that begins in the future because the clock was
//     wrong when it was made, is replaced before etcd starts.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { exec } from '../drivers/exec.ts';

export interface KeyPair {
  /** PEM. It signs itself: it is the authority, the server's and the client's certificate. */
  readonly certificateFile: string;
  readonly keyFile: string;
}

const VALID_DAYS = 3650;
const RENEW_MS = 90 * 24 * 3600 * 1000;

/** Where the pair of `directory` is, whether or not it exists yet. */
export function keyPairIn(directory: string): KeyPair {
  return {
    certificateFile: join(directory, 'certificate.pem'),
    keyFile: join(directory, 'key.pem'),
  };
}

/** Makes the pair unless a usable one is there. Errors: those of exec() with openssl. */
export async function ensureKeyPair(directory: string, trace: string): Promise<KeyPair> {
  const pair = keyPairIn(directory);
  if (await isUsable(pair)) return pair;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const [newKey, newCertificate] = [`${pair.keyFile}.new`, `${pair.certificateFile}.new`];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const extensions = [
    'subjectAltName=DNS:localhost,IP:127.0.0.1',
    'extendedKeyUsage=serverAuth,clientAuth',
  ].flatMap((extension) => ['-addext', extension]);
  const files = ['-keyout', newKey, '-out', newCertificate];
  const subject = ['-subj', '/CN=troupe-etcd', '-days', String(VALID_DAYS)];
  // openssl creates the key file 0600.
  await exec('openssl', ['req', '-x509', ...kind, ...subject, ...extensions, ...files], { trace });
  await rename(newKey, pair.keyFile);
  await rename(newCertificate, pair.certificateFile);
  return pair;
}

async function isUsable(pair: KeyPair): Promise<boolean> {
  try {
    const certificate = new X509Certificate(await readFile(pair.certificateFile));
    const key = await readFile(pair.keyFile);
    const now = Date.now();
    const begins = Date.parse(certificate.validFrom);
    const ends = Date.parse(certificate.validTo);
    return begins <= now && ends - now > RENEW_MS && matches(certificate, key);
  } catch {
    // Missing or damaged: both are reasons to make a new one.
    return false;
  }
}

/** False after a crash between the two renames above. */
function matches(certificate: X509Certificate, key: Buffer): boolean {
  return certificate.checkPrivateKey(createPrivateKey(key));
}

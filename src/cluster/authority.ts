// The cluster's own authorities: one signs the certificates of nodes, one signs invitations.
//
// A1  Two, because etcd lets in whoever bears a certificate of the first: an invitation that was used, or found on
//     somebody's screen, opens nothing but the door at which nodes are admitted.
// A2  A subject has only the public key brought along; its name and what it may do are ours to say.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { exec } from '../drivers/exec.ts';

const AUTHORITY_DAYS = 7300;
const NODE_DAYS = 3650;

export interface Signer {
  /** Paths of PEM files. */
  readonly certificate: string;
  readonly key: string;
}

/** Writes a new authority to the files. Errors: those of exec() with openssl. */
export async function makeAuthority(signer: Signer, name: string, trace: string): Promise<void> {
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const extensions = [
    'basicConstraints=critical,CA:TRUE,pathlen:0',
    'keyUsage=critical,keyCertSign',
  ].flatMap((extension) => ['-addext', extension]);
  const subject = ['-subj', `/CN=${name}`, '-days', String(AUTHORITY_DAYS)];
  const files = ['-keyout', signer.key, '-out', signer.certificate];
  // openssl creates the key file 0600.
  await exec('openssl', ['req', '-x509', ...kind, ...subject, ...extensions, ...files], { trace });
}

export interface Subject {
  /** Its public key, PEM. */
  readonly publicKey: string;
  readonly name: string;
}

/** A node's certificate, PEM: for clients and servers, at this address and on the machine itself. */
export function certifyNode(
  signer: Signer,
  subject: Subject,
  address: string,
  trace: string,
): Promise<string> {
  const names = ['DNS:localhost', 'IP:127.0.0.1', `${isIP(address) ? 'IP' : 'DNS'}:${address}`];
  const extensions = [
    'extendedKeyUsage=serverAuth,clientAuth',
    `subjectAltName=${[...new Set(names)].join(',')}`,
  ];
  return certify(signer, subject, { days: NODE_DAYS, extensions }, trace);
}

/** A certificate that is good for showing to viewers of the machine's consoles, under these hosts and IP addresses, PEM. */
export function certifyConsole(
  signer: Signer,
  subject: Subject,
  hosts: readonly string[],
  trace: string,
): Promise<string> {
  const names = hosts.map((host) => `${isIP(host) ? 'IP' : 'DNS'}:${host}`);
  const extensions = ['extendedKeyUsage=serverAuth', `subjectAltName=${names.join(',')}`];
  return certify(signer, subject, { days: NODE_DAYS, extensions }, trace);
}

/** A certificate that is good for asking to be admitted, PEM. */
export function certifyGuest(
  signer: Signer,
  subject: Subject,
  days: number,
  trace: string,
): Promise<string> {
  return certify(signer, subject, { days, extensions: ['extendedKeyUsage=clientAuth'] }, trace);
}

async function certify(
  signer: Signer,
  { publicKey, name }: Subject,
  { days, extensions }: { days: number; extensions: readonly string[] },
  trace: string,
): Promise<string> {
  const directory = await mkdtemp(join(signer.key, '..', 'signing-'));
  try {
    const [keyFile, extensionFile] = [join(directory, 'key.pem'), join(directory, 'extensions')];
    await writeFile(keyFile, publicKey);
    const common = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature'];
    await writeFile(extensionFile, `${[...common, ...extensions].join('\n')}\n`);
    const what = ['-new', '-force_pubkey', keyFile, '-subj', `/CN=${name}`, '-days', `${days}`];
    const by = ['-CA', signer.certificate, '-CAkey', signer.key, '-extfile', extensionFile];
    return (await exec('openssl', ['x509', ...what, ...by], { trace })).stdout;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

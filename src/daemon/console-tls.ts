// What SPICE consoles show so that a viewer knows whose screen it sees: a certificate for each machine.
//
// L1  An authority of the cluster's own signs them, and nothing else: neither etcd nor a peer believes it. It lies in
//     the store, beside what tokens are made valid with; whoever starts first makes it, and no machine has to be asked
//     for a signature.
// L2  A machine's key is its consoles' alone, because QEMU reads it: a guest that breaks out of its QEMU has found
//     nothing that would let it into the cluster.
// L3  The folder is there whole or not at all. A certificate is made anew when it no longer fits the machine, or
//     would end soon; guests show the one they started with.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { closed, decoder, Type, type Static } from '../../actors/kernel/schema.ts';
import { decodeEnvelope, encodeEnvelope } from '../../transport/store/codec.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import { certifyConsole, makeAuthority } from '../cluster/authority.ts';
import { newKeyPair } from '../cluster/key-pair.ts';
import { consoleTlsDirectory } from '../embedded/libvirtd-settings.ts';

/** PEM. */
const Authority = closed({ certificate: Type.String(), key: Type.String() });
export type ConsoleAuthority = Static<typeof Authority>;
const decodeAuthority = decoder('console authority', Authority, 'store/bad-value');

const RENEWED_BEFORE_MS = 365 * 86_400_000;

export interface AuthorityOptions {
  readonly store: Pick<Store, 'get' | 'txn'>;
  readonly keys: Pick<Keys, 'alloc'>;
  readonly cluster: string;
  /** Where keys may lie for a moment. */
  readonly dataDir: string;
  readonly trace: string;
}

/** Errors: those of openssl, of the store; `store/bad-value`. */
export async function consoleAuthority(options: AuthorityOptions): Promise<ConsoleAuthority> {
  const { store, keys } = options;
  const key = keys.alloc('secret', 'console-authority');
  if ((await store.get(key)) === null) {
    const mine = { schema: 1, state: await newAuthority(options) };
    await store.txn({
      compare: [{ target: 'create', key, is: '==', than: 0 }],
      then: [{ op: 'put', key, value: encodeEnvelope(mine) }],
    });
  }
  const entry = await store.get(key);
  const decoded = entry === null ? null : decodeEnvelope(entry.value);
  if (decoded?.ok === true) return decodeAuthority(decoded.envelope.state);
  throw new TroupeError('store/bad-value', `${key} holds no authority of consoles`);
}

function newAuthority({ dataDir, cluster, trace }: AuthorityOptions): Promise<ConsoleAuthority> {
  return inPrivate(dataDir, async (folder) => {
    const files = filesIn(folder);
    await makeAuthority(files.signer, `troupe ${cluster} consoles`, trace);
    return {
      certificate: await readFile(files.signer.certificate, 'utf8'),
      key: await readFile(files.signer.key, 'utf8'),
    };
  });
}

export interface MachineOptions {
  readonly dataDir: string;
  readonly node: string;
  /** By which viewers reach it, besides its name: hosts and IP addresses. */
  readonly addresses: readonly string[];
  readonly nowMs: number;
  readonly trace: string;
}

/** Sees to it that QEMU finds this machine's certificate (L3). Errors: those of openssl. */
export async function ensureConsoleCertificate(
  authority: ConsoleAuthority,
  machine: MachineOptions,
): Promise<void> {
  const { dataDir, node: name, trace } = machine;
  const directory = consoleTlsDirectory(dataDir);
  const hosts = [...new Set([name, 'localhost', '127.0.0.1', ...machine.addresses])];
  if (await fits(directory, authority, hosts, machine.nowMs)) return;
  await inPrivate(dataDir, async (folder) => {
    const { signer, fresh } = filesIn(folder);
    await writeFile(signer.certificate, authority.certificate);
    await writeFile(signer.key, authority.key, { mode: 0o600 });
    await mkdir(fresh);
    const publicKey = await newKeyPair(join(fresh, 'server-key.pem'));
    const certificate = await certifyConsole(signer, { publicKey, name }, hosts, trace);
    await writeFile(join(fresh, 'server-cert.pem'), certificate, { flush: true });
    await writeFile(join(fresh, 'ca-cert.pem'), authority.certificate, { flush: true });
    await rm(directory, { recursive: true, force: true });
    await rename(fresh, directory);
  });
}

async function fits(
  directory: string,
  authority: ConsoleAuthority,
  hosts: readonly string[],
  nowMs: number,
): Promise<boolean> {
  try {
    const read = (name: string) => readFile(join(directory, name), 'utf8');
    const [ca, pem, key] = [
      await read('ca-cert.pem'),
      await read('server-cert.pem'),
      await read('server-key.pem'),
    ];
    const certificate = new X509Certificate(pem);
    const knows = (host: string) =>
      (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
    return (
      ca === authority.certificate &&
      certificate.verify(new X509Certificate(ca).publicKey) &&
      certificate.checkPrivateKey(createPrivateKey(key)) &&
      Date.parse(certificate.validTo) - nowMs > RENEWED_BEFORE_MS &&
      hosts.every((host) => knows(host))
    );
  } catch {
    // Not there, or cut off: made anew.
    return false;
  }
}

function filesIn(folder: string) {
  const signer = {
    certificate: join(folder, 'authority.pem'),
    key: join(folder, 'authority-key.pem'),
  };
  return { signer, fresh: join(folder, 'fresh') };
}

/** A folder for keys that is gone afterwards (0700), on the data directory's file system. */
async function inPrivate<T>(dataDir: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(dataDir, 'console-tls.'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

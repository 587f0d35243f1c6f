// Makes this machine a node of the cluster that an invitation leads to.
import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { PeerAddress } from '../../transport/mesh/socket.ts';
import { isSettingName } from '../config/settings.ts';
import { clusterFiles, filesIn, type ClusterFiles } from './files.ts';
import { refuseSecond } from './init.ts';
import type { Invitation } from './invitation.ts';
import { claimOf, decodeAdmitted, type Admitted, type Application } from './join-messages.ts';
import { newKeyPair, publicKeyOf, signWith } from './key-pair.ts';
import { addSettings, type Settings } from './settings-file.ts';

const TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 256 * 1024;

export interface NewNode {
  readonly dataDir: string;
  readonly node: string;
  /** Null: the address from which the cluster is reached. */
  readonly address: string | null;
  readonly port: number;
}

/** Takes effect at the daemon's next start; resolves to where its mesh will listen. Errors: `mesh/unreachable`, `config/invalid`, what the cluster says. */
export async function joinCluster(invitation: Invitation, node: NewNode): Promise<PeerAddress> {
  const { dataDir } = node;
  refuseSecond(dataDir);
  const { directory } = clusterFiles(dataDir);
  // Not where initCluster() works: what it left may hold the keys of authorities.
  const unfinished = filesIn(`${directory}.joining`);
  await mkdir(unfinished.directory, { recursive: true, mode: 0o700 });
  // A try whose answer was lost left its key: the cluster knows it again.
  const publicKey = (await publicKeyOf(unfinished.key)) ?? (await newKeyPair(unfinished.key));
  const { address, admitted } = await apply(invitation, {
    ...node,
    publicKey,
    sign: (claim) => signWith(unfinished.key, claim),
  });
  await writeFile(unfinished.authority, invitation.authority, { flush: true });
  await writeFile(unfinished.certificate, admitted.certificate, { flush: true });
  const etcd = await writeEtcdFiles(unfinished, clusterFiles(dataDir), admitted);
  // Settings first: with them alone a daemon does not start, and says that the machine has to join.
  addSettings(dataDir, {
    ...knownSettings(admitted.settings),
    ...etcd,
    cluster: admitted.cluster,
    node: node.node,
    'mesh-address': address,
    'mesh-port': node.port,
  });
  await rename(unfinished.directory, directory);
  return { host: address, port: node.port };
}

/** A newer node may tell more; the daemon refuses a settings file with a name that it does not know. */
function knownSettings(told: Admitted['settings']): Settings {
  return Object.fromEntries(Object.entries(told).filter(([name]) => isSettingName(name)));
}

/** The settings by which the daemon will reach the cluster's etcd. */
async function writeEtcdFiles(
  unfinished: ClusterFiles,
  files: ClusterFiles,
  { etcd }: Admitted,
): Promise<Settings> {
  const settings: Settings = { etcd: etcd.endpoints };
  if (!etcd.endpoints.some((endpoint) => endpoint.startsWith('https:'))) return settings;
  const put = async (name: string, pem: string | null, initial: string) => {
    if (pem === null) return initial;
    await writeFile(joinPath(unfinished.directory, name), pem, { mode: 0o600, flush: true });
    return joinPath(files.directory, name);
  };
  const isOwn = etcd.ca === null;
  // Every node's certificate has it; an address is no name to TLS.
  if (isOwn) settings['etcd-name'] = 'localhost';
  settings['etcd-ca'] = await put('etcd-ca.pem', etcd.ca, files.authority);
  const certificate = await put('etcd.pem', etcd.certificate, isOwn ? files.certificate : '');
  const key = await put('etcd-key.pem', etcd.key, isOwn ? files.key : '');
  if (certificate !== '') settings['etcd-certificate'] = certificate;
  if (key !== '') settings['etcd-key'] = key;
  return settings;
}

interface Applicant extends NewNode {
  readonly publicKey: string;
  /** By the private key. */
  readonly sign: (claim: Uint8Array) => string;
}

interface Outcome {
  readonly address: string;
  readonly admitted: Admitted;
}

function apply(
  { address: { host, port }, authority, certificate, key }: Invitation,
  { node, address, publicKey, sign }: Applicant,
): Promise<Outcome> {
  const guest = commonNameOf(certificate);
  const options = {
    host,
    port,
    path: '/join',
    method: 'POST',
    timeout: TIMEOUT_MS,
    agent: false,
    ca: authority,
    cert: certificate,
    key,
    minVersion: 'TLSv1.3' as const,
    // Any node of that cluster may answer; which one matters as little as by which name it is reached.
    checkServerIdentity: () => undefined,
  };
  const where = `${host} port ${port}`;
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      const ownAddress = address ?? response.socket.localAddress ?? '';
      readAnswer(response, where).then(
        (admitted) => resolve({ address: ownAddress, admitted }),
        reject,
      );
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    sent.on('error', (cause) => {
      const message = `the cluster cannot be reached at ${where} (${reasonOf(cause)}): is its daemon running, and the invitation not expired?`;
      reject(new TroupeError('mesh/unreachable', message, {}, cause));
    });
    sent.on('socket', (socket) =>
      socket.once('secureConnect', () => {
        const claim = { node, publicKey, address: address ?? socket.localAddress ?? '' };
        const application: Application = { ...claim, proof: sign(claimOf(guest, claim)) };
        sent.end(JSON.stringify(application));
      }),
    );
  });
}

function commonNameOf(certificate: string): string {
  return new X509Certificate(certificate).subject.replace(/^CN=/, '');
}

async function readAnswer(
  response: AsyncIterable<Buffer> & { statusCode?: number | undefined },
  where: string,
): Promise<Admitted> {
  let text = '';
  try {
    for await (const chunk of response) {
      text += chunk.toString('utf8');
      if (text.length > MAX_ANSWER_BYTES) throw new Error('too long an answer');
    }
    const answer: unknown = JSON.parse(text);
    if (response.statusCode === 200) return decodeAdmitted(answer);
    if (typeof answer === 'object' && answer !== null && 'message' in answer)
      throw new TroupeError('config/invalid', String(answer.message));
    throw new Error('an odd answer');
  } catch (cause) {
    if (cause instanceof TroupeError) throw cause;
    const reason = `${reasonOf(cause)}, status ${response.statusCode}`;
    const message = `no mesh of a cluster answers at ${where}: ${reason}; try again with the same invitation, or make another`;
    throw new TroupeError('mesh/unreachable', message, {}, cause);
  }
}

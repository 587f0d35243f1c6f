// The embedded etcd: one member, for this data directory.
//
// E1  It listens on 127.0.0.1 alone and talks TLS with the key pair of its data directory in both
//     directions: no other user of the machine gets in. In a cluster it serves the other nodes too, at the
//     mesh's address, and takes certificates of the cluster's authority only.
// E2  Every acknowledged write is on the disk (no unsafe flags).
// E3  Its size is bounded: history older than an hour is compacted, growth stops at QUOTA_BYTES.
import { lookup } from 'node:dns/promises';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../actors/kernel/ports.ts';
import { ensureKeyPair, keyPairIn, type KeyPair } from './etcd-certificate.ts';
import { checkEtcdHealth, type EtcdAccess, type EtcdCredentials } from './etcd-health.ts';
import { choosePorts, rememberedPorts } from './loopback-ports.ts';
import { startService, type Service } from './service.ts';

export interface EmbeddedEtcdOptions {
  readonly dataDirectory: string;
  readonly runDirectory: string;
  readonly logDirectory: string;
  readonly trace: string;
  /** Null: this machine is alone. */
  readonly cluster: EtcdInCluster | null;
  /** How long it may take to serve; recovery of a large store takes seconds. Default 60 s. */
  readonly readyTimeoutMs?: number;
}

/** Where other machines reach it, and what it shows and trusts (paths of PEM files). */
export interface EtcdInCluster extends KeyPair {
  readonly address: string;
  readonly port: number;
  readonly authorityFile: string;
}

export interface EmbeddedEtcd extends Service {
  /** Where it is and how to be let in, as of its last start. */
  access(): Promise<EtcdAccess>;
}

const QUOTA_BYTES = 2 * 1024 ** 3;
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/** Starts or adopts the etcd of the data directory. Errors: those of startService() and exec(). */
export async function startEtcd(options: EmbeddedEtcdOptions, log: Log): Promise<EmbeddedEtcd> {
  const directory = join(options.dataDirectory, 'etcd');
  const portsPath = join(directory, 'ports');
  const keyPair = keyPairIn(join(directory, 'tls'));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  let ports = (await rememberedPorts(portsPath, 2)) ?? [0, 0];
  let isChosen = false;
  const service = await startService(
    {
      ...options,
      name: 'etcd',
      command: () => command(directory, listen(ports, options.cluster), keyPair, options.cluster),
      prepare: async () => {
        await ensureKeyPair(join(directory, 'tls'), options.trace);
        // Once it has served, its clients have the address: a restart waits for its own ports.
        if (!isChosen) ports = await choosePorts(portsPath, ports);
      },
      ready: async (signal) => {
        const { hosts, credentials } = await access(clientSide(keyPair, options.cluster), ports);
        await checkEtcdHealth(hosts[0] ?? '', credentials, signal);
      },
      readyTimeoutMs: options.readyTimeoutMs ?? READY_TIMEOUT_MS,
      stopTimeoutMs: STOP_TIMEOUT_MS,
    },
    log,
  );
  isChosen = true;
  return {
    get pid() {
      return service.pid;
    },
    get isAdopted() {
      return service.isAdopted;
    },
    access: () => access(clientSide(keyPair, options.cluster), ports),
    stop: () => service.stop(),
    release: () => service.release(),
  };
}

interface ClientSide extends KeyPair {
  readonly authorityFile: string;
}

/** Alone, its certificate signs itself. */
function clientSide(keyPair: KeyPair, cluster: EtcdInCluster | null): ClientSide {
  return cluster ?? { ...keyPair, authorityFile: keyPair.certificateFile };
}

async function access(
  side: ClientSide,
  ports: readonly number[],
): Promise<EtcdAccess & { readonly credentials: EtcdCredentials }> {
  const [rootCertificate, certChain, privateKey] = await Promise.all([
    readFile(side.authorityFile),
    readFile(side.certificateFile),
    readFile(side.keyFile),
  ]);
  return {
    hosts: [`https://${await loopbackName()}:${ports[0]}`],
    credentials: { rootCertificate, certChain, privateKey },
  };
}

interface Listening {
  readonly clients: readonly string[];
  readonly peer: string;
}

function listen(ports: readonly number[], cluster: EtcdInCluster | null): Listening {
  const [client, peer] = ports.map((port) => `https://127.0.0.1:${port}`);
  const others = cluster === null ? [] : [`https://${cluster.address}:${cluster.port}`];
  return { clients: [client ?? '', ...others], peer: peer ?? '' };
}

/** The name, as TLS has none for an address (Node warns); the address where nothing resolves it. */
async function loopbackName(): Promise<string> {
  try {
    return (await lookup('localhost', 4)).address === '127.0.0.1' ? 'localhost' : '127.0.0.1';
  } catch {
    return '127.0.0.1';
  }
}

function command(
  directory: string,
  { clients, peer }: Listening,
  keyPair: KeyPair,
  cluster: EtcdInCluster | null,
): readonly string[] {
  return [
    'etcd',
    '--name=troupe',
    `--data-dir=${join(directory, 'data')}`,
    `--listen-client-urls=${clients.join()}`,
    `--advertise-client-urls=${clients.join()}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=troupe=${peer}`,
    ...tlsFlags('', clientSide(keyPair, cluster)),
    ...tlsFlags('peer-', clientSide(keyPair, null)),
    `--quota-backend-bytes=${QUOTA_BYTES}`,
    '--auto-compaction-mode=periodic',
    '--auto-compaction-retention=1h',
    // Transactions of many keys are what the store writes; etcd's own default commits too often.
    '--backend-batch-limit=1000',
    // 100,000 entries, the default, are up to 100,000 past writes held in memory.
    '--snapshot-count=10000',
    // With one member there is nobody to lose an election to; it bounds how small a lease may be.
    '--heartbeat-interval=50',
    '--election-timeout=250',
    '--logger=zap',
    '--log-level=warn',
  ];
}

function tlsFlags(side: '' | 'peer-', files: ClientSide): string[] {
  return [
    `--${side}cert-file=${files.certificateFile}`,
    `--${side}key-file=${files.keyFile}`,
    `--${side}trusted-ca-file=${files.authorityFile}`,
    `--${side}client-cert-auth=true`,
  ];
}

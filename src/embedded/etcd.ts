// The embedded etcd: one member, for this data directory, reachable from this machine only.
//
// E1  It listens on 127.0.0.1 alone and talks TLS with the key pair of its data directory in both
//     directions: no other user of the machine gets in.
// E2  Every acknowledged write is on the disk (no unsafe flags).
// E3  Its size is bounded: history older than an hour is compacted, growth stops at QUOTA_BYTES.
import { mkdir, readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import type { Log } from '../../actors/kernel/ports.ts';
import { ensureKeyPair, keyPairIn, type KeyPair } from './etcd-certificate.ts';
import { choosePorts, rememberedPorts } from './loopback-ports.ts';
import { startService, type Service } from './service.ts';

export interface EmbeddedEtcdOptions {
  readonly dataDirectory: string;
  readonly runDirectory: string;
  readonly logDirectory: string;
  readonly trace: string;
  /** How long it may take to serve; recovery of a large store takes seconds. Default 60 s. */
  readonly readyTimeoutMs?: number;
}

export interface EmbeddedEtcd extends Service {
  /** `https://localhost:PORT`. */
  readonly endpoints: readonly string[];
  readonly keyPair: KeyPair;
}

const QUOTA_BYTES = 2 * 1024 ** 3;
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const HEALTH_TIMEOUT_MS = 2_000;

/** Starts or adopts the etcd of the data directory. Errors: those of startService() and exec(). */
export async function startEtcd(options: EmbeddedEtcdOptions, log: Log): Promise<EmbeddedEtcd> {
  const directory = join(options.dataDirectory, 'etcd');
  const portsPath = join(directory, 'ports');
  const keyPair = keyPairIn(join(directory, 'tls'));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  let ports = (await rememberedPorts(portsPath, 2)) ?? [0, 0];
  const service = await startService(
    {
      ...options,
      name: 'etcd',
      command: () => command(directory, keyPair, ports),
      prepare: async () => {
        await ensureKeyPair(join(directory, 'tls'), options.trace);
        ports = await choosePorts(portsPath, ports);
      },
      ready: (signal) => checkHealth(keyPair, ports[0] ?? 0, signal),
      readyTimeoutMs: options.readyTimeoutMs ?? READY_TIMEOUT_MS,
      stopTimeoutMs: STOP_TIMEOUT_MS,
    },
    log,
  );
  return {
    get pid() {
      return service.pid;
    },
    get isAdopted() {
      return service.isAdopted;
    },
    get endpoints() {
      return [`https://localhost:${ports[0]}`];
    },
    keyPair,
    stop: () => service.stop(),
    release: () => service.release(),
  };
}

function command(directory: string, keyPair: KeyPair, ports: readonly number[]): readonly string[] {
  const { certificateFile, keyFile } = keyPair;
  const [client, peer] = ports.map((port) => `https://127.0.0.1:${port}`);
  return [
    'etcd',
    '--name=troupe',
    `--data-dir=${join(directory, 'data')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=troupe=${peer}`,
    ...['', 'peer-'].flatMap((side) => [
      `--${side}cert-file=${certificateFile}`,
      `--${side}key-file=${keyFile}`,
      `--${side}trusted-ca-file=${certificateFile}`,
      `--${side}client-cert-auth=true`,
    ]),
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

/** A full store still serves reads and deletes: that alarm is the store's user's business. */
async function checkHealth(keyPair: KeyPair, port: number, signal: AbortSignal): Promise<void> {
  const [certificate, key] = await Promise.all([
    readFile(keyPair.certificateFile),
    readFile(keyPair.keyFile),
  ]);
  const body = await new Promise<string>((resolve, reject) => {
    const get = request(
      {
        host: '127.0.0.1',
        port,
        path: '/health?exclude=NOSPACE',
        ca: certificate,
        cert: certificate,
        key,
        agent: false,
        signal: AbortSignal.any([signal, AbortSignal.timeout(HEALTH_TIMEOUT_MS)]),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text));
        response.on('error', reject);
      },
    );
    get.on('error', reject);
    get.end();
  });
  if (!body.includes('"health":"true"')) throw new Error(`its health is ${body.slice(0, 200)}`);
}

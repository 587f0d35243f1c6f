// A private etcd for tests: own ports on loopback, own data directory, gone with its parent.
//
// G1  It dies with the test process, however that ends (parent-death signal), and what a killed test
//     left on the disk is swept by the next one: directories carry the pid of their test.
// G2  kill() and start() keep ports and data, as a machine that lost power and came back.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'troupe-test-etcd-';

export interface TestEtcd {
  /** `http://127.0.0.1:port` of the client side. */
  readonly url: string;
  readonly port: number;
  readonly pid: number | undefined;
  /** SIGKILL, awaited; the data stays. */
  kill(): Promise<void>;
  /** Starts again on the same ports and data; resolves when it serves. */
  start(): Promise<void>;
  /** Forgets the data directory: what start() then brings up is another store, as after a bad restore. */
  wipe(): void;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** Starts an etcd and resolves when it serves. `args` are added to its command line. */
export async function startEtcd(args: readonly string[] = []): Promise<TestEtcd> {
  sweep();
  let lastError: unknown;
  for (let attempt = 0; attempt < 5; attempt++) {
    const etcd = new PrivateEtcd(await freePort(), await freePort(), args);
    try {
      await etcd.start();
      return etcd;
    } catch (error) {
      // Somebody took the port between our look and etcd's.
      lastError = error;
      await etcd.stop();
    }
  }
  throw new Error('no etcd came up', { cause: lastError });
}

class PrivateEtcd implements TestEtcd {
  readonly url: string;
  readonly port: number;
  readonly #peerPort: number;
  readonly #args: readonly string[];
  readonly #directory = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  #child: ChildProcess | undefined;

  constructor(port: number, peerPort: number, args: readonly string[]) {
    this.port = port;
    this.#peerPort = peerPort;
    this.#args = args;
    this.url = `http://127.0.0.1:${port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    // A single member needs no election timeout to speak of; it bounds how small a TTL may be.
    const options = [
      `--data-dir=${join(this.#directory, 'data')}`,
      `--listen-client-urls=${this.url}`,
      `--advertise-client-urls=${this.url}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=test=${peer}`,
      '--name=test',
      '--log-level=warn',
      '--heartbeat-interval=50',
      '--election-timeout=250',
      ...this.#args,
    ];
    const command = ['--pdeathsig', 'KILL', 'etcd', ...options];
    const child = spawn('setpriv', command, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4_000)));
    const exited = once(child, 'exit').then(() => {
      throw new Error(`etcd ended: ${log}`);
    });
    exited.catch(() => undefined);
    await Promise.race([this.#serving(), exited]);
    child.unref();
    // The pipe alone would keep a finished test alive.
    const pipe: unknown = child.stderr;
    if (pipe instanceof Object && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.ref();
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  wipe(): void {
    rmSync(join(this.#directory, 'data'), { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #serving(): Promise<void> {
    const endAt = performance.now() + 20_000;
    for (;;) {
      try {
        const response = await fetch(`${this.url}/health`, { signal: AbortSignal.timeout(1_000) });
        if ((await response.text()).includes('true')) return;
      } catch (error) {
        if (performance.now() > endAt) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** A port of loopback that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address: AddressInfo | string | null = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Removes what tests that were killed left behind. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const pid = Number(name.slice(PREFIX.length).split('-')[0]);
    if (!isAlive(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

// A replica from node to node over loopback: the holder in this thread, as in a daemon, the taker on a thread of its own.
// Against a bare TLS socket between the same two threads, and against that and a hash afterwards. And what an ask of the mesh waits meanwhile.
import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, openSync, writeSync, closeSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { systemClock } from '../../actors/kernel/clock.ts';
import { blobExchange } from '../../src/daemon/blobs.ts';
import { exec } from '../../src/drivers/exec.ts';
import { SharedChunks } from '../../src/drivers/image/coming-replicas.ts';
import { ImageDriver } from '../../src/drivers/image/driver.ts';
import { Frontier } from '../../src/drivers/image/follow-hash.ts';
import type { Peers } from '../../src/drivers/image/peer-copy.ts';
import { Ledger } from '../../src/drivers/ledger.ts';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';
import { meshLab, type MeshCluster } from '../support/mesh-lab.ts';
import type { Report } from './row.ts';

const MIB = 2 ** 20;
const SIZE = 512 * MIB;
const PIECE = Buffer.alloc(128 * 1024, 'x');
const ROUNDS = 3;
const quiet = () => {};

/** Nodes of one cluster with image drivers of their own. */
class Lab {
  readonly dir = mkdtempSync(join(tmpdir(), 'troupe-bench-blobs-'));
  readonly closers: (() => Promise<void> | void)[] = [];
  readonly #cluster: MeshCluster;
  readonly #identityOf: (name: string) => MeshIdentity;

  constructor(cluster: MeshCluster, identityOf: (name: string) => MeshIdentity) {
    this.#cluster = cluster;
    this.#identityOf = identityOf;
  }

  async node(name: string) {
    const dir = join(this.dir, name);
    const ledger = new Ledger(`${dir}.ledger`);
    const images = new ImageDriver({ exec, ledger, log: quiet, dir, limits: { minFreeBytes: 0 } });
    await images.start();
    let peers: Peers | undefined;
    const connect = images.connect.bind(images);
    images.connect = (made) => connect((peers = made));
    const exchange = blobExchange({
      self: { cluster: 'lab', node: name },
      identity: this.#identityOf(name),
      images,
      addressOf: (node) => ({ host: '127.0.0.1', port: this.#cluster.ports.get(node) ?? 0 }),
      clock: systemClock,
      log: quiet,
    });
    const { mesh } = await this.#cluster.start(name, { doors: exchange.doors });
    this.closers.push(async () => {
      exchange.close();
      await images.close();
      ledger.close();
    });
    if (peers === undefined) throw new Error('not connected');
    return { name, images, peers, mesh };
  }

  async close(): Promise<void> {
    for (const closer of this.closers) await closer();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

type Node = Awaited<ReturnType<Lab['node']>>;
const by = (blobId: string) => ({
  owner: { kind: 'blob', id: blobId },
  epoch: 1,
  generation: 1,
  trace: 'bench',
  signal: new AbortController().signal,
});

/** A file that is kept as it comes: an ISO by its head. */
function sample(path: string): void {
  const fd = openSync(path, 'w');
  const piece = Buffer.alloc(MIB);
  for (let index = 0; index < SIZE / MIB; index++) {
    piece.fill(hash('sha512', String(index), 'buffer'));
    if (index === 0) piece.fill(0).write('\u0001CD001\u0001', 16 * 2048, 'latin1');
    writeSync(fd, piece);
  }
  closeSync(fd);
}

async function hold({ images }: Node, path: string) {
  const source = { kind: 'file', path } as const;
  const spec = { blobId: 'blob', source, maxSizeBytes: 2 * SIZE, sha512: null };
  return await images.ensureReplica(spec, by('blob'), quiet);
}

const rateOf = (ms: number) => (SIZE / MIB / ms) * 1_000;

/** MiB/s of a bare TLS socket. */
async function bare(identity: MeshIdentity): Promise<number> {
  return rateOf(await bareMs(identity));
}

/** MiB/s of a bare TLS socket into a file on the disk that is then hashed, one after the other. */
async function bareHashed(identity: MeshIdentity, path: string): Promise<number> {
  const transferMs = await bareMs(identity, path);
  const begun = performance.now();
  execFileSync('sha512sum', [path]);
  const ms = transferMs + performance.now() - begun;
  rmSync(path);
  return rateOf(ms);
}

async function bareMs(
  { ca, certificate: cert, key }: MeshIdentity,
  path?: string,
): Promise<number> {
  const server = createServer(
    { ca, cert, key, requestCert: true, minVersion: 'TLSv1.3' },
    (socket) => {
      socket.on('error', quiet);
      let sent = 0;
      const send = () => {
        while (sent < SIZE) {
          sent += PIECE.length;
          if (!socket.write(PIECE)) return void socket.once('drain', send);
        }
        socket.end();
      };
      send();
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const workerData = { port, identity: { ca, certificate: cert, key }, path };
  const entry = new URL('../support/bare-tls.child.ts', import.meta.url);
  const worker = new Worker(entry, { workerData });
  const [{ ms }] = (await once(worker, 'message')) as [{ ms: number }];
  await worker.terminate();
  server.close();
  return ms;
}

/** MiB/s into a file, each chunk verified; the thread's start is no part of the figure. */
async function chunksOnly(lab: Lab, taker: Node, nodes: string[], sha512: string): Promise<number> {
  const path = join(lab.dir, `chunks-${Math.random()}`);
  await (await open(path, 'w')).close();
  let begun = 0;
  const onProgress = () => (begun ||= performance.now());
  const shell = { signal: new AbortController().signal, onProgress, meet: quiet };
  const shared = SharedChunks.make(SIZE);
  const request = { blobId: 'blob', nodes, peers: [], sizeBytes: SIZE, sha512, path, shared };
  await taker.peers.fetch({ ...request, frontier: Frontier.make() }, shell);
  const ms = performance.now() - begun;
  if (statSync(path).size !== SIZE) throw new Error('not all has come');
  rmSync(path);
  return rateOf(ms);
}

/** MiB/s from the wish to the replica: copied, hashed as a whole, on the disk. */
async function whole(taker: Node, content: Awaited<ReturnType<typeof hold>>): Promise<number> {
  const source = { kind: 'peers', nodes: ['a'], content } as const;
  const spec = { blobId: 'blob', source, maxSizeBytes: 2 * SIZE, sha512: content.sha512 };
  const begun = performance.now();
  await taker.images.ensureReplica(spec, by('blob'), quiet);
  const ms = performance.now() - begun;
  await taker.images.removeReplica('blob', by('blob'));
  return rateOf(ms);
}

/** 99th of 100 asks, microseconds, one at a time, while `during` goes on. */
async function slowestAsk(from: Node, to: string, during: Promise<unknown>): Promise<number> {
  const times: number[] = [];
  let isOver = false;
  void during.finally(() => (isOver = true)).catch(quiet);
  while (!isOver || times.length < 500) {
    const begun = performance.now();
    await from.mesh.ask(to, { kind: 'node', id: to }, 'x', { trace: 'bench', timeoutMs: 10_000 });
    times.push(performance.now() - begun);
  }
  return (times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0) * 1_000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The median of ROUNDS of both, one after the other. */
async function compare(ours: () => Promise<number>, floor: () => Promise<number>) {
  const figures: { ours: number; floor: number }[] = [];
  for (let round = 0; round < ROUNDS; round++)
    figures.push({ floor: await floor(), ours: await ours() });
  return {
    ours: median(figures.map((one) => one.ours)),
    floor: median(figures.map((one) => one.floor)),
  };
}

export async function bench(report: Report): Promise<void> {
  const meshes = meshLab();
  await meshes.inCluster(async (cluster) => {
    const lab = new Lab(cluster, meshes.identityOf);
    try {
      await measure(lab, meshes.identityOf('a'), report);
    } finally {
      await lab.close();
    }
  });
  meshes.close();
}

async function measure(lab: Lab, identity: MeshIdentity, report: Report): Promise<void> {
  const [a, b, c] = [await lab.node('a'), await lab.node('b'), await lab.node('c')];
  const path = join(lab.dir, 'sample.iso');
  sample(path);
  const content = await hold(a, path);
  await hold(c, path);
  const floor = () => bare(identity);
  const { sha512 } = content;
  const one = await compare(() => chunksOnly(lab, b, ['a'], sha512), floor);
  report({ name: 'chunks verified, one holder / bare TLS', ...one, unit: 'MiB/s' });
  const two = await compare(() => chunksOnly(lab, b, ['a', 'c'], sha512), floor);
  report({ name: 'chunks verified, two holders / bare TLS', ...two, unit: 'MiB/s' });
  const all = await compare(() => whole(b, content), floor);
  report({ name: 'replica copied and verified whole / bare TLS', ...all, unit: 'MiB/s' });
  const hashed = () => bareHashed(identity, join(lab.dir, 'floor'));
  const sum = await compare(() => whole(b, content), hashed);
  report({ name: 'the same / bare TLS to the disk, then sha512sum', ...sum, unit: 'MiB/s' });
  const alone = await slowestAsk(c, 'a', Promise.resolve());
  const beside = await slowestAsk(c, 'a', chunksOnly(lab, b, ['a'], sha512));
  report({ name: 'ask p99 while serving / while idle', ours: beside, floor: alone, unit: 'µs' });
  const rssMiB = process.memoryUsage().rss / MIB;
  report({
    name: 'memory of the process that serves and takes',
    ours: rssMiB,
    floor: 0,
    unit: 'MiB',
  });
}

// From the request for a disk to its first MiB in QEMU's hands, on a node without the image: read through to another node,
// against waiting for the copy. Over loopback, so the copy is as quick as it can be.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, writeSync, closeSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../actors/kernel/clock.ts';
import type { ReplicaReport, ReplicaSource } from '../../actors/blob/ports.ts';
import { blobExchange } from '../../src/daemon/blobs.ts';
import { exec } from '../../src/drivers/exec.ts';
import { ImageDriver } from '../../src/drivers/image/driver.ts';
import { Ledger } from '../../src/drivers/ledger.ts';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';
import { MeshCluster } from '../support/mesh-lab.ts';
import { nodeAuthority } from '../support/node-certificates.ts';
import type { Report } from './row.ts';

const MIB = 2 ** 20;
const SIZE = 1024 * MIB;
const ROUNDS = 3;
const BLOB = 'blob';
const quiet = () => {};

const by = (kind: string, id: string) => ({
  owner: { kind, id },
  epoch: 1,
  generation: 1,
  trace: 'bench',
  signal: new AbortController().signal,
});

class Lab {
  readonly dir = mkdtempSync(join(tmpdir(), 'troupe-bench-lazy-'));
  readonly #identities = new Map<string, MeshIdentity>();
  readonly #cluster = new MeshCluster((name) => this.#identityOf(name));
  readonly #closers: (() => Promise<void>)[] = [];

  async node(name: string, identity: MeshIdentity) {
    this.#identities.set(name, identity);
    const dir = join(this.dir, name);
    const ledger = new Ledger(`${dir}.ledger`);
    const images = new ImageDriver({ exec, ledger, log: quiet, dir, limits: { minFreeBytes: 0 } });
    await images.start();
    const exchange = blobExchange({
      self: { cluster: 'lab', node: name },
      identity,
      images,
      addressOf: (node) => ({ host: '127.0.0.1', port: this.#cluster.ports.get(node) ?? 0 }),
      clock: systemClock,
      log: quiet,
    });
    await this.#cluster.start(name, { doors: exchange.doors });
    this.#closers.push(async () => {
      exchange.close();
      await images.endReads();
      await images.close();
      ledger.close();
    });
    return images;
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close();
    await this.#cluster.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  #identityOf(name: string): MeshIdentity {
    const identity = this.#identities.get(name);
    if (identity === undefined) throw new Error(`no certificate for ${name}`);
    return identity;
  }
}

/** A qcow2 whose bytes are all different. */
function sample(dir: string): string {
  const [raw, path] = [join(dir, 'sample.raw'), join(dir, 'sample.qcow2')];
  const fd = openSync(raw, 'w');
  for (let done = 0; done < SIZE; done += 16 * MIB) writeSync(fd, randomBytes(16 * MIB));
  closeSync(fd);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path]);
  rmSync(raw);
  return path;
}

function ensure(images: ImageDriver, source: ReplicaSource, sha512: string | null = null) {
  const spec = { blobId: BLOB, source, maxSizeBytes: 2 * SIZE, sha512 };
  return images.ensureReplica(spec, by('blob', BLOB), quiet);
}

async function firstRead(images: ImageDriver): Promise<void> {
  const spec = { instanceId: 'guest', device: 'vda', baseBlobId: BLOB, sizeGiB: null };
  const { path } = await images.ensureDisk(spec, by('instance', 'guest'));
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read 0 1M', path], { stdio: 'ignore' });
}

async function took(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

const medianOf = (all: readonly number[]) =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;

export async function bench(report: Report): Promise<void> {
  const alive = setInterval(() => undefined, 1_000);
  const lab = new Lab();
  try {
    const certified = await nodeAuthority(lab.dir);
    const identity = await certified('holder');
    const holder = await lab.node('holder', identity);
    const content: ReplicaReport = await ensure(holder, { kind: 'file', path: sample(lab.dir) });
    const open = (_node: string, blobId: string, trace: string) =>
      holder.exports.serve(blobId, trace);
    const of = () => Promise.resolve({ content, nodes: ['holder'] });
    const place = { host: '127.0.0.1', firstPort: 24_900, lastPort: 24_909 };
    holder.connectReads({ of, open }, { ...place, identity });
    const [lazily, copied]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      const own = await certified(`lazy-${round}`);
      const lazy = await lab.node(`lazy-${round}`, own);
      lazy.connectReads({ of, open }, { ...place, identity: own });
      lazily.push(await took(() => firstRead(lazy)));
      const other = await lab.node(`copy-${round}`, await certified(`copy-${round}`));
      const source = { kind: 'peers', nodes: ['holder'], content } as const;
      copied.push(
        await took(async () => {
          await ensure(other, source, content.sha512);
          await firstRead(other);
        }),
      );
    }
    report({
      name: 'first MiB of a disk on a 1 GiB image, read through / copied',
      ours: medianOf(lazily),
      floor: medianOf(copied),
      unit: 'ms',
    });
  } finally {
    await lab.close();
    clearInterval(alive);
  }
}

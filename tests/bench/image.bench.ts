// How fast an image comes in, against the least that keeping it can cost: one copy and one SHA-512.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  createReadStream,
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobSource } from '../../actors/blob/ports.ts';
import { exec } from '../../src/drivers/exec.ts';
import { ImageDriver } from '../../src/drivers/image/driver.ts';
import { Ledger } from '../../src/drivers/ledger.ts';
import type { Report } from './row.ts';

const MIB = 2 ** 20;
const SIZE_MIB = 512;

/** Every second MiB of the image is random, the others are holes. Reports MiB/s of the image's size. */
export async function bench(report: Report): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-image-bench-'));
  const ledger = new Ledger(join(dir, 'ledger'));
  try {
    const driver = new ImageDriver({
      exec,
      ledger,
      log: () => undefined,
      dir: join(dir, 'driver'),
      fetchPolicy: { refuse: [], allow: [] },
    });
    await driver.start();
    const { raw, qcow2 } = makeImages(dir);
    const floor = await speed(() => copyAndHash(qcow2, join(dir, 'copy')));
    const kept = await ingest(driver, { kind: 'file', path: qcow2 });
    const row = { floor, unit: 'MiB/s' };
    report({ name: 'image: qcow2 file, kept as it is', ours: kept, ...row });
    report({ name: 'image: qcow2 over http', ours: await overHttp(driver, qcow2), ...row });
    const converted = await ingest(driver, { kind: 'file', path: raw });
    report({ name: 'image: raw file, converted', ours: converted, ...row });
    await driver.close();
  } finally {
    ledger.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function makeImages(dir: string): { raw: string; qcow2: string } {
  const [raw, qcow2] = [join(dir, 'disk.raw'), join(dir, 'disk.qcow2')];
  const file = openSync(raw, 'w');
  for (let at = 0; at < SIZE_MIB; at += 2) writeSync(file, randomBytes(MIB), 0, MIB, at * MIB);
  closeSync(file);
  execFileSync('truncate', ['-s', `${SIZE_MIB}M`, raw]);
  const options = ['-S', '0', '-o', 'compat=1.1'];
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...options, raw, qcow2]);
  return { raw, qcow2 };
}

async function copyAndHash(from: string, to: string): Promise<void> {
  const options = { trace: 'bench', timeoutMs: 120_000 };
  await exec('cp', [from, to], options);
  await exec('sha512sum', [to], options);
}

async function ingest(driver: ImageDriver, source: BlobSource): Promise<number> {
  const by = {
    owner: { kind: 'blob', id: 'bench' },
    epoch: 1,
    generation: 1,
    trace: 'bench',
    signal: new AbortController().signal,
  };
  const spec = { blobId: 'bench', source, maxSizeBytes: 2 ** 40, sha512: null };
  const ours = await speed(() => driver.ensureReplica(spec, by, () => undefined));
  await driver.removeReplica('bench', by);
  return ours;
}

async function overHttp(driver: ImageDriver, path: string): Promise<number> {
  const server = createServer((_request, response) => {
    response.setHeader('Content-Length', statSync(path).size);
    createReadStream(path, { highWaterMark: MIB }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const ours = await ingest(driver, { kind: 'url', url: `http://127.0.0.1:${port}/disk.qcow2` });
  await new Promise((resolve) => server.close(resolve));
  return ours;
}

async function speed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return Math.round(SIZE_MIB / ((performance.now() - startedAt) / 1000));
}

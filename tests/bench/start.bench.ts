// From the request for an instance to its running QEMU, on a node that has no copy of the image: read through to the node
// that has, against waiting for the whole copy; and that against a node that has it. A lab of two machines on one switch.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { addNode, makeLab, removeLab } from '../../deploy/lab/lab.ts';
import { apiUrlOf, enlist, loginOf, startDaemon } from '../../deploy/lab/node-daemon.ts';
import { Client } from '../../src/client/client.ts';
import { CACHE, untilView } from '../support/daemon.ts';
import type { Report } from './row.ts';

const MIB = 2 ** 20;
const SIZE = 1024 * MIB;
const ROUNDS = 3;
const NAMES = ['n1', 'n2'];
const WAIT_MS = 120_000;

/** ms, of each round. */
interface Times {
  readonly without: number[];
  readonly having: number[];
}

export async function bench(report: Report): Promise<void> {
  const lazily = await inLab('1K', '10.215.1', measure);
  const copied = await inLab('never', '10.215.2', measure);
  const unit = 'ms';
  const [ours, floor] = [median(lazily.without), median(copied.without)];
  report({ name: 'QEMU on 1 GiB that is elsewhere: lazily / full copy', ours, floor, unit });
  const here = median([...lazily.having, ...copied.having]);
  report({ name: 'the same: full copy / image is here', ours: floor, floor: here, unit });
  report({ name: 'the same: lazily / image is here', ours, floor: here, unit });
}

async function inLab<T>(
  lazyFrom: string,
  subnet: string,
  work: (client: Client, directory: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-bench-start-'));
  const settings = { 'image-copies': 1, 'image-lazy-from': lazyFrom };
  const lab = await makeLab({ directory, subnet, isAttached: true, settings, cacheDir: CACHE });
  try {
    for (const name of NAMES) {
      const node = await addNode(lab, name);
      await enlist(lab, node);
      await startDaemon(node);
    }
    const [first] = lab.nodes;
    if (first === undefined) throw new Error('a lab without nodes');
    const client = new Client({ apiUrl: apiUrlOf(first), ...loginOf(first) });
    return await work(client, directory);
  } finally {
    await removeLab(lab, 'remove');
  }
}

async function measure(client: Client, directory: string): Promise<Times> {
  const times: Times = { without: [], having: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const { blobId, holder } = await image(client, join(directory, `image-${round}.qcow2`));
    times.having.push(await start(client, blobId, holder));
    const other = NAMES.find((name) => name !== holder) ?? '';
    times.without.push(await start(client, blobId, other));
  }
  return times;
}

/** A new one, on one of the nodes. */
async function image(client: Client, path: string): Promise<{ blobId: string; holder: string }> {
  sample(path);
  const { uuid } = await client.view('POST', '/artifacts', { url: `file://${path}` });
  const isMade = ({ state }: { readonly state?: unknown }) => state === 'created';
  const made = await untilView(client, `/artifacts/${String(uuid)}`, isMade, WAIT_MS);
  rmSync(path);
  const blobId = String(made['blob_uuid']);
  const { locations } = await client.view('GET', `/blobs/${blobId}`);
  const [holder = ''] = locations as string[];
  return { blobId, holder };
}

/** A qcow2 whose bytes are all different. */
function sample(path: string): void {
  const raw = `${path}.raw`;
  const fd = openSync(raw, 'w');
  for (let done = 0; done < SIZE; done += 16 * MIB) writeSync(fd, randomBytes(16 * MIB));
  closeSync(fd);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path]);
  rmSync(raw);
}

async function start(client: Client, blobId: string, node: string): Promise<number> {
  const startedAt = performance.now();
  const wish = {
    name: 'bench',
    cpus: 1,
    memory: 64,
    disk: [{ base: `sf://blob/${blobId}` }],
    network: [],
    side_channels: [],
    placed_on: node,
  };
  const { uuid } = await client.view('POST', '/instances', wish);
  const path = `/instances/${String(uuid)}`;
  while ((await client.view('GET', path))['power_state'] !== 'on') await delay(5);
  const tookMs = performance.now() - startedAt;
  await client.call('DELETE', path);
  await untilView(client, path, (view) => view['state'] === 'deleted', WAIT_MS);
  return tookMs;
}

function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0;
}

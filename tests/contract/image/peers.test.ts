// Replicas copied from other nodes: real image drivers, real files and threads, real sockets, all in this process.
import { rejects } from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import { chmodSync, closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import type { ReplicaReport } from '../../../actors/blob/ports.ts';
import type { ImageDriverOptions } from '../../../src/drivers/image/driver.ts';
import { blobExchange, type BlobExchange } from '../../../src/daemon/blobs.ts';
import { keptLog, until } from '../../support/kernel.ts';
import { failure, meshLab, type MeshCluster } from '../../support/mesh-lab.ts';
import { makeRig, scratch, tree, wantedBy, type Rig } from './rig.ts';
import { MIB } from './samples.ts';

const test = suite('replicas from peers');
const dir = scratch();
const lab = meshLab();
const { inCluster } = lab;
const TIMING = { greetingMs: 2_000, stallMs: 2_000, retryDelayMs: 20 };
const SIZE = 24 * MIB;

interface Node {
  readonly name: string;
  readonly rig: Rig;
  readonly exchange: BlobExchange;
  /** Of parts served to others. */
  readonly sentBytes: () => number;
}

function exchangeOf(cluster: MeshCluster, name: string, rig: Rig, copyRate = 0) {
  const { log, lines } = keptLog();
  const exchange = blobExchange({
    self: { cluster: 'lab', node: name },
    identity: lab.identityOf(name),
    images: rig.driver,
    addressOf: (node) => {
      const port = cluster.ports.get(node);
      return port === undefined ? undefined : { host: '127.0.0.1', port };
    },
    clock: systemClock,
    log,
    timing: TIMING,
    copyRate,
  });
  return { exchange, lines };
}

let count = 0;
async function start(
  cluster: MeshCluster,
  name: string,
  change: Partial<ImageDriverOptions> = {},
  copyRate = 0,
): Promise<Node> {
  const rig = await makeRig(join(dir, `${name}-${++count}`), change);
  const { exchange, lines } = exchangeOf(cluster, name, rig, copyRate);
  await cluster.start(name, { doors: exchange.doors });
  const sentBytes = () =>
    lines.reduce((sum, { fields }) => sum + Number(fields?.['bytes'] ?? 0), 0);
  return { name, rig, exchange, sentBytes };
}

/** An image that is kept as it is (ISO): its bytes are what is copied. */
const ISO = join(dir, 'sample.iso');
const bytes = randomBytes(SIZE);
bytes.write('\u0001CD001\u0001', 16 * 2048, 'latin1');
bytes.fill(0, 0, 32 * 1024);
writeFileSync(ISO, bytes);

async function hold({ rig }: Node): Promise<ReplicaReport> {
  return await rig.ensure('blob-1', ISO);
}

function copy(
  { rig }: Node,
  nodes: readonly string[],
  content: ReplicaReport,
  signal?: AbortSignal,
  peers: readonly string[] = [],
): Promise<ReplicaReport> {
  const source = { kind: 'peers', nodes, peers, content } as const;
  const by = wantedBy('blob/blob-1', signal === undefined ? {} : { signal });
  return rig.ensure('blob-1', '/unused', { source, sha512: content.sha512 }, by);
}

const imageOf = ({ rig }: Node) => join(rig.dir, 'blobs/blob-1/image.iso');

/** The holder's file rots: one byte. */
function rot(node: Node, at: number): void {
  chmodSync(imageOf(node), 0o644);
  const fd = openSync(imageOf(node), 'r+');
  writeSync(fd, Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at);
  closeSync(fd);
}

async function closeAll(...nodes: Node[]): Promise<void> {
  for (const { rig, exchange } of nodes) {
    exchange.close();
    await rig.close();
  }
}

test('copies are as slow as they are told, on either side; one that somebody waits for is not', () =>
  inCluster(async (cluster) => {
    const holder = await start(cluster, 'a', {}, 12 * MIB);
    const [b, c] = [await start(cluster, 'b'), await start(cluster, 'c')];
    const content = await hold(holder);
    const tookMs = async (node: Node, nodes: string[], isUrgent: boolean) => {
      const beganAt = performance.now();
      const source = { kind: 'peers', nodes, content, isUrgent } as const;
      await node.rig.ensure('blob-1', '/unused', { source, sha512: content.sha512 });
      return performance.now() - beganAt;
    };
    const urgentMs = await tookMs(b, ['a'], true);
    // Its bytes have to be made room for first: 24 MiB, and the copy's own 24 MiB, at 12 MiB/s.
    const limitedMs = await tookMs(c, ['a'], false);
    assert.ok(limitedMs > 1_700, `${limitedMs} ms`);
    assert.ok(urgentMs < limitedMs, `${urgentMs} ms, ${limitedMs} ms`);
    const slow = await start(cluster, 'd', {}, 12 * MIB);
    const takenMs = await tookMs(slow, ['b'], false);
    assert.ok(takenMs > 1_500, `${takenMs} ms`);
    await closeAll(holder, b, c, slow);
  }));

test('a copy is the same replica: bytes, report, digests; in the ledger, and nothing half made is left', () =>
  inCluster(async (cluster) => {
    const [a, b] = [await start(cluster, 'a'), await start(cluster, 'b')];
    const content = await hold(a);
    assert.equal(await copy(b, ['a'], content), content);
    assert.ok(readFileSync(imageOf(b)).equals(bytes));
    const list = readFileSync(join(b.rig.dir, 'blobs/blob-1/chunks.sha256'));
    assert.is(content.chunksSha256, hash('sha256', list));
    assert.equal(
      tree(join(b.rig.dir, 'blobs')).filter((path) => path.startsWith('blob-1/')),
      ['blob-1/chunks.sha256', 'blob-1/image.iso', 'blob-1/replica.json'],
    );
    assert.equal(readdirSync(join(b.rig.dir, 'blobs/.partial')), []);
    assert.is(b.rig.ledger.list({ resource: 'replica' }).length, 1);
    assert.equal(await b.rig.driver.verify('blob-1', new AbortController().signal), {
      isGood: true,
    });
    // And it can be passed on.
    const c = await start(cluster, 'c');
    assert.equal(await copy(c, ['b'], content), content);
    await closeAll(a, b, c);
  }));

test('asked again, it answers at once without asking anybody', () =>
  inCluster(async (cluster) => {
    const [a, b] = [await start(cluster, 'a'), await start(cluster, 'b')];
    const content = await hold(a);
    await copy(b, ['a'], content);
    assert.equal(await copy(b, ['nobody'], content), content);
    await closeAll(a, b);
  }));

test('a copy that is called off goes on with what was verified, also after a restart of the daemon', () =>
  inCluster(async (cluster) => {
    const [a, b] = [await start(cluster, 'a'), await start(cluster, 'b')];
    const content = await hold(a);
    const abort = new AbortController();
    const copying = copy(b, ['a'], content, abort.signal);
    const part = join(b.rig.dir, 'blobs/.partial/blob-1');
    await until(() => b.rig.progress.length > 0, 'some of it has come');
    abort.abort();
    await rejects(copying, failure('actor/stopped'));
    await until(() => a.sentBytes() > 0, 'the link has ended');
    const before = a.sentBytes();
    assert.ok(existsSync(join(part, 'copy.chunks')));
    const verified = readFileSync(join(part, 'copy.chunks')).subarray(64);
    const here = Array.from({ length: 24 }, (_, index) =>
      verified.subarray(32 * index, 32 * index + 32).some((byte) => byte !== 0),
    ).filter(Boolean).length;
    assert.ok(here > 0);
    b.exchange.close();
    await b.rig.driver.close();
    const again = { ...b, rig: await b.rig.restart() };
    exchangeOf(cluster, 'b', again.rig);
    await copy(again, ['a'], content);
    assert.ok(readFileSync(imageOf(again)).equals(bytes));
    await until(() => a.sentBytes() > before, 'the second link has ended');
    assert.is(a.sentBytes() - before, SIZE - here * MIB);
    await closeAll(a, again);
  }));

test('a byte that rotted on one holder is noticed, and another brings the chunk', () =>
  inCluster(async (cluster) => {
    const nodes = [await start(cluster, 'a'), await start(cluster, 'b'), await start(cluster, 'c')];
    const [a, b, c] = nodes as [Node, Node, Node];
    const content = await hold(a);
    await copy(b, ['a'], content);
    for (let chunk = 0; chunk < 24; chunk++) rot(a, chunk * MIB + 5);
    await copy(c, ['a', 'b'], content);
    assert.ok(readFileSync(imageOf(c)).equals(bytes));
    assert.match(c.rig.logged.join('\n'), /a: chunk \d+ is damaged/);
    await closeAll(...nodes);
  }));

test('a copy that is wrong as a whole does not count, and leaves nothing', () =>
  inCluster(async (cluster) => {
    const [a, b] = [await start(cluster, 'a'), await start(cluster, 'b')];
    const content = await hold(a);
    rot(a, 7 * MIB + 1);
    // Digests that fit the rotten bytes, as a liar would make them.
    const rotten = readFileSync(imageOf(a));
    const digests = Array.from({ length: 24 }, (_, index) =>
      hash('sha256', rotten.subarray(index * MIB, (index + 1) * MIB), 'buffer'),
    );
    const path = join(a.rig.dir, 'blobs/blob-1/chunks.sha256');
    rmSync(path);
    writeFileSync(path, Buffer.concat(digests));
    await rejects(copy(b, ['a'], content), failure('image/damaged', /one of them was damaged/));
    assert.equal(tree(join(b.rig.dir, 'blobs')), ['.partial']);
    assert.equal(b.rig.ledger.list({ resource: 'replica' }), []);
    await closeAll(a, b);
  }));

test('a replica of before there were digests is hashed when somebody asks, and then served', () =>
  inCluster(async (cluster) => {
    const [a, b] = [await start(cluster, 'a'), await start(cluster, 'b')];
    const content = await hold(a);
    rmSync(join(a.rig.dir, 'blobs/blob-1/chunks.sha256'));
    await rejects(a.rig.driver.open('blob-1'), failure('image/unreachable', /come again/));
    const isThere = () => existsSync(join(a.rig.dir, 'blobs/blob-1/chunks.sha256'));
    await until(isThere, 'hashed', 20_000);
    await copy(b, ['a'], content);
    await closeAll(a, b);
  }));

test('no text is taken for a path, and only what is complete is served', () =>
  inCluster(async (cluster) => {
    const a = await start(cluster, 'a');
    await hold(a);
    for (const id of [
      '',
      '.',
      '..',
      '../blobs/blob-1',
      '.partial',
      'blob-1/image.iso',
      'x'.repeat(999),
    ])
      await rejects(a.rig.driver.open(id), failure('image/missing'));
    await closeAll(a);
  }));

test('too little room is said before anything is fetched', () =>
  inCluster(async (cluster) => {
    const a = await start(cluster, 'a');
    const b = await start(cluster, 'b', { limits: { minFreeBytes: 2 ** 60 } });
    const content = await hold(a);
    await rejects(copy(b, ['a'], content), failure('host/disk-full'));
    assert.equal(tree(join(b.rig.dir, 'blobs')), ['.partial']);
    assert.is(a.sentBytes(), 0);
    await closeAll(a, b);
  }));

test('a removal calls a copy off and leaves nothing of it', () =>
  inCluster(async (cluster) => {
    const [a, b] = [await start(cluster, 'a'), await start(cluster, 'b')];
    const content = await hold(a);
    const copying = copy(b, ['a'], content);
    const ended = copying.then(
      () => 'done',
      () => 'failed',
    );
    await until(() => b.rig.progress.length > 0, 'some of it has come');
    await b.rig.driver.removeReplica('blob-1', wantedBy('blob/blob-1', { generation: 2 }));
    await ended;
    assert.equal(tree(join(b.rig.dir, 'blobs')), ['.partial']);
    assert.equal(b.rig.ledger.list({ resource: 'replica' }), []);
    await closeAll(a, b);
  }));

test('a daemon without a mesh says so', () =>
  inCluster(async (cluster) => {
    const a = await start(cluster, 'a');
    const content = await hold(a);
    const lone = await makeRig(join(dir, 'lone'));
    const node = { ...a, rig: lone };
    await rejects(copy(node, ['a'], content), failure('image/unreachable', /no mesh/));
    await lone.close();
    await closeAll(a);
  }));

test('four that copy at once bring chunks to each other', () =>
  inCluster(async (cluster) => {
    const a = await start(cluster, 'a');
    const content = await hold(a);
    const names = ['b', 'c', 'd', 'e'];
    const takers: Node[] = [];
    for (const name of names) takers.push(await start(cluster, name));
    const all = takers.map((node) => {
      const others = names.filter((name) => name !== node.name);
      return copy(node, ['a'], content, undefined, others);
    });
    for (const report of await Promise.all(all)) assert.equal(report, content);
    for (const node of takers) assert.ok(readFileSync(imageOf(node)).equals(bytes), node.name);
    const total = () => [a, ...takers].reduce((sum, node) => sum + node.sentBytes(), 0);
    await until(() => total() >= 4 * SIZE, 'all transfers have been logged');
    const copies = a.sentBytes() / SIZE;
    assert.ok(copies >= 1 && copies < 1.5, `the source sent ${copies} copies`);
    console.log(`  4 nodes on sockets: ${copies.toFixed(2)} copies from the source`);
    await closeAll(a, ...takers);
  }));

/** Each knows only of those before it. */
async function oneAfterTheOther(cluster: MeshCluster, content: ReplicaReport): Promise<Node[]> {
  const names = ['b', 'c', 'd'];
  const takers: Node[] = [];
  const copying: Promise<ReplicaReport>[] = [];
  for (const name of names) {
    const node = await start(cluster, name);
    const before = takers.map((taker) => taker.name);
    takers.push(node);
    copying.push(copy(node, ['a'], content, undefined, before));
    const begun = join(node.rig.dir, 'blobs/.partial/blob-1/copy');
    await until(() => existsSync(begun), `${name} has begun`);
  }
  for (const report of await Promise.all(copying)) assert.equal(report, content);
  return takers;
}

test('the first of those that begin one after the other takes from the later ones', () =>
  inCluster(async (cluster) => {
    // Slow enough for all to begin before the first has it.
    const a = await start(cluster, 'a', {}, 8 * MIB);
    const content = await hold(a);
    const takers = await oneAfterTheOther(cluster, content);
    for (const node of takers) assert.ok(readFileSync(imageOf(node)).equals(bytes), node.name);
    const total = () => [a, ...takers].reduce((sum, node) => sum + node.sentBytes(), 0);
    await until(() => total() >= 3 * SIZE, 'all transfers have been logged');
    const last = takers.at(-1)?.sentBytes() ?? 0;
    assert.ok(last > 0, 'the last one has given something, to those who were never told of it');
    const copies = a.sentBytes() / SIZE;
    console.log(`  3 nodes, one after the other: ${copies.toFixed(2)} copies from the source`);
    assert.ok(copies < 1.5, `the source sent ${copies} copies`);
    await closeAll(a, ...takers);
  }));

test('one that reaches no holder gets all of it, and the list, from one that copies', () =>
  inCluster(async (cluster) => {
    const a = await start(cluster, 'a', {}, 8 * MIB);
    const content = await hold(a);
    const [b, c] = [await start(cluster, 'b'), await start(cluster, 'c')];
    const first = copy(b, ['a'], content, undefined, ['c']);
    // It never reaches the holder: chunks and list come from the one that copies.
    const second = copy(c, [], content, undefined, ['b']);
    assert.equal(await first, content);
    assert.equal(await second, content);
    assert.ok(readFileSync(imageOf(c)).equals(bytes));
    await closeAll(a, b, c);
  }));

test.after(() => lab.close());
test.run();

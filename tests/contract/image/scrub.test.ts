// Replicas that have rotted on a real disk: found, marked, and made good from another node under who uses them.
import { rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
  rmSync,
  truncateSync,
  utimesSync,
} from 'node:fs';
import { closeSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import type { ReplicaReport } from '../../../actors/blob/ports.ts';
import { blobExchange } from '../../../src/daemon/blobs.ts';
import { keptLog } from '../../support/kernel.ts';
import { meshLab, type MeshCluster } from '../../support/mesh-lab.ts';
import { waitUntil } from '../../support/wait.ts';
import { makeRig, scratch, tree, wantedBy, type Rig } from './rig.ts';
import { MIB } from './samples.ts';

const test = suite('replicas that rot');
const dir = scratch();
const lab = meshLab();
const { inCluster } = lab;
test.after(() => lab.close());
const SIZE = 8 * MIB;
const { signal } = new AbortController();

const ISO = join(dir, 'sample.iso');
const bytes = randomBytes(SIZE);
bytes.write('\u0001CD001\u0001', 16 * 2048, 'latin1');
bytes.fill(0, 0, 32 * 1024);
writeFileSync(ISO, bytes);

interface Node {
  readonly rig: Rig;
  close(): Promise<void>;
}

async function start(cluster: MeshCluster, name: string): Promise<Node> {
  const rig = await makeRig(join(dir, `${name}-${Math.random()}`), {});
  const exchange = blobExchange({
    self: { cluster: 'lab', node: name },
    identity: lab.identityOf(name),
    images: rig.driver,
    addressOf: (node) => {
      const port = cluster.ports.get(node);
      return port === undefined ? undefined : { host: '127.0.0.1', port };
    },
    clock: systemClock,
    log: keptLog().log,
  });
  await cluster.start(name, { doors: exchange.doors });
  return {
    rig,
    close: async () => {
      exchange.close();
      await rig.close();
    },
  };
}

const imageOf = ({ rig }: Node) => join(rig.dir, 'blobs/b/image.iso');
const filesOf = ({ rig }: Node) =>
  tree(join(rig.dir, 'blobs')).filter((path) => path.startsWith('b/'));
const WHOLE = ['b/chunks.sha256', 'b/image.iso', 'b/replica.json'];

function rot(node: Node): void {
  chmodSync(imageOf(node), 0o644);
  const fd = openSync(imageOf(node), 'r+');
  writeSync(fd, Buffer.from([(bytes[MIB] ?? 0) ^ 1]), 0, 1, MIB);
  closeSync(fd);
}

function copy({ rig }: Node, nodes: readonly string[], content: ReplicaReport) {
  const source = { kind: 'peers', nodes, content } as const;
  return rig.ensure('b', '/unused', { source, sha512: content.sha512 });
}

/** Two nodes that hold it. */
async function two(
  cluster: MeshCluster,
): Promise<{ a: Node; b: Node; content: ReplicaReport; close: () => Promise<void> }> {
  const [a, b] = [await start(cluster, 'a'), await start(cluster, 'b')];
  const content = await a.rig.ensure('b', ISO);
  await copy(b, ['a'], content);
  return { a, b, content, close: async () => void (await Promise.all([a.close(), b.close()])) };
}

test('a rotted replica is marked, not served, and made good; who has it open reads on', () =>
  inCluster(async (cluster) => {
    const { a, b, content, close } = await two(cluster);
    rot(a);
    const verdict = await a.rig.driver.verify('b', signal);
    assert.is(verdict.isGood ? '' : verdict.problem, 'checksum');
    assert.equal(filesOf(a), [...WHOLE.slice(0, 1), 'b/damaged', ...WHOLE.slice(1)]);
    await rejects(a.rig.driver.open('b'), { code: 'image/damaged' });
    const open = openSync(imageOf(a), 'r');
    assert.equal(await copy(a, ['b'], content), content);
    assert.equal(filesOf(a), WHOLE);
    assert.ok(readFileSync(imageOf(a)).equals(bytes));
    const byte = Buffer.alloc(1);
    readSync(open, byte, 0, 1, MIB);
    closeSync(open);
    assert.is.not(byte[0], bytes[MIB], 'what was open is the old file');
    assert.equal(await a.rig.driver.verify('b', signal), { isGood: true });
    await (await a.rig.driver.open('b')).close();
    assert.ok(readFileSync(imageOf(b)).equals(bytes));
    await close();
  }));

test('one that cannot be made good stays as it is', () =>
  inCluster(async (cluster) => {
    const { a, b, content, close } = await two(cluster);
    for (const node of [a, b]) rot(node);
    await a.rig.driver.verify('b', signal);
    await rejects(copy(a, ['b'], content));
    assert.is(readFileSync(imageOf(a)).length, SIZE, 'not removed');
    assert.ok(filesOf(a).includes('b/damaged'));
    await close();
  }));

test('a replica that is cut short is found by its size, and made good under the disk that is based on it', () =>
  inCluster(async (cluster) => {
    const { a, content, close } = await two(cluster);
    const spec = { instanceId: 'vm', device: 'vda', baseBlobId: 'b', sizeGiB: null };
    await a.rig.driver.ensureDisk(spec, wantedBy('instance/vm'));
    chmodSync(imageOf(a), 0o644);
    truncateSync(imageOf(a), MIB);
    assert.is((await a.rig.driver.checkedAt()).has('b'), true);
    const verdict = await a.rig.driver.verify('b', signal);
    assert.is(verdict.isGood ? '' : verdict.problem, 'size');
    assert.equal(await copy(a, ['b'], content), content);
    assert.ok(readFileSync(imageOf(a)).equals(bytes));
    await rejects(a.rig.driver.removeReplica('b', wantedBy('blob/b', { generation: 9 })), {
      code: 'host/locked',
    });
    await close();
  }));

test('one that is put right by hand is good again; one of another hash than wanted is not', () =>
  inCluster(async (cluster) => {
    const { a, content, close } = await two(cluster);
    rot(a);
    await a.rig.driver.verify('b', signal);
    writeFileSync(imageOf(a), bytes);
    assert.equal(await a.rig.driver.verify('b', signal, { sha512: content.sha512 }), {
      isGood: true,
    });
    assert.equal(filesOf(a), WHOLE);
    const other = await a.rig.driver.verify('b', signal, { sha512: '0'.repeat(128) });
    assert.not.ok(other.isGood);
    await close();
  }));

test('when each was read is known after a restart; a file that is gone is not listed', () =>
  inCluster(async (cluster) => {
    const { a, close } = await two(cluster);
    const old = new Date(1_000_000_000_000);
    utimesSync(join(a.rig.dir, 'blobs/b/replica.json'), old, old);
    assert.is((await a.rig.driver.checkedAt()).get('b'), old.getTime());
    const before = Date.now();
    await a.rig.driver.verify('b', signal);
    const checkedAtMs = (await a.rig.driver.checkedAt()).get('b') ?? 0;
    assert.ok(checkedAtMs >= before - 1_000 && checkedAtMs <= Date.now() + 1_000, `${checkedAtMs}`);
    rmSync(join(a.rig.dir, 'blobs/b'), { recursive: true });
    assert.is((await a.rig.driver.checkedAt()).size, 0);
    await rejects(a.rig.driver.verify('b', signal), { code: 'image/missing' });
    await close();
  }));

/** By this process, on whichever thread. */
function isOpen(path: string): boolean {
  const files = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // Closed since it was listed.
    }
  });
  return files.includes(path);
}

test('the reading is as slow as it is told, and ends at once when called off', () =>
  inCluster(async (cluster) => {
    const { a, close } = await two(cluster);
    const beganAt = performance.now();
    await a.rig.driver.verify('b', signal, { bytesPerSecond: 16 * MIB });
    const tookMs = performance.now() - beganAt;
    assert.ok(tookMs >= 400, `${tookMs} ms for 8 MiB at 16 MiB/s`);
    const controller = new AbortController();
    const slow = a.rig.driver.verify('b', controller.signal, { bytesPerSecond: 16 * 1024 });
    const calledOff = rejects(slow, { code: 'actor/stopped' });
    await waitUntil('it is read', () => isOpen(imageOf(a)));
    controller.abort();
    await calledOff;
    assert.not.ok(isOpen(imageOf(a)));
    await close();
  }));

test.run();

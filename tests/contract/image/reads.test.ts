// Disks that start before the replica of their base is here: real qemu-storage-daemons, real TLS with the certificates of
// nodes, QEMU's own tools in the place of guests.
import { rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { ImageDriverOptions } from '../../../src/drivers/image/driver.ts';
import type { Certified } from '../../../src/drivers/image/nbd/credentials.ts';
import type { Holders } from '../../../src/drivers/image/nbd/reads.ts';
import { StorageDaemons } from '../../../src/drivers/image/nbd/storage-daemons.ts';
import { exec } from '../../../src/drivers/exec.ts';
import { until } from '../../support/kernel.ts';
import { nodeAuthority } from '../../support/node-certificates.ts';
import { makeRig, scratch, tool, wantedBy, type Rig } from './rig.ts';
import { makeSamples, MIB, sameDisk } from './samples.ts';

const test = suite('disks that start before their base is here');
const dir = scratch();
const samples = makeSamples(dir);
const image = samples.convert('base.qcow2', 'qcow2');
const TRACE = 'trace-1';
const certified = await nodeAuthority(dir);

interface Node {
  rig: Rig;
  readonly name: string;
  /** What a mesh that does not reach it says. */
  isAway: boolean;
  readonly daemons: StorageDaemons;
}

/** Nodes that reach each other; those of `holders` have the replica. */
class Lab {
  readonly nodes = new Map<string, Node>();
  /** What the blob says. */
  holders: string[] = [];
  readonly #firstPort: number;

  constructor(firstPort: number) {
    this.#firstPort = firstPort;
  }

  async node(name: string, change: Partial<ImageDriverOptions> = {}): Promise<Node> {
    const home = join(dir, `${this.#firstPort}-${name}`);
    const rig = await makeRig(home, change);
    const daemons = new StorageDaemons(exec, join(home, 'nbd'));
    const node = { rig, name, isAway: false, daemons };
    this.nodes.set(name, node);
    await this.connect(node);
    return node;
  }

  async connect({ rig, name }: Node, identity?: Certified): Promise<void> {
    const place = { host: '127.0.0.1', firstPort: this.#firstPort, lastPort: this.#firstPort + 9 };
    rig.driver.connectReads(this.#holders(), {
      ...place,
      identity: identity ?? (await certified(name)),
    });
  }

  async holder(name: string): Promise<Node> {
    const node = await this.node(name);
    await node.rig.ensure('base', image);
    this.holders.push(name);
    return node;
  }

  async close(): Promise<void> {
    for (const { rig } of this.nodes.values()) {
      await rig.driver.endReads();
      await rig.close();
    }
    for (const { daemons } of this.nodes.values()) assert.equal(daemons.running(), []);
  }

  #holders(): Holders {
    return {
      of: async () => {
        const report = (name: string) =>
          JSON.parse(
            readFileSync(join(this.#rig(name).dir, 'blobs/base/replica.json'), 'utf8'),
          ) as never;
        return { content: report(this.holders[0] ?? ''), nodes: this.holders };
      },
      open: async (node, blobId, trace) => {
        const known = this.nodes.get(node);
        if (known === undefined || known.isAway) {
          throw new TroupeError('mesh/unreachable', `${node} does not answer`);
        }
        return await known.rig.driver.exports.serve(blobId, trace);
      },
    };
  }

  #rig(name: string): Rig {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node.rig;
  }
}

let port = 24_100;
async function inLab(body: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = new Lab((port += 10));
  try {
    await body(lab);
  } finally {
    await lab.close();
  }
}

const disk = ({ rig }: Node, instanceId = 'guest') =>
  rig.driver.ensureDisk(
    { instanceId, device: 'vda', baseBlobId: 'base', sizeGiB: null },
    wantedBy(`instance/${instanceId}`),
  );

/** Something that has the disk open as a guest's QEMU has, and reads when told. */
function guest(path: string) {
  const process_ = spawn('qemu-io', ['-f', 'qcow2', path], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  process_.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  process_.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const ended = new Promise((resolve) => process_.once('close', resolve));
  return {
    ask: (at: number, length: number) => process_.stdin.write(`read -v ${at} ${length}\n`),
    write: (at: number, length: number) => process_.stdin.write(`write -P 7 ${at} ${length}\n`),
    answers: () => said.match(/(read|wrote) \d+\/\d+ bytes at/g)?.length ?? 0,
    said: () => said,
    end: async () => {
      process_.stdin.end('quit\n');
      await ended;
    },
  };
}

const backOf = (node: Node) => node.daemons.running().filter((name) => name.includes('.back.'));
const sourceOf = ({ rig }: Node) => rig.ledger.get('reader', 'base')?.detail['from'];
const killAll = (node: Node, part: string) => {
  for (const name of node.daemons.running().filter((one) => one.includes(part))) {
    process.kill(node.daemons.pidOf(name) ?? 0, 'SIGKILL');
  }
};
const baseIn = (path: string) =>
  (JSON.parse(tool('qemu-img', 'info', '-U', '--output=json', path)) as Record<string, unknown>)[
    'backing-filename'
  ];

test('a disk is there at once, and reads as if its base were', () =>
  inLab(async (lab) => {
    const [a, b] = [await lab.holder('a'), await lab.node('b')];
    const report = await disk(b);
    assert.is(report.virtualSizeBytes, 8 * MIB);
    assert.not.ok(readdirSync(join(b.rig.dir, 'blobs')).includes('base'));
    assert.ok(sameDisk(['raw', samples.raw], ['qcow2', report.path]));
    assert.is(sourceOf(b), 'a');
    assert.is(a.daemons.running().length, 1);
    // What the guest writes stays here, and the same request again changes nothing.
    tool('qemu-io', '-f', 'qcow2', '-c', 'write -P 7 0 64k', report.path);
    const before = b.daemons.running();
    await disk(b);
    assert.equal(b.daemons.running(), before);
    const read = tool('qemu-io', '-f', 'qcow2', '-c', 'read -P 7 0 64k', report.path);
    assert.match(read, /read 65536\/65536/);
    // Two disks share what is read through.
    await disk(b, 'second');
    assert.equal(b.daemons.running(), before);
  }));

test('the node that is read dies while the guest waits for a block: another answers it', () =>
  inLab(async (lab) => {
    const [a, , c] = [await lab.holder('a'), await lab.holder('b'), await lab.node('c')];
    const { path } = await disk(c);
    assert.is(sourceOf(c), 'a');
    const vm = guest(path);
    vm.ask(0, 512);
    await until(() => vm.answers() === 1, 'the first block is read');
    a.isAway = true;
    killAll(a, '.export');
    vm.ask(MIB, 65_536);
    await delay(500);
    assert.is(vm.answers(), 1, 'nobody is there to answer');
    await c.rig.driver.tendReads(TRACE);
    await until(() => vm.answers() === 2, 'the other node answers', 15_000);
    assert.is(sourceOf(c), 'b');
    assert.not.match(vm.said(), /error|failed/i);
    await vm.end();
    assert.ok(sameDisk(['raw', samples.raw], ['qcow2', path]));
  }));

test('a killed export is started again where it was, and who read it goes on', () =>
  inLab(async (lab) => {
    const [a, b] = [await lab.holder('a'), await lab.node('b')];
    const { path } = await disk(b);
    const at = b.rig.ledger.get('reader', 'base')?.detail['at'];
    const vm = guest(path);
    killAll(a, '.export');
    vm.ask(MIB, 65_536);
    await b.rig.driver.tendReads(TRACE);
    await until(() => vm.answers() === 1, 'it answers again', 15_000);
    assert.is(b.rig.ledger.get('reader', 'base')?.detail['at'], at);
    await vm.end();
  }));

test('our daemon is killed and restarted in the middle: the guest reads on meanwhile and after it', () =>
  inLab(async (lab) => {
    const [a, b] = [await lab.holder('a'), await lab.node('b')];
    const { path } = await disk(b);
    const vm = guest(path);
    const running = b.daemons.running();
    await b.rig.close();
    vm.ask(MIB, 65_536);
    await until(() => vm.answers() === 1, 'read while no daemon runs');
    b.rig = await b.rig.restart();
    await lab.connect(b);
    await b.rig.driver.tendReads(TRACE);
    assert.equal(b.daemons.running(), running, 'found again');
    // The same on the side of who serves.
    await a.rig.close();
    vm.ask(2 * MIB, 65_536);
    await until(() => vm.answers() === 2, 'read while the other one has no daemon');
    a.rig = await a.rig.restart();
    await lab.connect(a);
    await b.rig.driver.tendReads(TRACE);
    assert.is(a.daemons.running().length, 1);
    await vm.end();
    assert.ok(sameDisk(['raw', samples.raw], ['qcow2', path]));
  }));

test('the copy is here: reads go to it at once, the disk names it when no guest has it open, and nothing is left', () =>
  inLab(async (lab) => {
    let nowMs = 0;
    const clock = { nowMs: () => nowMs } as NonNullable<ImageDriverOptions['clock']>;
    const a = await lab.node('a', { clock });
    await a.rig.ensure('base', image);
    lab.holders.push('a');
    const b = await lab.node('b');
    const { path } = await disk(b);
    const vm = guest(path);
    vm.write(0, 512);
    await until(() => vm.answers() === 1, 'written');
    await b.rig.ensure('base', image);
    await b.rig.driver.tendReads(TRACE);
    assert.is(sourceOf(b), 'own replica');
    assert.is(backOf(b).length, 1);
    vm.ask(MIB, 65_536);
    await until(() => vm.answers() === 2, 'read from the copy');
    // Nobody is connected to the other node any more: its export ends after a while, and not before.
    await a.rig.driver.tendReads(TRACE);
    assert.is(a.daemons.running().length, 1);
    nowMs += 21_000;
    await a.rig.driver.tendReads(TRACE);
    assert.equal(a.daemons.running(), []);
    assert.equal(a.rig.ledger.list({ resource: 'export' }), []);
    // A running guest's disk stays as it is.
    await disk(b);
    assert.match(String(baseIn(path)), /^nbd\+unix:/);
    await b.rig.driver.tendReads(TRACE);
    assert.is(b.daemons.running().length, 2);
    await vm.end();
    await disk(b);
    assert.is(baseIn(path), b.rig.driver.layout.replicaImage('base', 'qcow2'));
    await b.rig.driver.tendReads(TRACE);
    assert.equal(b.daemons.running(), []);
    assert.equal(b.rig.ledger.list({ resource: 'reader' }), []);
    assert.equal(readdirSync(join(b.rig.dir, 'nbd')), ['tls']);
    const read = tool('qemu-io', '-f', 'qcow2', '-c', 'read -P 7 0 512', path);
    assert.match(read, /read 512\/512/);
  }));

test('an export that somebody is connected to is kept however long nobody asks', () =>
  inLab(async (lab) => {
    let nowMs = 0;
    const clock = { nowMs: () => nowMs } as NonNullable<ImageDriverOptions['clock']>;
    const a = await lab.node('a', { clock });
    await a.rig.ensure('base', image);
    lab.holders.push('a');
    const b = await lab.node('b');
    await disk(b);
    nowMs += 3_600_000;
    await a.rig.driver.tendReads(TRACE);
    assert.is(a.daemons.running().length, 1);
  }));

test('the replica that is read is removed on its node: what is open stays readable', () =>
  inLab(async (lab) => {
    const [a, b] = [await lab.holder('a'), await lab.node('b')];
    const { path } = await disk(b);
    await a.rig.driver.removeReplica('base', wantedBy('blob/base', { generation: 2 }));
    assert.ok(sameDisk(['raw', samples.raw], ['qcow2', path]));
    await rejects(a.rig.driver.exports.serve('base', TRACE), { code: 'image/missing' });
  }));

test('the instance is deleted in the middle: no process, no socket, no entry is left', () =>
  inLab(async (lab) => {
    await lab.holder('a');
    const b = await lab.node('b');
    await disk(b);
    await disk(b, 'second');
    await b.rig.driver.removeDisks('guest', wantedBy('instance/guest', { generation: 2 }));
    await b.rig.driver.tendReads(TRACE);
    assert.is(b.daemons.running().length, 2, 'another disk needs it');
    await b.rig.driver.removeDisks('second', wantedBy('instance/second', { generation: 2 }));
    await b.rig.driver.tendReads(TRACE);
    assert.equal(b.daemons.running(), []);
    assert.equal(b.rig.ledger.list(), []);
    assert.equal(readdirSync(join(b.rig.dir, 'nbd')), ['tls']);
  }));

test('what is read ahead of a disk is kept until that comes, and not for ever', () =>
  inLab(async (lab) => {
    let nowMs = 0;
    const clock = { nowMs: () => nowMs } as NonNullable<ImageDriverOptions['clock']>;
    await lab.holder('a');
    const b = await lab.node('b', { clock });
    await b.rig.driver.reads.announce('base', TRACE);
    nowMs += 59_000;
    await b.rig.driver.tendReads(TRACE);
    const before = b.daemons.running();
    assert.is(before.length, 2);
    await disk(b);
    nowMs += 2_000;
    await b.rig.driver.tendReads(TRACE);
    assert.equal(b.daemons.running(), before, 'a disk needs it');
    await b.rig.driver.removeDisks('guest', wantedBy('instance/guest', { generation: 2 }));
    await b.rig.driver.tendReads(TRACE);
    assert.equal(b.daemons.running(), []);
  }));

test('what is read ahead of a disk ends once the copy is here: the disk will be made of that', () =>
  inLab(async (lab) => {
    await lab.holder('a');
    const b = await lab.node('b');
    await b.rig.driver.reads.announce('base', TRACE);
    await b.rig.ensure('base', image);
    await b.rig.driver.tendReads(TRACE);
    assert.equal(b.daemons.running(), []);
    const { path } = await disk(b);
    assert.is(baseIn(path), b.rig.driver.layout.replicaImage('base', 'qcow2'));
    assert.equal(b.daemons.running(), []);
  }));

test('the machine reboots in the middle: the next start reads through again, or takes the copy', () =>
  inLab(async (lab) => {
    await lab.holder('a');
    const b = await lab.node('b');
    const { path } = await disk(b);
    tool('qemu-io', '-f', 'qcow2', '-c', 'write -P 7 0 64k', path);
    await b.rig.close();
    killAll(b, '.');
    await until(() => b.daemons.running().length === 0, 'all have ended');
    b.rig = await b.rig.restart();
    await lab.connect(b);
    await disk(b);
    assert.is(b.daemons.running().length, 2);
    const read = (at: string) => tool('qemu-io', '-f', 'qcow2', '-c', `read -P ${at}`, path);
    assert.match(read('7 0 64k'), /read 65536\/65536/);
    killAll(b, '.');
    await until(() => b.daemons.running().length === 0, 'all have ended');
    await b.rig.ensure('base', image);
    await disk(b);
    assert.is(baseIn(path), b.rig.driver.layout.replicaImage('base', 'qcow2'));
    assert.match(read('7 0 64k'), /read 65536\/65536/);
  }));

test('nobody can serve it: the reason of each is said, and nothing runs', () =>
  inLab(async (lab) => {
    const [a, b, c] = [await lab.holder('a'), await lab.holder('b'), await lab.node('c')];
    a.isAway = true;
    await b.rig.driver.removeReplica('base', wantedBy('blob/base', { generation: 2 }));
    await rejects(disk(c), {
      code: 'image/unreachable',
      message: /a: a does not answer; b: there is no replica of blob base here/,
    });
    assert.equal(c.daemons.running(), []);
  }));

test('who is not of the cluster reads nothing, and serves nothing', () =>
  inLab(async (lab) => {
    const other = await nodeAuthority(dir, 'others');
    await lab.holder('a');
    const b = await lab.node('b');
    await lab.connect(b, await other('b'));
    await rejects(disk(b), { code: 'image/unreachable', message: /certificate/i });
    assert.equal(b.daemons.running(), []);
  }));

test('what runs and is in no ledger is ended by the next daemon', () =>
  inLab(async (lab) => {
    const [a, b] = [await lab.holder('a'), await lab.node('b')];
    await disk(b);
    b.rig.ledger.forget('reader', 'base');
    a.rig.ledger.forget('export', 'base');
    for (const node of [a, b]) {
      await node.rig.close();
      node.rig = await node.rig.restart();
      assert.equal(node.daemons.running(), []);
    }
  }));

test('a disk whose base is here is none of all this', () =>
  inLab(async (lab) => {
    mkdirSync(join(dir, 'none'), { recursive: true });
    const a = await lab.holder('a');
    const { path } = await disk(a);
    assert.is(baseIn(path), a.rig.driver.layout.replicaImage('base', 'qcow2'));
    assert.equal(a.daemons.running(), []);
  }));

test.run();

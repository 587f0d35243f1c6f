// Which spare copies go when a machine is low on disk, and how many copies are wanted.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { initial as noArtifact } from '../../../actors/artifact/artifact.ts';
import { initial as noBlob } from '../../../actors/blob/blob.ts';
import { newReplica } from '../../../actors/blob/replicas.ts';
import type { BlobMessage, BlobState, Replica } from '../../../actors/blob/state.ts';
import type { Router } from '../../../actors/kernel/ports.ts';
import { initial as noNode } from '../../../actors/node/node.ts';
import { wantedCopies } from '../../../src/daemon/blob-nodes.ts';
import { evictCopies } from '../../../src/daemon/copy-eviction.ts';
import type { ReadModel } from '../../../src/read/read-model.ts';
import { keptLog, ManualClock, seededRandom } from '../../support/kernel.ts';
import { GAUGES, MACHINE } from '../../support/machine-facts.ts';

const test = suite('copies that go for want of disk');

const GIB = 2 ** 30;
/** What the machine keeps free, GiB; it is low below three times that. */
const KEPT = MACHINE.limits.reservedDiskGiB;
const content = {
  sizeBytes: GIB,
  sha512: 'x',
  sourceSizeBytes: 1,
  sourceSha256: 'y',
  sourceFormat: 'qcow2',
  format: 'qcow2',
  mimeType: '',
  virtualSizeBytes: 1,
  etag: null,
  lastModified: null,
} as const;

function table(states: Record<string, object>) {
  const all = Object.entries(states).map(([id, state]) => ({ id, state, revision: 1 }));
  return { all: () => all, get: (id: string) => all.find((one) => one.id === id) };
}

function held(usedAtMs: number, nodes = ['n1', 'n2', 'n3'], more: Partial<BlobState> = {}) {
  const good: Replica = { ...newReplica(1, { usedAtMs }), phase: 'verified' };
  const replicas = Object.fromEntries(nodes.map((node) => [node, good]));
  return { ...noBlob, phase: 'created', content, replicas, ...more };
}

/** The blobs that are told that n1 sheds, in order, with so much free there. */
async function told(freeDiskGiB: number, blobs: Record<string, object>): Promise<string[]> {
  const node = { ...noNode, phase: 'created', machine: MACHINE, gauges: GAUGES };
  const tables = { nodes: table({ n1: node, n2: node, n3: node }), blobs: table(blobs) };
  const read = { ...tables, artifacts: table({}) } as unknown as ReadModel;
  const clock = new ManualClock();
  const asked: string[] = [];
  const router = {
    ask: ({ id }: { id: string }, message: BlobMessage) => {
      const nodes = message.kind === 'nodes-changed' ? message.nodes : [];
      assert.equal(
        nodes.filter((one) => one.sheds).map((one) => one.node),
        ['n1'],
      );
      asked.push(id);
      return Promise.resolve({ value: null, revision: 1 });
    },
  } as unknown as Router;
  const common = { node: 'n1', read, router, clock, random: seededRandom(1), log: keptLog().log };
  const gauges = () => ({ ...GAUGES, freeDiskGiB });
  const eviction = evictCopies({ ...common, isUp: () => true, copies: 2, patienceMs: 1, gauges });
  await clock.advance(60_000);
  await eviction.stop();
  return asked;
}

test('a machine with enough free disk keeps all of them', async () => {
  assert.equal(await told(3 * KEPT, { a: held(1), b: held(2) }), []);
});

test('those used longest ago go first, and no more than are missing', async () => {
  const blobs = { a: held(3), b: held(1), c: held(2), d: held(4) };
  assert.equal(await told(3 * KEPT - 2, blobs), ['b', 'c']);
  assert.equal(await told(0, blobs), ['b', 'c', 'a', 'd']);
});

test('what is wanted, needed here, in use or elsewhere is not spare', async () => {
  const blobs = {
    wanted: held(1, ['n1', 'n2']),
    needed: held(1, ['n1', 'n2', 'n3'], { needs: { 'instance/vm': 'n1' } }),
    elsewhere: held(1, ['n2', 'n3']),
    spare: held(9),
  };
  assert.equal(await told(0, blobs), ['spare']);
});

test('the largest number that an artifact asks for counts; who asks nothing asks for that of the cluster', () => {
  const artifacts = table({
    one: { ...noArtifact, minCopies: 1 },
    three: { ...noArtifact, minCopies: 3 },
    none: noArtifact,
  });
  const read = { artifacts } as unknown as ReadModel;
  const wanted = (...users: string[]) => wantedCopies(read, { users }, 2);
  assert.is(wanted(), 2);
  assert.is(wanted('instance/vm'), 2);
  assert.is(wanted('artifact/one'), 1);
  assert.is(wanted('artifact/one', 'instance/vm'), 1, 'an instance asks for none');
  assert.is(wanted('artifact/one', 'artifact/none'), 2);
  assert.is(wanted('artifact/none', 'artifact/three'), 3);
  assert.is(wanted('artifact/forgotten'), 2);
});

test.run();

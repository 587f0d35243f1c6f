// Which spare copies go when a machine is low on disk, and how many copies are wanted.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { initial as noArtifact } from '../../../actors/artifact/artifact.ts';
import { initial as noBlob } from '../../../actors/blob/blob.ts';
import { newReplica } from '../../../actors/blob/replicas.ts';
import type { BlobMessage, BlobState, Replica } from '../../../actors/blob/state.ts';
import type { Address } from '../../../actors/kernel/kind.ts';
import type { Router } from '../../../actors/kernel/ports.ts';
import { initial as noNode } from '../../../actors/node/node.ts';
import { wantedCopies } from '../../../src/daemon/blob-nodes.ts';
import { CopyEviction } from '../../../src/daemon/copy-eviction.ts';
import type { ReadModel } from '../../../src/read/read-model.ts';
import { keptLog, ManualClock, seededRandom, settle } from '../../support/kernel.ts';
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

const GOOD: Replica = { ...newReplica(1), phase: 'verified' };

function held(usedAtMs: number, nodes = ['n1', 'n2', 'n3'], more: Partial<BlobState> = {}) {
  const replicas = Object.fromEntries(nodes.map((node) => [node, { ...GOOD, usedAtMs }]));
  return { ...noBlob, phase: 'created', content, replicas, ...more };
}

const roomy = { ...noNode, phase: 'created', machine: MACHINE, gauges: GAUGES };
const low = { ...roomy, gauges: { ...GAUGES, freeDiskGiB: KEPT } };

/** n1 with so much free, and others as they are said to be. */
class World {
  readonly clock = new ManualClock();
  /** Blobs that were told that n1 sheds, in order. */
  readonly asked: string[] = [];
  readonly #eviction: CopyEviction;
  readonly #blobs: Record<string, object>;
  readonly #listeners = new Set<(changes: readonly Address[]) => void>();

  constructor(
    freeDiskGiB: number,
    blobs: Record<string, object>,
    others: Record<string, object> = { n2: roomy, n3: roomy },
  ) {
    this.#blobs = blobs;
    const gauges = () => ({ ...GAUGES, freeDiskGiB });
    const here = { ...roomy, gauges: gauges() };
    const onChange = (listener: (changes: readonly Address[]) => void) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    };
    const read = {
      nodes: table({ n1: here, ...others }),
      blobs: { all: () => table(blobs).all(), get: (id: string) => table(blobs).get(id) },
      artifacts: table({}),
      onChange,
    } as unknown as ReadModel;
    const router = {
      ask: ({ id }: { id: string }, message: BlobMessage) => {
        const nodes = message.kind === 'nodes-changed' ? message.nodes : [];
        const shedding = nodes.filter((one) => one.sheds).map((one) => one.node);
        assert.equal(shedding, ['n1']);
        this.asked.push(id);
        return Promise.resolve({ value: null, revision: 1 });
      },
    } as unknown as Router;
    const { clock } = this;
    const common = { node: 'n1', read, router, clock, random: seededRandom(1), log: keptLog().log };
    const settings = { isUp: () => true, copies: 2, patienceMs: 1, gauges };
    this.#eviction = new CopyEviction({ ...common, ...settings });
  }

  async change(id: string, state: object): Promise<void> {
    this.#blobs[id] = state;
    for (const listener of this.#listeners) listener([{ kind: 'blob', id }]);
    await settle();
  }

  async stop(): Promise<string[]> {
    await this.#eviction.stop();
    assert.is(this.#listeners.size, 0);
    return this.asked;
  }
}

/** The blobs that are told that n1 sheds, in order, with so much free there. */
async function told(
  freeDiskGiB: number,
  blobs: Record<string, object>,
  others?: Record<string, object>,
): Promise<string[]> {
  const world = new World(freeDiskGiB, blobs, others);
  await world.clock.advance(30_000);
  return await world.stop();
}

test('a machine with enough free disk keeps all of them', async () => {
  assert.equal(await told(3 * KEPT, { a: held(1), b: held(2) }), []);
});

test('those used longest ago go first, and no more than are missing', async () => {
  const blobs = { a: held(3), b: held(1), c: held(2), d: held(4) };
  assert.equal(await told(3 * KEPT - 2, blobs), ['b', 'c']);
  assert.equal(await told(0, blobs), ['b', 'c', 'a', 'd']);
});

test('what is needed here, in use or elsewhere is neither spare nor moved', async () => {
  const blobs = {
    based: held(1, ['n1', 'n2'], { replicas: { n1: { ...GOOD, isInUse: true }, n2: GOOD } }),
    needed: held(1, ['n1', 'n2', 'n3'], { needs: { 'instance/vm': 'n1' } }),
    elsewhere: held(1, ['n2', 'n3']),
    spare: held(9),
  };
  assert.equal(await told(0, blobs), ['spare']);
});

test('what is wanted is moved to another machine once nothing spare is left, the longest unused first', async () => {
  const both = ['n1', 'n2'];
  const blobs = { a: held(3, both), b: held(1, both), c: held(2, both), spare: held(9) };
  assert.equal(await told(3 * KEPT - 1, blobs), ['spare']);
  assert.equal(await told(3 * KEPT - 3, blobs), ['spare', 'b', 'c']);
});

test('but to none that is low on disk itself', async () => {
  const blobs = { a: held(1, ['n1', 'n2']) };
  assert.equal(await told(0, blobs, { n2: roomy, n3: low }), []);
  assert.equal(
    await told(0, blobs, { n2: low, n3: roomy }),
    ['a'],
    'where the other one is does not matter',
  );
});

test('what is on its way elsewhere counts as gone, and goes here as soon as it is there', async () => {
  const both = ['n1', 'n2'];
  const good = held(1, both);
  const on = { ...good, replicas: { ...good.replicas, n3: newReplica(2) } };
  const world = new World(3 * KEPT - 1, { a: good, b: held(2, both) });
  await world.clock.advance(30_000);
  assert.equal(world.asked, ['a']);
  await world.change('a', on);
  await world.clock.advance(30_000);
  assert.equal(world.asked, ['a'], 'b stays: enough is on its way');
  await world.change('b', { ...held(9, both), users: [] });
  await world.change('a', held(1));
  assert.equal(world.asked, ['a', 'a']);
  assert.equal(await world.stop(), ['a', 'a']);
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

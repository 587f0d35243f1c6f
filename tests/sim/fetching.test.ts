// Images that many ask for at once, on several nodes: fetched once, also when nodes die; deleted while instances start from
// them. Whole daemons on simulated machines, less the HTTP part of their API.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactRef, type ArtifactState } from '../../actors/artifact/state.ts';
import type { BlobState } from '../../actors/blob/state.ts';
import { instanceRef, type InstanceState } from '../../actors/instance/state.ts';
import { ImageCache } from '../../src/api/artifacts/image-cache.ts';
import type { ApiServices } from '../../src/api/services.ts';
import type { SimDaemon } from './cluster/daemon.ts';
import { SimNode, URLS } from './cluster/node.ts';
import { Site } from './cluster/site.ts';
import { instanceMessage } from './main-path.ts';

const test = suite('fetching images');
const URL = URLS[0] ?? '';
const PIECES = 4;

class World {
  readonly site: Site;
  readonly nodes: readonly SimNode[];

  constructor(seed: number, count: number) {
    this.site = new Site({ seed, bug: null, print: null });
    this.nodes = Array.from({ length: count }, (_, index) => new SimNode(this.site, index + 1));
    for (const node of this.nodes) {
      const others = this.nodes.filter((other) => other !== node);
      const peers = others.map(({ name, machine }) => [name, machine.images] as const);
      node.machine.images.peers = new Map(peers);
    }
  }

  async start(): Promise<this> {
    for (const node of this.nodes) node.boot();
    await this.until('all serve', () => this.nodes.every(({ isServing }) => isServing));
    await this.pass(30_000);
    return this;
  }

  /** As a request to the node's API. */
  cache(node: SimNode): ImageCache {
    const { name } = node;
    const daemon = daemonOf(node);
    const { read, router, cluster } = daemon;
    const members = () => cluster.members ?? [];
    const random = this.site.random(`api of ${name}`);
    const parts = { node: name, read, router, random, members, imageShortcuts: [] };
    return new ImageCache(parts as unknown as ApiServices);
  }

  ensure(node: SimNode, trace = 't'): Promise<string> {
    const caller = { namespace: 'ns', keyName: 'k' };
    const request = { caller, url: URL, namespace: 'ns', isShared: false, trace };
    return this.cache(node).ensure(request);
  }

  all<S>(kind: string): readonly (readonly [string, S])[] {
    return [...this.site.view.all<S>(kind)];
  }

  get downloads(): number {
    return this.nodes
      .flatMap(({ machine }) => machine.calls)
      .filter((call) => call === 'image.download').length;
  }

  async until(what: string, holds: () => boolean, limitMs = 600_000): Promise<void> {
    const giveUpAt = this.site.clock.monoMs() + limitMs;
    while (!holds()) {
      if (this.site.clock.monoMs() > giveUpAt) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.pass(50);
    }
  }

  async pass(ms: number): Promise<void> {
    await this.site.clock.advance(ms);
  }

  /** What the promise comes to, while time passes. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const end = () => void (isOver = true);
    promise.then(end, end);
    await this.until('answered', () => isOver);
    return await promise;
  }
}

function daemonOf({ daemon, name }: SimNode): SimDaemon {
  if (daemon === null) throw new Error(`${name} is down`);
  return daemon;
}

test('100 that ask at once, on four nodes, make one artifact, one blob and one download', async () => {
  const world = await new World(1, 4).start();
  const asked = world.nodes.flatMap((node) => Array.from({ length: 25 }, () => world.ensure(node)));
  const ids = await world.settled(Promise.all(asked));
  assert.is(new Set(ids).size, 1);
  const isThere = () => world.all<ArtifactState>('artifact')[0]?.[1].phase === 'created';
  await world.until('created', isThere);
  await world.pass(60_000);
  assert.is(world.all('artifact').length, 1);
  assert.is(world.all('blob').length, 1);
  // Copies from node to node count as well.
  const copies = Object.keys(world.all<BlobState>('blob')[0]?.[1].replicas ?? {}).length;
  assert.is(copies, 2);
  assert.is(world.downloads, PIECES * copies);
});

test('a node that has no room leaves the fetch to another', async () => {
  const world = await new World(7, 3).start();
  const [first, ...others] = world.nodes as [SimNode, ...SimNode[]];
  first.machine.images.isDiskFull = true;
  await world.settled(world.ensure(first));
  const isThere = () => world.all<ArtifactState>('artifact')[0]?.[1].phase === 'created';
  await world.until('fetched elsewhere', isThere, 120_000);
  await world.pass(60_000);
  assert.ok(others.some(({ machine }) => machine.images.replicas.size === 1));
  assert.is(first.machine.images.partials.size, 0);
});

for (const pieces of [0, 1, 2, 3]) {
  test(`the node that fetches dies with ${pieces} of ${PIECES} pieces and stays away: another finishes`, async () => {
    const world = await new World(10 + pieces, 3).start();
    const [first, ...others] = world.nodes as [SimNode, ...SimNode[]];
    first.machine.stepMs = 2_000;
    await world.settled(world.ensure(first));
    const fetched = () => [...first.machine.images.partials.values()][0] ?? 0;
    await world.until('begun', () => fetched() === pieces);
    first.kill('for good');
    const isThere = () => world.all<ArtifactState>('artifact')[0]?.[1].phase === 'created';
    await world.until('taken over', isThere, 300_000);
    await world.pass(60_000);
    const holders = others.filter(({ machine }) => machine.images.replicas.size === 1);
    assert.is(holders.length, 2);
    first.machine.stepMs = 5;
    first.boot();
    await world.pass(600_000);
    assert.is(first.machine.images.partials.size, 0, 'its half is gone');
    const blob = world.all<BlobState>('blob')[0]?.[1];
    const verified = Object.entries(blob?.replicas ?? {}).flatMap(([node, { phase }]) =>
      phase === 'verified' ? [node] : [],
    );
    const held = world.nodes.flatMap(({ name, machine }) =>
      machine.images.replicas.size > 0 ? [name] : [],
    );
    assert.equal(verified.toSorted(), held);
  });
}

test('an artifact that is deleted at any moment while an instance starts from it: it starts or says why, nothing leaks', async () => {
  const ends = new Set<string>();
  for (let round = 0; round < 40; round++) {
    const world = await new World(100 + round, 2).start();
    const [node] = world.nodes as [SimNode, ...SimNode[]];
    const { router } = daemonOf(node);
    const artifactId = await world.settled(world.ensure(node));
    const message = instanceMessage();
    const disks = message.disks.map((disk) => ({ ...disk, artifactId }));
    const wish = { ...message, name: 'vm', nics: [], disks };
    await world.settled(router.ask(instanceRef('vm'), wish, { trace: 't' }));
    await world.pass(round * 4);
    await world.settled(router.ask(artifactRef(artifactId), { kind: 'delete' }, { trace: 't' }));
    const phase = () => world.all<InstanceState>('instance')[0]?.[1].phase ?? '';
    await world.until('it ends', () => ['created', 'error'].includes(phase()));
    ends.add(phase());
    const failure = world.all<InstanceState>('instance')[0]?.[1].failure;
    if (phase() === 'error')
      assert.match(failure?.reason ?? '', /artifact was deleted|being deleted/);
    await world.settled(router.ask(instanceRef('vm'), { kind: 'delete' }, { trace: 't' }));
    await world.until('deleted', () => phase() === 'deleted');
    await world.pass(900_000);
    for (const { name, machine } of world.nodes)
      assert.equal(machine.leftovers(), [], `${name} in round ${round}`);
    for (const [id, state] of world.all<BlobState>('blob')) assert.is(state.phase, 'deleted', id);
  }
  assert.equal([...ends].toSorted(), ['created', 'error'], 'both have been seen');
});

test.run();

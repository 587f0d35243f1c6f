// Images that many ask for at once, on several nodes: fetched once, also when nodes die; deleted while instances start from
// them. Whole daemons on simulated machines, less the HTTP part of their API.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactRef, type ArtifactState } from '../../actors/artifact/state.ts';
import type { BlobState } from '../../actors/blob/state.ts';
import { instanceRef, type InstanceState } from '../../actors/instance/state.ts';
import type { Random } from '../../actors/kernel/ports.ts';
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
  /** No id is given twice. */
  readonly #randoms = new Map<string, Random>();

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
    const random = this.#randoms.get(name) ?? this.site.random(`api of ${name}`);
    this.#randoms.set(name, random);
    const parts = { node: name, read, router, random, members, imageShortcuts: [] };
    return new ImageCache(parts as unknown as ApiServices);
  }

  ensure(node: SimNode, namespace = 'ns'): Promise<string> {
    const caller = { namespace, keyName: 'k' };
    const request = { caller, url: URL, namespace, isShared: false, trace: 't' };
    return this.cache(node).ensure(request);
  }

  /** How often the address was downloaded from. */
  get asked(): number {
    return this.nodes.flatMap(({ machine }) => machine.images.downloads).length;
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

for (const percent of [0, 10, 50, 99]) {
  test(`the node that fetches dies at ${percent} % and stays away: another finishes`, async () => {
    const world = await new World(10 + percent, 3).start();
    const [first, ...others] = world.nodes as [SimNode, ...SimNode[]];
    for (const { machine } of world.nodes) machine.images.pieces = 100;
    first.machine.stepMs = 200;
    await world.settled(world.ensure(first));
    const fetched = () => [...first.machine.images.partials.values()][0] ?? 0;
    await world.until('begun', () => fetched() === percent);
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

/** Every artifact has a version, and which blobs these are. */
function versionsOf(world: World): string[] {
  return world.all<ArtifactState>('artifact').flatMap(([id, { phase, versions, failure }]) => {
    if (phase === 'error') throw new Error(`${id}: ${failure?.reason}`);
    return phase === 'created' ? (versions.at(-1)?.blobId ?? []) : [];
  });
}

const isHeldBy = (world: World, users: number) =>
  world.all<BlobState>('blob').some(([, one]) => one.users.length === users);

test('namespaces that ask at once, each on its own node, cause one download and share one blob', async () => {
  const world = await new World(2, 4).start();
  const asked = world.nodes.flatMap((node, index) =>
    [0, 1, 2].map((n) => world.ensure(node, `ns${(index + n) % 4}`)),
  );
  const ids = await world.settled(Promise.all(asked));
  assert.is(new Set(ids).size, 4, 'an artifact each');
  await world.until('all have it', () => versionsOf(world).length === 4);
  await world.until('all use it', () => isHeldBy(world, 4));
  assert.is(new Set(versionsOf(world)).size, 1);
  assert.is(world.all('blob').length, 1);
  assert.is(world.asked, 1);
});

test('who comes while it is downloaded waits for it; who comes afterwards uses what has not changed', async () => {
  const world = await new World(3, 3).start();
  const [first, second, third] = world.nodes as [SimNode, SimNode, SimNode];
  for (const { machine } of world.nodes) machine.stepMs = 2_000;
  await world.settled(world.ensure(first, 'ns1'));
  await world.until('begun', () => world.asked === 1);
  await world.settled(world.ensure(second, 'ns2'));
  await world.until('two wait', () => isHeldBy(world, 2));
  assert.equal(versionsOf(world), [], 'for one that is not there yet');
  await world.until('both have it', () => versionsOf(world).length === 2);
  await world.settled(world.ensure(third, 'ns3'));
  await world.until('all have it', () => versionsOf(world).length === 3);
  assert.is(new Set(versionsOf(world)).size, 1);
  assert.is(world.asked, 1);
});

function serve(world: World, etag: string, bytes?: string): void {
  const more = bytes === undefined ? {} : { bytes };
  for (const { machine } of world.nodes) {
    const before = machine.images.web.get(URL);
    if (before !== undefined) machine.images.web.set(URL, { ...before, etag, ...more });
  }
}

test('the same bytes that the server names anew are downloaded once more, and not again each time', async () => {
  const world = await new World(8, 3).start();
  const [node] = world.nodes as [SimNode, SimNode, SimNode];
  const isThere = () => versionsOf(world).length === 1;
  for (const [etag, downloads] of [
    ['"1"', 1],
    ['"2"', 2],
    ['"2"', 2],
    ['"3"', 3],
    ['"3"', 3],
  ] as const) {
    serve(world, etag, 'as ever');
    await world.settled(world.ensure(node));
    await world.until('fetched', isThere);
    await world.pass(60_000);
    assert.is(world.asked, downloads, etag);
  }
  assert.is(versionsOf(world).length, 1);
});

test('what has changed is downloaded once more, for all that ask', async () => {
  const world = await new World(4, 3).start();
  const [first, second, third] = world.nodes as [SimNode, SimNode, SimNode];
  serve(world, '"1"');
  await world.settled(world.ensure(first, 'ns1'));
  await world.settled(world.ensure(second, 'ns2'));
  await world.until('both have it', () => versionsOf(world).length === 2);
  serve(world, '"2"');
  const asked = [world.ensure(first, 'ns1'), world.ensure(second, 'ns2')];
  await world.settled(Promise.all([...asked, world.ensure(third, 'ns3')]));
  const [old = ''] = versionsOf(world);
  await world.until('all have the newer one', () => {
    const ids = versionsOf(world);
    return ids.length === 3 && !ids.includes(old) && new Set(ids).size === 1;
  });
  assert.is(world.asked, 2);
});

test('the first artifact is deleted while it is downloaded: the other gets it, and the first learns nothing of it', async () => {
  const world = await new World(5, 3).start();
  const [first, second] = world.nodes as [SimNode, SimNode];
  for (const { machine } of world.nodes) machine.stepMs = 2_000;
  const artifactId = await world.settled(world.ensure(first, 'ns1'));
  await world.until('begun', () => world.asked === 1);
  await world.settled(world.ensure(second, 'ns2'));
  await world.until('two wait', () => isHeldBy(world, 2));
  const { router } = daemonOf(first);
  await world.settled(router.ask(artifactRef(artifactId), { kind: 'delete' }, { trace: 't' }));
  await world.until('the other has it', () => versionsOf(world).length === 1);
  assert.is(world.asked, 1);
  await world.until('used by one', () => isHeldBy(world, 1));
});

test('a download that fails fails for both; asked again, it is downloaded anew', async () => {
  const world = await new World(6, 3).start();
  const [first, second] = world.nodes as [SimNode, SimNode];
  const refusal = 'it names a backing file';
  const good = first.machine.images.web.get(URL);
  for (const { machine } of world.nodes) {
    machine.stepMs = 2_000;
    if (good !== undefined) machine.images.web.set(URL, { ...good, refusal });
  }
  await world.settled(world.ensure(first, 'ns1'));
  await world.settled(world.ensure(second, 'ns2'));
  const failed = () =>
    world.all<ArtifactState>('artifact').flatMap(([, { failure }]) => failure?.reason ?? []);
  await world.until('both have failed', () => failed().length === 2);
  assert.equal(failed(), [refusal, refusal]);
  assert.is(world.asked, 1);
  for (const { machine } of world.nodes) if (good !== undefined) machine.images.web.set(URL, good);
  await world.settled(world.ensure(second, 'ns2'));
  const isThere = () =>
    world.all<ArtifactState>('artifact').some(([, { phase }]) => phase === 'created');
  await world.until('fetched', isThere);
  assert.is(world.asked, 2);
});

test('a node that dies at any moment leaves one download to each that lives, and nothing behind', async () => {
  for (let round = 0; round < 24; round++) {
    const world = await new World(200 + round, 3).start();
    const [first, second, third] = world.nodes as [SimNode, SimNode, SimNode];
    for (const { machine } of world.nodes) machine.stepMs = 50;
    const asked = [world.ensure(second, 'ns1'), world.ensure(third, 'ns2')];
    await world.pass(round * 12);
    // The owner of some of the actors, and of none of the fetches.
    first.kill('in between');
    const ids = await world.settled(Promise.all(asked));
    await world.pass(5_000);
    first.boot();
    await world.until('both have it', () => versionsOf(world).length === 2);
    assert.is(new Set(versionsOf(world)).size, 1, `round ${round}`);
    assert.is(world.asked, 1, `round ${round}`);
    const { router } = daemonOf(second);
    for (const id of ids)
      await world.settled(router.ask(artifactRef(id), { kind: 'delete' }, { trace: 't' }));
    await world.pass(900_000);
    for (const { name, machine } of world.nodes)
      assert.equal(machine.leftovers(), [], `${name} in round ${round}`);
    for (const [id, state] of world.all<BlobState>('blob')) assert.is(state.phase, 'deleted', id);
  }
});

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
    // What its console has said stays for a while.
    for (const [id, state] of world.all<ArtifactState>('artifact')) {
      if (state.expiresAtMs === undefined) continue;
      await world.settled(router.ask(artifactRef(id), { kind: 'delete' }, { trace: 't' }));
    }
    await world.pass(900_000);
    for (const { name, machine } of world.nodes)
      assert.equal(machine.leftovers(), [], `${name} in round ${round}`);
    for (const [id, state] of world.all<BlobState>('blob')) assert.is(state.phase, 'deleted', id);
  }
  assert.equal([...ends].toSorted(), ['created', 'error'], 'both have been seen');
});

test.run();

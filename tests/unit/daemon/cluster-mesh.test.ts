// Members, router and mesh together: daemons that share nothing but the store and their sockets.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Message, Ref } from '../../../actors/kernel/kind.ts';
import { localRouter } from '../../../actors/kernel/router.ts';
import { clusterRouter } from '../../../transport/sharding/router.ts';
import { settle } from '../../support/kernel.ts';
import { helloOf, MeshCluster, meshLab } from '../../support/mesh-lab.ts';
import { job, type JobMessage } from '../kernel/toy.ts';
import { waitUntil } from '../../support/wait.ts';
import { endless, stop, world } from './cluster-world.ts';

const test = suite('cluster over the mesh');
const JOBS: readonly Ref<JobMessage>[] = Array.from({ length: 40 }, (_, index) =>
  job(`job-${index}`),
);
const options = { trace: 't' };

/** What a version of the software speaks and stores. */
interface Version {
  readonly format: number;
  readonly protocolMax: number;
}

const OLD: Version = { format: 1, protocolMax: 1 };
const NEW: Version = { format: 2, protocolMax: 2 };

function openWorld() {
  const here = world();
  const lab = meshLab();
  const links = new MeshCluster(lab.identityOf);
  const join = async (node: string, { format, protocolMax }: Version = OLD) => {
    const daemon = here.daemon(endless().work, async () => {}, node, format);
    const local = localRouter(daemon.runtime, {});
    const { mesh } = await links.start(node, {
      hello: helloOf(node, { bootId: daemon.member.bootId, protocolMax }),
      // What a peer sends is decoded by the kind, like everything else.
      handle: (_from, to, body, rest) => local.ask(to, body as Message, rest),
    });
    const { cluster: routes } = daemon;
    const onLostTell = () => assert.unreachable('no tell is lost');
    const router = clusterRouter({
      node,
      local,
      peers: mesh,
      routes,
      clock: here.clock,
      onLostTell,
    });
    await daemon.cluster.join(daemon.runtime);
    await calm(here);
    return { ...daemon, router, mesh };
  };
  return { here, lab, links, join };
}

async function calm({ clock }: ReturnType<typeof world>): Promise<void> {
  for (let turn = 0; turn < 20; turn++) {
    await clock.advance(0);
    await settle();
  }
}

test('actors are reached over real links, and where a shard went', async () => {
  const { lab, links, join } = openWorld();
  const one = await join('n1');
  for (const each of JOBS) await one.router.ask(each, { kind: 'create', name: each.id }, options);
  const two = await join('n2');
  for (const from of [one, two]) {
    const answers = JOBS.map((each) => from.router.ask(each, { kind: 'read' }, options));
    for (const { value } of await Promise.all(answers))
      assert.equal(value, { phase: 'working', notes: 0 });
  }
  assert.equal([one.mesh.linkCount, two.mesh.linkCount], [1, 1]);
  const there = JOBS.find((each) => one.cluster.epochOf(each) === null);
  if (there === undefined) throw new Error('nothing has moved');
  const again = { kind: 'create', name: 'x' } as const;
  await rejects(one.router.ask(there, again, options), { code: 'object/exists' });
  for (const daemon of [one, two]) await stop(daemon);
  await links.close();
  lab.close();
});

test('a cluster is upgraded one by one: old and new work together, and the new decide', async () => {
  const { here, lab, links, join } = openWorld();
  const first = await join('n1', OLD);
  const second = await join('n2', OLD);
  for (const each of JOBS) await first.router.ask(each, { kind: 'create', name: each.id }, options);
  const third = await join('n3', NEW);
  await calm(here);
  const shards = () => [first, second, third].map(({ cluster }) => cluster.shardCount);
  assert.equal(shards(), [0, 0, 256], 'nobody else could read what it writes');
  for (const from of [first, second, third]) {
    const answers = JOBS.map((each) => from.router.ask(each, { kind: 'read' }, options));
    for (const { value } of await Promise.all(answers))
      assert.equal(value, { phase: 'working', notes: 0 });
  }
  await stop(first);
  await first.mesh.close();
  const again = await join('n1', NEW);
  await calm(here);
  const spread = [again, third].map(({ cluster }) => cluster.shardCount);
  assert.ok(Math.min(...spread) > 50, spread.join());
  assert.is(second.cluster.shardCount, 0);
  const reads = () =>
    Promise.all(JOBS.map((each) => second.router.ask(each, { kind: 'read' }, options))).then(
      () => true,
      () => false,
    );
  // Its link to the one that was away is made anew after a pause.
  await waitUntil('the old one reaches the new ones', reads);
  for (const daemon of [again, second, third]) await stop(daemon);
  await links.close();
  lab.close();
});

test.run();

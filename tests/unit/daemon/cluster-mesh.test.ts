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
import { endless, stop, world } from './cluster-world.ts';

const test = suite('cluster over the mesh');
const JOBS: readonly Ref<JobMessage>[] = Array.from({ length: 40 }, (_, index) =>
  job(`job-${index}`),
);
const options = { trace: 't' };

test('actors are reached over real links, and where a shard went', async () => {
  const here = world();
  const lab = meshLab();
  const links = new MeshCluster(lab.identityOf);
  const join = async (node: string) => {
    const daemon = here.daemon(endless().work, async () => {}, node);
    const local = localRouter(daemon.runtime, {});
    const { mesh } = await links.start(node, {
      hello: helloOf(node, { bootId: daemon.member.bootId }),
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
    for (let turn = 0; turn < 20; turn++) {
      await here.clock.advance(0);
      await settle();
    }
    return { ...daemon, router, mesh };
  };
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

test.run();

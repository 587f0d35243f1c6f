// Members, router and mesh together: daemons that share nothing but the store and their sockets.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import type { Message, Ref } from '../../../actors/kernel/kind.ts';
import { localRouter } from '../../../actors/kernel/router.ts';
import { Mesh } from '../../../transport/mesh/mesh.ts';
import { clusterRouter } from '../../../transport/sharding/router.ts';
import { keptLog, settle } from '../../support/kernel.ts';
import { testAuthority } from '../../support/mesh-certificates.ts';
import { job, type JobMessage } from '../kernel/toy.ts';
import { endless, stop, world } from './cluster-world.ts';

const test = suite('cluster over the mesh');
const JOBS: readonly Ref<JobMessage>[] = Array.from({ length: 40 }, (_, index) =>
  job(`job-${index}`),
);
const options = { trace: 't' };

test('actors are reached over real links, and where a shard went', async () => {
  const here = world();
  const authority = testAuthority();
  const alive = setInterval(() => undefined, 1_000);
  const ports = new Map<string, number>();
  const join = async (node: string) => {
    const daemon = here.daemon(endless().work, async () => {}, node);
    const local = localRouter(daemon.runtime, {});
    const mesh = await Mesh.open({
      hello: {
        protocolMin: 1,
        protocolMax: 1,
        cluster: 'test',
        node,
        bootId: daemon.member.bootId,
        version: '',
        features: [],
      },
      identity: authority.identity(node),
      listen: { host: '127.0.0.1', port: 0 },
      addressOf: (name) => {
        const port = ports.get(name);
        return port === undefined ? undefined : { host: '127.0.0.1', port };
      },
      // What a peer sends is decoded by the kind, like everything else.
      handle: (_from, to, body, rest) => local.ask(to, body as Message, rest),
      clock: systemClock,
      random: Math.random,
      log: keptLog().log,
    });
    ports.set(node, mesh.port);
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
  for (const daemon of [one, two]) {
    await stop(daemon);
    await daemon.mesh.close();
  }
  authority.close();
  clearInterval(alive);
});

test.run();

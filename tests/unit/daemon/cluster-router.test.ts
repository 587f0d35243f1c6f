// Messages that find their actor wherever it is, also while shards move.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Address, Message, Ref } from '../../../actors/kernel/kind.ts';
import type { Router } from '../../../actors/kernel/ports.ts';
import { localRouter } from '../../../actors/kernel/router.ts';
import { executorRef, nodeOfExecutor } from '../../../actors/node/executor-message.ts';
import { clusterRouter, type Peers } from '../../../transport/sharding/router.ts';
import { settle } from '../../support/kernel.ts';
import { job, type JobMessage } from '../kernel/toy.ts';
import { endless, stop, TTL_MS, world, type Daemon } from './cluster-world.ts';

const test = suite('cluster router');
const JOBS: readonly Ref<JobMessage>[] = Array.from({ length: 40 }, (_, index) =>
  job(`job-${index}`),
);
const options = { trace: 't' };

interface Routed extends Daemon {
  /** Its actors and executors, and nobody else's. */
  readonly local: Router;
  readonly router: Router;
  readonly lostTells: string[];
}

/** Daemons whose routers reach each other's actors directly; messages are counted by their receiver. */
function routed(here = world()) {
  const daemons = new Map<string, Routed>();
  const received = new Map<string, number>();
  const executors: string[] = [];
  const reach = (node: string): Router => {
    const peer = daemons.get(node);
    if (peer === undefined) throw new TroupeError('host/timeout', `${node} is out of reach`);
    received.set(node, (received.get(node) ?? 0) + 1);
    return peer.local;
  };
  const peers: Peers = {
    ask: async (node, to, message, rest) => reach(node).ask(to, structuredClone(message), rest),
  };
  async function join(node: string): Promise<Routed> {
    const daemon = here.daemon(endless().work, async () => {}, node);
    const executor = (to: Address) => {
      executors.push(to.id);
      return Promise.resolve(`done on ${node}`);
    };
    const local = localRouter(daemon.runtime, { executor });
    const lostTells: string[] = [];
    const onLostTell = (to: Address, message: Message) =>
      void lostTells.push(`${to.id} ${message.kind}`);
    const { cluster: routes } = daemon;
    const router = clusterRouter({ node, local, peers, routes, clock: here.clock, onLostTell });
    const self = { ...daemon, local, router, lostTells };
    daemons.set(node, self);
    await daemon.cluster.join(daemon.runtime);
    await here.clock.advance(0);
    await settle();
    return self;
  }
  return { ...here, daemons, received, executors, join };
}

async function settleMoves({ clock }: { clock: ReturnType<typeof world>['clock'] }): Promise<void> {
  for (let turn = 0; turn < 20; turn++) {
    await clock.advance(10);
    await settle();
  }
}

test('any daemon reaches any actor, in one hop', async () => {
  const here = routed();
  const [one, two] = [await here.join('n1'), await here.join('n2')];
  await settleMoves(here);
  for (const each of JOBS) await one.router.ask(each, { kind: 'create', name: each.id }, options);
  for (const each of JOBS) {
    const { value } = await two.router.ask(each, { kind: 'read' }, options);
    assert.equal(value, { phase: 'working', notes: 0 });
  }
  const moved = JOBS.filter((each) => two.cluster.epochOf(each) !== null).length;
  assert.ok(moved > 0 && moved < JOBS.length);
  assert.equal(
    [...here.received],
    [
      ['n2', moved],
      ['n1', JOBS.length - moved],
    ],
  );
  for (const daemon of [one, two]) await stop(daemon);
});

test('a machine is reached by its name, whoever owns what', async () => {
  const here = routed();
  const [one, two] = [await here.join('n1'), await here.join('n2')];
  const to = executorRef('n2', 'segment', 'front');
  const message = {
    kind: 'want',
    owner: 'network/x',
    epoch: 1,
    generation: 1,
    spec: null,
  } as const;
  assert.is((await one.router.ask(to, message, options)).value, 'done on n2');
  assert.equal(here.executors, ['n2/segment/front']);
  assert.is(nodeOfExecutor(to.id), 'n2');
  for (const daemon of [one, two]) await stop(daemon);
});

test('a refusal crosses with its code', async () => {
  const here = routed();
  const [one, two] = [await here.join('n1'), await here.join('n2')];
  await settleMoves(here);
  const there = JOBS.find((each) => one.cluster.epochOf(each) === null);
  assert.ok(there);
  if (there === undefined) return;
  await one.router.ask(there, { kind: 'create', name: 'a' }, options);
  await rejects(one.router.ask(there, { kind: 'create', name: 'a' }, options), {
    code: 'object/exists',
  });
  for (const daemon of [one, two]) await stop(daemon);
});

test('asks and tells sent while shards move arrive once they have moved', async () => {
  const here = routed();
  const one = await here.join('n1');
  for (const each of JOBS) await one.router.ask(each, { kind: 'create', name: each.id }, options);
  const joining = here.join('n2');
  const answers = Promise.all(
    JOBS.map((each) => one.router.ask(each, { kind: 'note', text: 'asked' }, options)),
  );
  for (const each of JOBS) one.router.tell(each, { kind: 'note', text: 'told' }, options);
  await settleMoves(here);
  const two = await joining;
  await answers;
  for (const each of JOBS) {
    const { value } = await two.router.ask(each, { kind: 'read' }, options);
    assert.equal(value, { phase: 'working', notes: 2 }, each.id);
  }
  assert.equal(one.lostTells, []);
  for (const daemon of [one, two]) await stop(daemon);
});

test('while nobody owns a shard its messages wait, and are refused in the end with a way out', async () => {
  const here = routed();
  const [one, two] = [await here.join('n1'), await here.join('n2')];
  await settleMoves(here);
  const there = JOBS.find((each) => one.cluster.epochOf(each) === null);
  if (there === undefined) throw new Error('nothing has moved');
  await one.router.ask(there, { kind: 'create', name: 'a' }, options);
  // The owner is cut off: it decides nothing, and its keys stand until its lease is over.
  two.store.faults.link = 'stalled';
  for (let turn = 0; two.cluster.epochOf(there) !== null; turn++) {
    assert.ok(turn < TTL_MS / 100, 'it stops deciding by itself');
    await here.clock.advance(100);
    await settle();
  }
  assert.is(one.cluster.nodeOf(there), 'n2', 'its keys still stand');
  const waiting = one.router.ask(there, { kind: 'read' }, options);
  let outcome = '';
  waiting.then(
    () => (outcome = 'answered'),
    (error: unknown) => (outcome = String(error)),
  );
  await settleMoves(here);
  assert.is(outcome, '', 'it waits');
  for (let turn = 0; turn < 40; turn++) {
    await here.clock.advance(100);
    await settle();
  }
  assert.is(outcome, 'answered', 'the successor answered what had waited');
  // The last daemon is cut off as well: nobody will come.
  one.store.faults.link = 'stalled';
  await here.clock.advance(TTL_MS);
  const refused = rejects(one.router.ask(there, { kind: 'read' }, options), (error: Error) => {
    assert.is((error as TroupeError).code, 'shard/not-owner');
    assert.match(error.message, /try again/);
    return true;
  });
  one.router.tell(there, { kind: 'note', text: 'lost' }, options);
  for (let turn = 0; turn < 60; turn++) {
    await here.clock.advance(100);
    await settle();
  }
  await refused;
  assert.equal(one.lostTells, [`${there.id} note`], 'a tell that is lost is counted');
  for (const daemon of [one, two]) daemon.store.faults.link = 'up';
  const stops = [one, two].map((daemon) => stop(daemon));
  await here.clock.advance(10_000);
  await Promise.all(stops);
});

test.run();

// Shards that move between daemons as members come and go, on the store in memory.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../../actors/kernel/errors.ts';
import type { Address } from '../../../actors/kernel/kind.ts';
import { placeShards } from '../../../transport/sharding/placement.ts';
import { SHARDS, shardOf } from '../../../transport/sharding/shard.ts';
import { settle } from '../../support/kernel.ts';
import { job, type JobPerformers } from '../kernel/toy.ts';
import { endless, stop, TTL_MS, world, type Daemon } from './cluster-world.ts';

const test = suite('cluster members');
const ask = { trace: 't' };
/** Enough jobs for every daemon of three to own some. */
const JOBS = Array.from({ length: 60 }, (_, index) => job(`job-${index}`));

type World = ReturnType<typeof world>;

/** A daemon that works without end; `begun` counts the beginnings of its work. */
async function join({ daemon, clock }: World, node: string) {
  const { begun, work } = endless();
  const self = daemon(work, async () => {}, node);
  await self.cluster.join(self.runtime);
  await clock.advance(0);
  await settle();
  return { ...self, begun };
}

/** How many of the jobs each daemon decides for; fails when one has two deciders. */
function deciders(daemons: readonly Daemon[]): number[] {
  const counts = daemons.map(() => 0);
  for (const one of JOBS) {
    const owners = daemons.flatMap(({ cluster }, at) =>
      cluster.epochOf(one) === null ? [] : [at],
    );
    assert.ok(owners.length <= 1, `${one.id} is decided by ${owners.length}`);
    for (const at of owners) counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

const sum = (counts: readonly number[]) => counts.reduce((all, one) => all + one, 0);

async function createAll({ runtime }: Daemon): Promise<void> {
  for (const one of JOBS) await runtime.ask(one, { kind: 'create', name: one.id }, ask);
  await settle();
}

/** Gives hand-overs their turns: no time has to pass for them. */
async function handOver({ clock }: World): Promise<void> {
  for (let turn = 0; turn < 20; turn++) {
    await clock.advance(0);
    await settle();
  }
}

test('each knows who else is there, until that one leaves', async () => {
  const here = world();
  const first = await join(here, 'n1');
  const seen = () => ['n1', 'n2', 'n3'].map((node) => first.cluster.isMember(node));
  assert.equal(seen(), [true, false, false]);
  const second = await join(here, 'n2');
  assert.equal(seen(), [true, true, false]);
  await stop(second);
  await handOver(here);
  assert.equal(seen(), [true, false, false]);
  await stop(first);
});

// What a daemon needs before it runs its actors may be decided by a shard that is about to be its own: it used to
// wait for itself, and could not start beside others.
test('a member takes its shards over while it gets ready, and starts their work afterwards', async () => {
  const here = world();
  const first = await join(here, 'n1');
  await createAll(first);
  const ready = Promise.withResolvers<void>();
  const { begun, work } = endless();
  const second = here.daemon(work, () => ready.promise, 'n2');
  const joining = second.cluster.join(second.runtime);
  await handOver(here);
  const counts = deciders([first, second]);
  assert.is(sum(counts), JOBS.length, 'nobody is left out');
  assert.ok((counts[1] ?? 0) > 5, 'it decides for its own');
  assert.is(begun.length, 0, 'no work is begun yet');
  ready.resolve();
  assert.is(await joining, counts[1]);
  await handOver(here);
  assert.is(begun.length, counts[1]);
  for (const daemon of [first, second]) await stop(daemon);
});

test('a member that joins gets its shards from the others, and carries their work on', async () => {
  const here = world();
  const first = await join(here, 'n1');
  await createAll(first);
  assert.is(first.begun.length, JOBS.length);
  const second = await join(here, 'n2');
  await handOver(here);
  const third = await join(here, 'n3');
  await handOver(here);
  const daemons = [first, second, third];
  const counts = deciders(daemons);
  assert.is(sum(counts), JOBS.length, 'nobody is left out');
  assert.ok(
    counts.every((count) => count > 5),
    `spread: ${counts.join(', ')}`,
  );
  assert.ok(second.begun.length > 0 && third.begun.length > 0, 'work goes on where the shard is');
  for (const one of daemons) await stop(one);
});

test('a member that leaves is succeeded at once, and one that dies when its lease is over', async () => {
  const here = world();
  const first = await join(here, 'n1');
  await createAll(first);
  const second = await join(here, 'n2');
  const third = await join(here, 'n3');
  await handOver(here);
  await stop(second);
  await handOver(here);
  assert.is(sum(deciders([first, third])), JOBS.length);
  third.store.faults.link = 'stalled';
  for (let second = 0; second < TTL_MS / 1_000 + 2; second++) {
    await here.clock.advance(1_000);
    await settle();
    deciders([first, third]);
  }
  assert.equal(deciders([first, third]), [JOBS.length, 0]);
  third.store.faults.link = 'up';
  await here.clock.advance(30_000);
  await handOver(here);
  assert.is(sum(deciders([first, third])), JOBS.length, 'back again, it takes its share');
  assert.ok((deciders([first, third])[1] ?? 0) > 0);
  for (const one of [first, third]) await stop(one);
});

test('an address that has moved is refused where it was, and its state is found where it is', async () => {
  const here = world();
  const first = await join(here, 'n1');
  await createAll(first);
  const second = await join(here, 'n2');
  await handOver(here);
  const moved = JOBS.find((one) => second.cluster.epochOf(one) !== null);
  if (moved === undefined) throw new Error('nothing has moved');
  const refusal = await first.runtime.ask(moved, { kind: 'read' }, ask).catch(codeOf);
  assert.is(refusal, 'shard/not-owner');
  const { value } = await second.runtime.ask(moved, { kind: 'read' }, ask);
  assert.equal(value, { phase: 'working', notes: 0 });
  for (const one of [first, second]) await stop(one);
});

test('work that moves is over where it was before it begins elsewhere', async () => {
  const here = world();
  const under = new Map<string, number>();
  const work: JobPerformers['work'] = (_, { self, signal }) => {
    under.set(self.id, (under.get(self.id) ?? 0) + 1);
    assert.is(under.get(self.id), 1, `${self.id} is worked on twice`);
    return new Promise((_resolve, reject) => {
      const end = () => {
        under.set(self.id, 0);
        reject(new Error('called off'));
      };
      // It takes a while to end, as on a real machine.
      signal.addEventListener('abort', () => void here.clock.after(2_000, end), { once: true });
    });
  };
  const daemons: Daemon[] = [];
  for (const node of ['n1', 'n2', 'n3']) {
    const self = here.daemon(work, async () => {}, node);
    daemons.push(self);
    await self.cluster.join(self.runtime);
    if (node === 'n1') await createAll(self);
    await here.clock.advance(2_000);
    await handOver(here);
  }
  assert.is(sum(deciders(daemons)), JOBS.length);
  assert.equal(
    [...under.values()],
    JOBS.map(() => 1),
  );
  const stops = daemons.map((one) => stop(one));
  await here.clock.advance(10_000);
  await Promise.all(stops);
});

// All shards of a hand-over waited for the slowest effect of any of them, and what was sent to their objects with them.
test('a shard whose actors have stopped moves, while another waits for its own', async () => {
  const here = world();
  const placed = placeShards(['n1', 'n2'].map((node) => ({ node, weight: 1 })));
  const [slow, ...others] = JOBS.filter((one) => placed[shardOf(one)] === 'n2');
  const work: JobPerformers['work'] = (_, { self, signal }) =>
    new Promise((_resolve, reject) => {
      const end = () => reject(new Error('called off'));
      const endsInMs = self.id === slow?.id ? 9_000 : 0;
      signal.addEventListener('abort', () => void here.clock.after(endsInMs, end), { once: true });
    });
  const first = here.daemon(work, async () => {}, 'n1');
  await first.cluster.join(first.runtime);
  await createAll(first);
  const second = await join(here, 'n2');
  await here.clock.advance(500);
  await handOver(here);
  const isSeconds = (one: Address) => second.cluster.epochOf(one) !== null;
  assert.ok(slow !== undefined && others.filter(isSeconds).length > 10);
  const moved = others.filter((one) => shardOf(one) !== shardOf(slow));
  assert.ok(moved.every(isSeconds), 'the others have moved');
  assert.is(second.begun.length, moved.length, 'and their work goes on');
  assert.not(isSeconds(slow), 'it still ends what it does');
  await here.clock.advance(9_000);
  await handOver(here);
  assert.ok(isSeconds(slow));
  deciders([first, second]);
  const stops = [first, second].map((one) => stop(one));
  await here.clock.advance(10_000);
  await Promise.all(stops);
});

// The key stood under a lease that lived on, for a shard that its holder did not know of and was not meant to run any
// more: nobody decided for it until that daemon was restarted.
test('a shard whose taking was not answered is given up when it is meant for another by then', async () => {
  const here = world();
  const first = await join(here, 'n1');
  const second = await join(here, 'n2');
  await handOver(here);
  first.store.faults.fate = (call) => (call === 'txn' ? 'lose-answer' : 'pass');
  await stop(second);
  await here.clock.advance(1_000);
  const again = await join(here, 'n2');
  await here.clock.advance(6_000);
  first.store.faults.fate = () => 'pass';
  await here.clock.advance(8_000);
  await handOver(here);
  const owned = [first, again].map(({ cluster }) => cluster.shardCount);
  assert.is(sum(owned), SHARDS, owned.join(', '));
  for (const one of [first, again]) await stop(one);
});

test('answers that are lost while shards move leave no shard without an owner', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const here = world();
    const first = await join(here, 'n1');
    const second = await join(here, 'n2');
    let calls = seed;
    const fate = (call: string) => {
      if (call !== 'txn') return 'pass' as const;
      const draw = calls++ % 4;
      return draw === 0
        ? ('lose-answer' as const)
        : draw === 1
          ? ('lose-request' as const)
          : ('pass' as const);
    };
    first.store.faults.fate = fate;
    second.store.faults.fate = fate;
    const third = await join(here, 'n3');
    await handOver(here);
    await here.clock.advance(6_000);
    await handOver(here);
    await stop(third);
    await here.clock.advance(6_000);
    for (const one of [first, second]) one.store.faults.fate = () => 'pass';
    await here.clock.advance(8_000);
    await handOver(here);
    const owned = [first, second].map(({ cluster }) => cluster.shardCount);
    assert.is(sum(owned), SHARDS, `seed ${seed}: ${owned.join(', ')}`);
    for (const one of [first, second]) await stop(one);
  }
});

test.run();

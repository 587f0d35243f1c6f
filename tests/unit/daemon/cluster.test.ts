// A daemon's life in the cluster, on the store in memory and a clock turned by hand.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../../actors/kernel/errors.ts';
import { Runtime } from '../../../actors/kernel/runtime.ts';
import { Cluster } from '../../../src/daemon/cluster.ts';
import { StoreJournal } from '../../../transport/sharding/journal.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { keptLog, ManualClock, seededRandom, settle } from '../../support/kernel.ts';
import { job, jobKind, type JobPerformers } from '../kernel/toy.ts';

const test = suite('cluster');
const keys = clusterKeys('test');
const TTL_MS = 10_000;
const ask = { trace: 't' };
const one = job('one');

/** A store with a clock, on which daemons of one installation can be started. */
function world() {
  const clock = new ManualClock();
  const server = new MemoryCluster({ clock });
  let boots = 0;
  const daemon = (work: JobPerformers['work'], onJoined: () => Promise<void> = async () => {}) => {
    const store = new MemoryStore({ cluster: server });
    const { log, lines } = keptLog();
    const member = {
      node: 'n1',
      installation: 'i1',
      bootId: `b${++boots}`,
      version: '1',
      api: '',
      vtep: '',
    };
    const membership = { store, keys, clock, log, member, leaseTtlMs: TTL_MS };
    const cluster = new Cluster({ store, keys, clock, log, membership, onJoined });
    const journal = new StoreJournal(store, new GroupCommit({ store, clock }), keys);
    const random = seededRandom(boots);
    const runtime = new Runtime({ node: 'n1', clock, random, journal, ownership: cluster, log });
    runtime.register(jobKind(), { work });
    return { store, cluster, runtime, journal, lines, member };
  };
  return { clock, daemon };
}

type Daemon = ReturnType<ReturnType<typeof world>['daemon']>;

async function stop({ runtime, cluster, store }: Daemon): Promise<void> {
  await runtime.stop();
  await cluster.leave();
  await store.close();
}

/** Work that goes on until it is called off; counts its beginnings. */
function endless() {
  const begun: number[] = [];
  const work: JobPerformers['work'] = (_, { epoch, signal }) => {
    begun.push(epoch);
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('called off')), { once: true });
    });
  };
  return { begun, work };
}

test('joining starts the actors that have work, and no others', async () => {
  const { clock, daemon } = world();
  const { begun, work } = endless();
  const first = daemon(work);
  assert.is(await first.cluster.join(first.runtime), 0);
  await first.runtime.ask(one, { kind: 'create', name: 'a' }, ask);
  await first.runtime.ask(job('two'), { kind: 'create', name: 'b' }, ask);
  await first.runtime.ask(job('two'), { kind: 'cancel' }, ask);
  await settle();
  assert.is(begun.length, 2);
  await stop(first);
  const second = daemon(({ generation }) => Promise.resolve({ kind: 'worked', generation }));
  assert.is(await second.cluster.join(second.runtime), 1);
  await settle();
  const reply = await second.runtime.ask(one, { kind: 'read' }, ask);
  assert.equal(reply.value, { phase: 'done', notes: 0 });
  await stop(second);
  await clock.advance(0);
});

test('a daemon that lost its lease decides nothing; back again, it carries on under newer epochs', async () => {
  const { clock, daemon } = world();
  const { begun, work } = endless();
  let joins = 0;
  const self = daemon(work, async () => void joins++);
  const { cluster, runtime, store } = self;
  await cluster.join(runtime);
  await runtime.ask(one, { kind: 'create', name: 'a' }, ask);
  await settle();
  const before = cluster.epochOf(one) ?? 0;
  store.faults.link = 'stalled';
  await clock.advance(TTL_MS);
  assert.is(cluster.epochOf(one), null);
  await rejects(
    runtime.ask(one, { kind: 'change' }, ask),
    (error) => codeOf(error) === 'shard/not-owner',
  );
  await clock.advance(60_000);
  assert.equal([begun.length, joins], [1, 1], 'nothing is begun while away');
  store.faults.link = 'up';
  await clock.advance(20_000);
  const after = cluster.epochOf(one) ?? 0;
  assert.ok(after > before, `${after} > ${before}`);
  assert.equal(begun, [before, after], 'the work in hand is begun anew');
  assert.is(joins, 2);
  await runtime.ask(one, { kind: 'change' }, ask);
  await stop(self);
});

test('leaving while it tries to join again ends, whatever the link does', async () => {
  for (const link of ['refused', 'stalled'] as const) {
    const { clock, daemon } = world();
    const self = daemon(endless().work);
    await self.cluster.join(self.runtime);
    self.store.faults.link = link;
    await clock.advance(TTL_MS + 20_000);
    let hasEnded = false;
    const stopping = stop(self).then(() => (hasEnded = true));
    // One call may be under way; a pause between two tries is not waited for.
    await clock.advance(link === 'refused' ? 0 : 6_000);
    assert.ok(hasEnded, link);
    await stopping;
    assert.is(self.cluster.epochOf(one), null);
    assert.is(clock.pending, 0, `${link}: timers left`);
  }
});

test('leaving while the store is out of reach leaves the keys to their TTL', async () => {
  const { clock, daemon } = world();
  const self = daemon(endless().work);
  await self.cluster.join(self.runtime);
  self.store.faults.link = 'refused';
  const stopping = stop(self);
  await clock.advance(6_000);
  await stopping;
  assert.ok(self.lines.some(({ message }) => message.includes('TTL')));
});

test('a rejoin that fails half way does not stand in the way of the next', async () => {
  const { clock, daemon } = world();
  let joins = 0;
  const self = daemon(endless().work, () =>
    ++joins === 2 ? Promise.reject(new Error('cannot register')) : Promise.resolve(),
  );
  const { cluster, runtime, store } = self;
  await cluster.join(runtime);
  store.faults.link = 'stalled';
  await clock.advance(TTL_MS + 6_000);
  store.faults.link = 'up';
  await clock.advance(30_000);
  assert.type(cluster.epochOf(one), 'number');
  assert.is(joins, 3);
  await stop(self);
});

test('a lease lost again while it joins is one more try, not a second loop', async () => {
  const { clock, daemon } = world();
  let joins = 0;
  const { begun, work } = endless();
  const self = daemon(work, async () => {
    if (++joins !== 2) return;
    self.store.faults.link = 'stalled';
    await new Promise<void>((resolve) => clock.after(2 * TTL_MS, resolve));
  });
  const { cluster, runtime, store } = self;
  await cluster.join(runtime);
  await runtime.ask(one, { kind: 'create', name: 'a' }, ask);
  store.faults.link = 'stalled';
  await clock.advance(TTL_MS + 6_000);
  store.faults.link = 'up';
  await clock.advance(15_000);
  assert.is(joins, 2);
  await clock.advance(2 * TTL_MS);
  store.faults.link = 'up';
  await clock.advance(30_000);
  assert.is(joins, 3);
  assert.type(cluster.epochOf(one), 'number');
  assert.is(begun.length, 2);
  const again = self.lines.filter(({ message }) => message === 'joined again');
  assert.is(again.length, 1);
  await stop(self);
});

test.run();

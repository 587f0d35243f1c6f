// A daemon's life in the cluster, on the store in memory and a clock turned by hand.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../../actors/kernel/errors.ts';
import { settle } from '../../support/kernel.ts';
import { job } from '../kernel/toy.ts';
import { endless, stop, TTL_MS, world } from './cluster-world.ts';

const test = suite('cluster');
const ask = { trace: 't' };
const one = job('one');

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

test('a daemon whose name another has taken meanwhile says so, once', async () => {
  const { clock, daemon } = world();
  const self = daemon(endless().work);
  await self.cluster.join(self.runtime);
  self.store.faults.link = 'stalled';
  await clock.advance(2 * TTL_MS);
  const other = daemon(endless().work, undefined, 'n1', 1, 'another installation');
  await other.cluster.join(other.runtime);
  self.store.faults.link = 'up';
  await clock.advance(60_000);
  const told = self.lines.filter(
    ({ level, message }) => level === 'warn' && /not joined/.test(message),
  );
  assert.is(told.length, 1);
  assert.match(String(told[0]?.fields['reason']), /under the node name n1; give this one a name/);
  await stop(self);
  await stop(other);
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

// Joining under a lease, owning shards, and writing under their epoch, on the store in memory.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError, type ErrorCode } from '../../../actors/kernel/errors.ts';
import type { TurnWrite } from '../../../actors/kernel/ports.ts';
import { StoreClaims, StoreJournal } from '../../../transport/sharding/journal.ts';
import { decodeMember, type Member } from '../../../transport/sharding/member.ts';
import { Membership } from '../../../transport/sharding/membership.ts';
import { SHARDS, shardOf } from '../../../transport/sharding/shard.ts';
import { decodeEnvelope } from '../../../transport/store/codec.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { keptLog, ManualClock, settle } from '../../support/kernel.ts';

const test = suite('membership');
const keys = clusterKeys('test');
const TTL_MS = 10_000;
const ALL = { limit: -1, type: null };
const address = { kind: 'network', id: 'n1' };

function world() {
  const clock = new ManualClock();
  const cluster = new MemoryCluster({ clock });
  const client = () => new MemoryStore({ cluster });
  return { clock, cluster, client };
}

function member(node: string, installation: string, bootId: string): Member {
  return {
    node,
    installation,
    bootId,
    version: '1',
    api: 'http://127.0.0.1:1',
    vtep: '',
    mesh: null,
    format: 1,
    weight: 1,
  };
}

const ALL_SHARDS = Array.from({ length: SHARDS }, (_, shard) => shard);

/** Takes all that is free; resolves to how many are owned then. */
async function takeAll(membership: Membership): Promise<number> {
  await membership.take(ALL_SHARDS.filter((shard) => !membership.shards.includes(shard)));
  return membership.shards.length;
}

function join(store: MemoryStore, clock: ManualClock, who: Member): Promise<Membership> {
  const { log } = keptLog();
  return Membership.join({ store, keys, clock, log, member: who, leaseTtlMs: TTL_MS });
}

function journalOn(store: MemoryStore, clock: ManualClock): StoreJournal {
  return new StoreJournal(store, new GroupCommit({ store, clock }), keys);
}

function write(epoch: number, state: unknown, name: string | null = null): TurnWrite {
  const index = { before: null, after: name === null ? null : { namespace: 'lab', name } };
  return { address, epoch, snapshot: { schema: 1, state }, events: [], index };
}

const refusedWith = (code: ErrorCode) => (error: unknown) =>
  error instanceof TroupeError && error.code === code;

test('a shard is a number below 256 that never changes for an address', () => {
  assert.is(shardOf({ kind: 'instance', id: 'a' }), 150);
  assert.is(shardOf({ kind: 'network', id: 'a' }), 67);
  const counts = new Map<number, number>();
  for (let index = 0; index < 10_000; index++) {
    const shard = shardOf({ kind: 'instance', id: String(index) });
    counts.set(shard, (counts.get(shard) ?? 0) + 1);
  }
  assert.is(counts.size, SHARDS);
  assert.ok(
    [...counts.values()].every((count) => count > 10 && count < 80),
    'evenly spread',
  );
});

test('who joins alone owns every shard, each under an epoch', async () => {
  const { clock, client } = world();
  const membership = await join(client(), clock, member('n1', 'i1', 'b1'));
  assert.is(membership.epochOf(address), null, 'nothing before take()');
  assert.is(await takeAll(membership), SHARDS);
  assert.type(membership.epochOf(address), 'number');
  assert.type(membership.epochOf({ kind: 'node', id: 'n1' }), 'number');
  assert.is(membership.epochOf({ kind: 'node', id: 'n2' }), null, "another node's own object");
});

test('a second daemon gets no shard that another owns', async () => {
  const { clock, client } = world();
  const first = await join(client(), clock, member('n1', 'i1', 'b1'));
  await takeAll(first);
  const second = await join(client(), clock, member('n2', 'i2', 'b2'));
  assert.is(await takeAll(second), 0);
  assert.is(second.epochOf(address), null);
});

test("a restarted daemon ends its predecessor's lease and owns its shards at once, under a newer epoch", async () => {
  const { clock, client } = world();
  const dead = await join(client(), clock, member('n1', 'i1', 'b1'));
  await takeAll(dead);
  const before = dead.epochOf(address) ?? 0;
  const restarted = await join(client(), clock, member('n1', 'i1', 'b2'));
  assert.is(await takeAll(restarted), SHARDS);
  assert.ok((restarted.epochOf(address) ?? 0) > before);
});

test('a stranger with the same node name is refused, and the first goes on', async () => {
  const { clock, client } = world();
  const first = await join(client(), clock, member('n1', 'i1', 'b1'));
  await takeAll(first);
  await rejects(join(client(), clock, member('n1', 'other', 'b9')), refusedWith('host/locked'));
  assert.type(first.epochOf(address), 'number');
});

test('a weight whose answer was lost is not taken for the one before', async () => {
  const { clock, client } = world();
  const store = client();
  const membership = await join(store, clock, member('n1', 'i1', 'b1'));
  store.faults.fate = (call) => (call === 'txn' ? 'lose-answer' : 'pass');
  const drained = rejects(membership.carry(0), refusedWith('store/unavailable'));
  await clock.advance(6_000);
  await drained;
  store.faults.fate = () => 'pass';
  await membership.carry(1);
  const entry = await client().get(keys.member('n1'));
  const decoded = entry === null ? null : decodeEnvelope(entry.value);
  assert.ok(decoded?.ok);
  assert.is(decodeMember(decoded.envelope.state).weight, 1);
});

test('a join whose answer was lost does not shut the next one out', async () => {
  const { clock, client } = world();
  const store = client();
  store.faults.fate = (call) => (call === 'txn' ? 'lose-answer' : 'pass');
  const joining = rejects(
    join(store, clock, member('n1', 'i1', 'b1')),
    refusedWith('store/unavailable'),
  );
  await clock.advance(6_000);
  await joining;
  store.faults.fate = () => 'pass';
  const membership = await join(store, clock, member('n1', 'i1', 'b1'));
  assert.is(await takeAll(membership), SHARDS);
});

test('a daemon cut off from the store stops deciding before its lease can be over', async () => {
  const { clock, cluster, client } = world();
  const store = client();
  const membership = await join(store, clock, member('n1', 'i1', 'b1'));
  await takeAll(membership);
  let lost = '';
  membership.onLost((end) => (lost = end));
  store.faults.link = 'stalled';
  const stoppedAt: number[] = [];
  const goneAt: number[] = [];
  const other = client();
  for (let second = 1; second <= 15; second++) {
    await clock.advance(1_000);
    await settle();
    if (membership.epochOf(address) === null && stoppedAt.length === 0) stoppedAt.push(second);
    if ((await other.get(keys.member('n1'))) === null && goneAt.length === 0) goneAt.push(second);
  }
  assert.ok(stoppedAt[0] !== undefined && goneAt[0] !== undefined, 'both happened');
  assert.ok(
    (stoppedAt[0] ?? 99) <= (goneAt[0] ?? 0),
    `${stoppedAt[0]} s, gone after ${goneAt[0]} s`,
  );
  assert.is(lost, 'deadline');
  assert.ok(cluster.revision > 0);
});

test('leaving gives every key back', async () => {
  const { clock, client } = world();
  const store = client();
  const membership = await join(store, clock, member('n1', 'i1', 'b1'));
  await takeAll(membership);
  await membership.leave();
  assert.is(membership.epochOf(address), null);
  assert.equal((await store.range({ prefix: keys.owners() })).entries, []);
  assert.equal((await store.range({ prefix: keys.members() })).entries, []);
});

test('a write under an epoch that is over is refused, and what stands stays', async () => {
  const { clock, client } = world();
  const paused = client();
  const first = await join(paused, clock, member('n1', 'i1', 'b1'));
  await takeAll(first);
  const old = first.epochOf(address) ?? 0;
  const late = journalOn(paused, clock);
  await late.commit(write(old, { by: 'first' }));
  const store = client();
  const second = await join(store, clock, member('n1', 'i1', 'b2'));
  await takeAll(second);
  const journal = journalOn(store, clock);
  await journal.commit(write(second.epochOf(address) ?? 0, { by: 'second' }));
  await rejects(late.commit(write(old, { by: 'late' })), refusedWith('shard/not-owner'));
  assert.equal((await journal.load(address))?.snapshot.state, { by: 'second' });
});

test('snapshot, events and name go in and out together', async () => {
  const { clock, client } = world();
  const store = client();
  const membership = await join(store, clock, member('n1', 'i1', 'b1'));
  await takeAll(membership);
  const epoch = membership.epochOf(address) ?? 0;
  const journal = journalOn(store, clock);
  const event = {
    id: '01',
    atMs: 5,
    node: 'n1',
    trace: 't',
    type: 'audit',
    message: 'made',
  } as const;
  const later = { ...event, id: '02', message: 'changed' };
  const revision = await journal.commit({
    ...write(epoch, { a: 1 }, 'front/é'),
    events: [event, later],
  });
  const loaded = await journal.load(address);
  assert.is(loaded?.revision, revision);
  assert.equal(
    (await journal.events(address, ALL)).map(({ event }) => event.message),
    ['changed', 'made'],
  );
  assert.is((await store.range({ prefix: keys.names('lab', 'network') })).entries.length, 1);
  const index = { before: { namespace: 'lab', name: 'front/é' }, after: null };
  await journal.commit({ address, epoch, snapshot: null, events: [], index });
  assert.is(await journal.load(address), null);
  assert.equal(await journal.events(address, ALL), []);
  assert.equal((await store.range({ prefix: keys.names() })).entries, []);
});

test('a value is claimed once, by whoever comes first, until that one releases it', async () => {
  const { client } = world();
  const claims = new StoreClaims(client(), keys);
  const [a, b] = [
    { kind: 'network', id: 'a' },
    { kind: 'network', id: 'b' },
  ];
  assert.is(await claims.claim('vni', '7', a), true);
  assert.is(await claims.claim('vni', '7', a), true, 'asked again');
  assert.is(await claims.claim('vni', '7', b), false);
  await claims.release('vni', '7', b);
  assert.is(await claims.claim('vni', '7', b), false, "not b's to release");
  await claims.release('vni', '7', a);
  assert.is(await claims.claim('vni', '7', b), true);
});

test.run();

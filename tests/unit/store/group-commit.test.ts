import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import type { Compare, WriteOp } from '../../../transport/store/store.ts';

const test = suite('group commit');
// The clock's timers do not keep a process alive; something must, while a test waits for one.
const alive = setInterval(() => undefined, 1_000);
test.after(() => clearInterval(alive));
const bytes = (value: string) => Uint8Array.from(Buffer.from(value));
const put = (key: string, value = 'v'): WriteOp => ({ op: 'put', key, value: bytes(value) });
const absent = (key: string): Compare => ({ target: 'create', key, is: '==', than: 0 });

/** A store with an owner key, and a group commit whose sending the test starts by hand. */
async function setUp(options: { readonly maxInFlight?: number; readonly maxQueued?: number } = {}) {
  const cluster = new MemoryCluster({ clock: systemClock });
  const store = new MemoryStore({ cluster, callTimeoutMs: 200 });
  const epoch = await store.put('/owner', bytes('me'));
  const deferred: (() => void)[] = [];
  const defer = (run: () => void) => void deferred.push(run);
  const group = new GroupCommit({ store, clock: systemClock, defer, ...options });
  const owned: Compare = { target: 'create', key: '/owner', is: '==', than: epoch };
  const send = () => deferred.splice(0).forEach((run) => run());
  const value = async (key: string) => {
    const entry = await store.get(key);
    return entry === null ? null : Buffer.from(entry.value).toString();
  };
  return { cluster, store, group, owned, send, value };
}

test('the writes of one moment share one transaction and one revision', async () => {
  const { cluster, group, owned, send } = await setUp();
  const before = cluster.revision;
  const writes = Array.from({ length: 40 }, (_, i) =>
    group.commit({ guards: [owned], ops: [put(`/o/${i}`), put(`/e/${i}`)] }),
  );
  send();
  const outcomes = await Promise.all(writes);
  assert.is(group.transactions, 1);
  assert.is(cluster.revision, before + 1);
  assert.ok(outcomes.every(({ revision }) => revision === before + 1));
});

test('a hundred changes of three operations take at most ten transactions', async () => {
  const { group, owned, send } = await setUp();
  const writes = Array.from({ length: 100 }, (_, i) =>
    group.commit({ guards: [owned], ops: [put(`/o/${i}`), put(`/e/${i}`), put(`/n/${i}`)] }),
  );
  send();
  await Promise.all(writes);
  assert.ok(group.transactions <= 10, String(group.transactions));
});

test('whose guard fails gets the conflict, the others of the group go through together', async () => {
  const { store, group, owned, send, value } = await setUp();
  await store.put('/taken', bytes('v'));
  const outcomes = [
    group.commit({ guards: [owned], ops: [put('/a')] }),
    group.commit({ guards: [owned, absent('/taken')], ops: [put('/b')] }),
    group.commit({ guards: [owned], ops: [put('/c')] }),
    group.commit({ guards: [owned, absent('/free')], ops: [put('/d')] }),
  ];
  send();
  const [a, b, c, d] = await Promise.allSettled(outcomes);
  assert.equal([a?.status, c?.status, d?.status], ['fulfilled', 'fulfilled', 'fulfilled']);
  assert.is(b?.status, 'rejected');
  await rejects(Promise.resolve(outcomes[1]), { code: 'store/conflict' });
  assert.is(group.transactions, 2);
  assert.is(await value('/b'), null);
  assert.is(await value('/d'), 'v');
});

test('when the epoch is gone every write of the shard is refused, and nothing is written', async () => {
  const { store, group, owned, send, value } = await setUp();
  await store.delete('/owner');
  await store.put('/owner', bytes('the next one'));
  const writes = [1, 2, 3].map((i) => group.commit({ guards: [owned], ops: [put(`/${i}`)] }));
  send();
  for (const write of writes) await rejects(write, { code: 'store/conflict' });
  assert.is(group.transactions, 1);
  assert.is(await value('/1'), null);
});

test('a guard on bytes is judged by the bytes', async () => {
  const { store, group, send } = await setUp();
  await store.put('/k', bytes('now'));
  const is = (than: string): Compare => {
    const found = { target: 'value', key: '/k', is: '==' } as const;
    return { ...found, than: bytes(than) };
  };
  const stale = group.commit({ guards: [is('then')], ops: [put('/a')] });
  const fresh = group.commit({ guards: [is('now')], ops: [put('/b')] });
  send();
  await rejects(stale, { code: 'store/conflict' });
  assert.ok((await fresh).revision > 0);
});

test('writes on one key are never in one transaction, and take effect in their order', async () => {
  const { group, owned, send, value } = await setUp();
  const writes = Array.from({ length: 5 }, (_, i) =>
    group.commit({ guards: [owned], ops: [put('/k', String(i)), put(`/other/${i}`)] }),
  );
  send();
  const revisions = (await Promise.all(writes)).map(({ revision }) => revision);
  assert.equal(
    revisions,
    [...revisions].sort((a, b) => a - b),
  );
  assert.is(new Set(revisions).size, 5);
  assert.is(await value('/k'), '4');
});

test('a write that guards what an earlier one writes sees it', async () => {
  const { group, send } = await setUp();
  const create = group.commit({ guards: [absent('/k')], ops: [put('/k')] });
  const again = group.commit({ guards: [absent('/k')], ops: [put('/k')] });
  const remove = group.commit({ guards: [], ops: [{ op: 'delete-prefix', prefix: '/k' }] });
  const after = group.commit({ guards: [absent('/k')], ops: [put('/k')] });
  send();
  const first = await create;
  await rejects(again, { code: 'store/conflict' });
  assert.is((await remove).revision, first.revision + 1);
  assert.is((await after).revision, first.revision + 2);
});

test('a write that waits for its key is not overtaken on its other keys', async () => {
  const { store, group, send, value } = await setUp();
  store.faults.delayMs = 5;
  const first = group.commit({ guards: [], ops: [put('/a', '1')] });
  send();
  const second = group.commit({ guards: [], ops: [put('/a', '2'), put('/b', '2')] });
  const third = group.commit({ guards: [], ops: [put('/b', '3')] });
  send();
  await Promise.all([first, second, third]);
  assert.is(await value('/b'), '3');
});

test('a dead lease refuses its own write only', async () => {
  const { group, send } = await setUp();
  const dead: WriteOp = { op: 'put', key: '/l', value: bytes('v'), lease: '99' };
  const healthy = group.commit({ guards: [], ops: [put('/a')] });
  const broken = group.commit({ guards: [], ops: [dead] });
  send();
  await rejects(broken, { code: 'store/lease-lost' });
  assert.ok((await healthy).revision > 0);
});

test('a lost answer is ambiguous for every write of the group, and nothing is sent twice', async () => {
  const { store, cluster, group, send } = await setUp();
  const before = cluster.revision;
  store.faults.fate = (call) => (call === 'txn' ? 'lose-answer' : 'pass');
  const writes = [1, 2].map((i) => group.commit({ guards: [], ops: [put(`/${i}`)] }));
  send();
  for (const write of writes) {
    await rejects(write, (error: { code: string; detail: unknown }) => {
      assert.is(error.code, 'store/unavailable');
      assert.equal(error.detail, { ambiguous: true });
      return true;
    });
  }
  assert.is(cluster.revision, before + 1);
});

test('no more than maxInFlight transactions are under way', async () => {
  const { store, group, send } = await setUp({ maxInFlight: 2 });
  let [underWay, most] = [0, 0];
  const txn = store.txn.bind(store);
  store.txn = async (request) => {
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setImmediate(resolve));
    const result = await txn(request);
    underWay--;
    return result;
  };
  const many = Array.from({ length: 128 }, (_, i) => i);
  const writes = many.flatMap((i) =>
    [1, 2, 3, 4, 5].map((n) => group.commit({ guards: [], ops: [put(`/${i}/${n}`)] })),
  );
  send();
  await Promise.all(writes);
  assert.is(most, 2);
  assert.is(group.transactions, 5);
});

test('large writes are spread over transactions of at most a mebibyte', async () => {
  const { group, send } = await setUp();
  const value = new Uint8Array(400 * 1024);
  const writes = [1, 2, 3, 4].map((i) =>
    group.commit({ guards: [], ops: [{ op: 'put', key: `/${i}`, value }] }),
  );
  send();
  await Promise.all(writes);
  assert.is(group.transactions, 2);
});

test('a full queue and a closed group refuse; close() drains', async () => {
  const { group, send, value } = await setUp({ maxQueued: 1 });
  const first = group.commit({ guards: [], ops: [put('/a')] });
  await rejects(group.commit({ guards: [], ops: [put('/b')] }), { code: 'store/unavailable' });
  const closed = group.close();
  await rejects(group.commit({ guards: [], ops: [put('/c')] }), { code: 'store/closed' });
  send();
  await Promise.all([first, closed]);
  assert.is(await value('/a'), 'v');
});

test('a write that waited too long is refused unsent', async () => {
  const cluster = new MemoryCluster({ clock: systemClock });
  const store = new MemoryStore({ cluster });
  let now = 0;
  const clock = { ...systemClock, monoMs: () => now };
  const deferred: (() => void)[] = [];
  const group = new GroupCommit({ store, clock, defer: (run) => void deferred.push(run) });
  const write = group.commit({ guards: [], ops: [put('/a')] });
  now = 6_000;
  deferred.splice(0).forEach((run) => run());
  await rejects(write, { code: 'store/unavailable' });
  assert.is(await store.get('/a'), null);
});

test.run();

// The contract of every store: leases, watches, following, and the end.
import { rejects } from 'node:assert/strict';
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { follow } from '../../../transport/store/follow.ts';
import type { Change, Op } from '../../../transport/store/store.ts';
import { bytes, collect, eventually, put, text, type Fresh } from './harness.ts';

/** Keys that vanish. */
export function leases(test: Test, fresh: Fresh): void {
  test('revoking a lease deletes its keys, in one revision, and not those that left it', async () => {
    const { store, at } = fresh();
    const lease = await store.lease(30_000);
    await store.put(`${at}a`, bytes('v'), lease.id);
    await store.put(`${at}b`, bytes('v'), lease.id);
    const last = await store.put(`${at}left`, bytes('v'), lease.id);
    await store.put(`${at}left`, bytes('stays'));
    const observer = collect();
    const watch = store.watch({ prefix: at, fromRevision: last + 2 }, observer);
    await lease.revoke();
    await eventually('both deletions', () => observer.seen.length === 2);
    assert.equal(observer.seen.map(describe(at)), [
      `delete a @${last + 2}`,
      `delete b @${last + 2}`,
    ]);
    assert.is(text((await store.get(`${at}left`))?.value), 'stays');
    assert.is(lease.validUntilMono(), -Infinity);
    await watch.close();
  });

  test('a lease that is renewed outlives its TTL, and its deadline moves', async () => {
    const { store, at } = fresh();
    const lease = await store.lease(1_000);
    assert.is(lease.ttlMs, 1_000);
    const first = lease.validUntilMono();
    assert.ok(first < systemClock.monoMs() + 1_000);
    await store.put(`${at}k`, bytes('v'), lease.id);
    await eventually('renewals', () => lease.validUntilMono() > first + 1_500);
    assert.is((await store.get(`${at}k`))?.lease, lease.id);
    await lease.revoke();
  });

  test('a lease that somebody else revoked is lost once, and its id is good for nothing', async () => {
    const { harness, store, at } = fresh();
    const lease = await store.lease(1_500);
    const ends: string[] = [];
    lease.onLost((end) => ends.push(end));
    const other = harness.client();
    await other.revokeLease(lease.id);
    await other.revokeLease(lease.id);
    await eventually('the loss', () => ends.length > 0);
    assert.equal(ends, ['gone']);
    lease.onLost((end) => ends.push(`${end} too late`));
    assert.equal(ends, ['gone', 'gone too late']);
    await rejects(store.put(`${at}k`, bytes('v'), lease.id), { code: 'store/lease-lost' });
    assert.is(await store.get(`${at}k`), null);
    await other.close();
  });

  test('a put that names a dead lease undoes its whole transaction', async () => {
    const { store, at } = fresh();
    const dead: Op = { op: 'put', key: `${at}b`, value: bytes('v'), lease: '4242' };
    const txn = { compare: [], then: [put(`${at}a`), dead] };
    await rejects(store.txn(txn), { code: 'store/lease-lost' });
    assert.is(await store.get(`${at}a`), null);
    // Only the branch that runs counts.
    const fine = { compare: [], then: [put(`${at}a`)], else: [dead] };
    assert.is((await store.txn(fine)).succeeded, true);
  });
}

/** Changes as they happen. */
export function watches(test: Test, fresh: Fresh): void {
  test('a watch delivers history and then the present, in order, each change once', async () => {
    const { store, at } = fresh();
    const start = await store.put(`${at}a`, bytes('1'));
    await store.put(`${at}b`, bytes('1'));
    const observer = collect();
    const watch = store.watch({ prefix: at, fromRevision: start + 1 }, observer);
    await eventually('history', () => observer.seen.length === 1);
    await store.delete(`${at}a`);
    await store.put('/elsewhere', bytes('v'));
    await store.txn({ compare: [], then: [put(`${at}b`, '2'), put(`${at}c`, '2')] });
    await eventually('the present', () => observer.seen.length === 4);
    assert.equal(observer.seen.map(describe(at)), [
      `put b=1 @${start + 1}`,
      `delete a @${start + 2}`,
      `put b=2 @${start + 4}`,
      `put c=2 @${start + 4}`,
    ]);
    assert.is(watch.revision, start + 4);
    assert.equal(observer.links, [true]);
    await watch.close();
    await store.put(`${at}a`, bytes('unseen'));
    assert.is(observer.seen.length, 4);
    assert.equal(observer.ends, []);
  });

  test('a watch never splits a revision over two calls', async () => {
    const { store, at } = fresh();
    const observer = collect();
    const base = await store.put(`${at}k`, bytes('v'));
    for (let i = 0; i < 20; i++) {
      const then = Array.from({ length: 100 }, (_, n) => put(`${at}${n}`, 'x'.repeat(1_000)));
      await store.txn({ compare: [], then });
    }
    const watch = store.watch({ prefix: at, fromRevision: base + 1 }, observer);
    await eventually('all changes', () => observer.seen.length === 2_000);
    assert.ok(observer.calls.every((changes) => changes.length % 100 === 0));
    await watch.close();
  });

  test('a watch from compacted history ends with store/compacted, also when only a deletion is lost', async () => {
    const { harness, store, at } = fresh();
    await store.put(`${at}k`, bytes('v'));
    const put2 = await store.put(`${at}other`, bytes('v'));
    await store.delete(`${at}k`);
    const deleted = put2 + 1;
    await harness.compact(deleted);
    for (const fromRevision of [put2, deleted]) {
      const observer = collect();
      store.watch({ prefix: at, fromRevision }, observer);
      await eventually('the end', () => observer.ends.length > 0);
      assert.is(observer.ends[0]?.code, 'store/compacted');
      assert.equal(observer.seen, []);
    }
    const observer = collect();
    const watch = store.watch({ prefix: at, fromRevision: deleted + 1 }, observer);
    await store.put(`${at}k`, bytes('after'));
    await eventually('what came after', () => observer.seen.length === 1);
    await watch.close();
  });

  test('a watch from a revision that the store has not reached ends: the store went back', async () => {
    const { store, at } = fresh();
    const now = await store.put(`${at}k`, bytes('1'));
    const observer = collect();
    store.watch({ prefix: at, fromRevision: now + 3 }, observer);
    await eventually('the end', () => observer.ends.length > 0);
    assert.is(observer.ends[0]?.code, 'store/compacted');
    assert.equal(observer.ends[0]?.detail, { replaced: true });
  });

  test('an observer that throws ends its own watch and no other', async () => {
    const { store, at } = fresh();
    const ends: Error[] = [];
    const now = await store.put(`${at}k`, bytes('1'));
    const healthy = collect();
    const request = { prefix: at, fromRevision: now + 1 };
    const watch = store.watch(request, healthy);
    store.watch(request, {
      changes: () => {
        throw new Error('a bug in the observer');
      },
      ended: (error) => ends.push(error),
    });
    await store.put(`${at}k`, bytes('2'));
    await store.put(`${at}k`, bytes('3'));
    await eventually('both', () => healthy.seen.length === 2 && ends.length > 0);
    assert.is(ends.length, 1);
    assert.match(ends[0]?.message ?? '', 'a bug in the observer');
    await watch.close();
  });

  test('a follow hands over the state and then every change', async () => {
    const { store, at } = fresh();
    await store.put(`${at}a`, bytes('1'));
    const copy = new Map<string, string | undefined>();
    const followed = follow(store, at, copyInto(copy), { clock: systemClock, random: Math.random });
    await followed.ready();
    assert.equal([...copy], [[`${at}a`, '1']]);
    await store.put(`${at}b`, bytes('2'));
    await store.delete(`${at}a`);
    const last = await store.put(`${at}b`, bytes('3'));
    await eventually('the last change', () => followed.revision >= last);
    assert.equal([...copy], [[`${at}b`, '3']]);
    await followed.close();
  });
}

function copyInto(copy: Map<string, string | undefined>) {
  return {
    changes(changes: readonly Change[]) {
      for (const change of changes) {
        if (change.kind === 'put') copy.set(change.key, text(change.entry.value));
        else copy.delete(change.key);
      }
    },
    failed(error: Error) {
      throw error;
    },
  };
}

/** close(). */
export function endings(test: Test, fresh: Fresh): void {
  test('after close() every call is refused, watches are silent and leases are over', async () => {
    const { harness, store: other, at } = fresh();
    const store = harness.client();
    const observer = collect();
    const now = await store.put(`${at}k`, bytes('v'));
    store.watch({ prefix: at, fromRevision: now + 1 }, observer);
    const lease = await store.lease(5_000);
    const ends: string[] = [];
    lease.onLost((end) => ends.push(end));
    const underWay = store.put(`${at}k`, bytes('under way'));
    await store.close();
    assert.is(await underWay, now + 1);
    assert.equal(ends, ['closed']);
    const closed = { code: 'store/closed' };
    await rejects(store.get(`${at}k`), closed);
    await rejects(store.put(`${at}k`, bytes('v')), closed);
    await rejects(store.lease(5_000), closed);
    await rejects(lease.revoke(), closed);
    assert.throws(() => store.watch({ prefix: at, fromRevision: 1 }, collect()), /closed/);
    const before = observer.seen.length;
    await other.put(`${at}k`, bytes('after'));
    assert.is(observer.seen.length, before);
    await store.close();
    await other.revokeLease(lease.id);
  });
}

function describe(at: string): (change: Change) => string {
  return (change) => {
    const name = change.key.slice(at.length);
    const value = change.kind === 'put' ? `=${text(change.entry.value)}` : '';
    return `${change.kind} ${name}${value} @${change.revision}`;
  };
}

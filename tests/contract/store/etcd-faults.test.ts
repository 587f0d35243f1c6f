// The store on a real etcd whose link is cut, stalled and muted, and which is killed and restored.
import { Etcd3 } from 'etcd3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { EtcdStore } from '../../../transport/store/etcd-store.ts';
import { follow } from '../../../transport/store/follow.ts';
import type { Change, Op } from '../../../transport/store/store.ts';
import { CALL_TIMEOUT_MS, inLab, timed } from './fault-lab.ts';
import { bytes, collect, eventually, text } from './harness.ts';

const test = suite('etcd faults');

test('a watch gets 3,000 of 3,000 changes through repeated breaks, each once and in order', () =>
  inLab(async ({ link, store, direct }) => {
    // Half as a backlog, which etcd sends in batches of 1,000 revisions, half while it watches.
    const start = await direct.put('/w/start', bytes('v'));
    const write = async (from: number, to: number) => {
      for (let i = from; i < to; i++) await direct.put('/w/k', bytes(String(i)));
    };
    await write(0, 1_500);
    const observer = collect();
    const watch = store.watch({ prefix: '/w/', fromRevision: start + 1 }, observer);
    let isWriting = true;
    const breaking = (async () => {
      for (let i = 0; isWriting; i++) {
        await new Promise((resolve) => setTimeout(resolve, 20 + (i % 7) * 25));
        if (i % 5 === 4) {
          await link.cut();
          await new Promise((resolve) => setTimeout(resolve, 150));
          await link.resume();
        } else link.drop();
      }
    })();
    await write(1_500, 3_000);
    isWriting = false;
    await breaking;
    await eventually('the last change', () => observer.seen.length >= 3_000);
    assert.equal(
      observer.seen.map((change) => (change.kind === 'put' ? text(change.entry.value) : '')),
      Array.from({ length: 3_000 }, (_, i) => String(i)),
    );
    // Down and up again, several times: how often depends on how busy the machine is.
    assert.ok(observer.links.length >= 4, `${observer.links.length} changes of the link`);
    assert.equal(observer.ends, []);
    await watch.close();
  }));

test('a backlog larger than a gRPC message arrives', () =>
  inLab(async ({ store, direct }) => {
    const start = await direct.put('/w/start', bytes('v'));
    const value = new Uint8Array(100_000);
    for (let i = 0; i < 100; i++) await direct.put(`/w/${i}`, value);
    const observer = collect();
    const watch = store.watch({ prefix: '/w/', fromRevision: start + 1 }, observer);
    await eventually('10 MB of changes', () => observer.seen.length === 100);
    assert.is((await store.range({ prefix: '/w/' })).entries.length, 101);
    await watch.close();
  }));

test('compaction while cut off: a watch says so, a follow hands over the difference', () =>
  inLab(async ({ etcd, link, store, direct }) => {
    for (const name of ['same', 'changed', 'gone']) await direct.put(`/f/${name}`, bytes('1'));
    const copy = new Map<string, string | undefined>();
    const seen: string[] = [];
    const apply = (change: Change) => {
      seen.push(`${change.kind} ${change.key}`);
      if (change.kind === 'put') copy.set(change.key, text(change.entry.value));
      else copy.delete(change.key);
    };
    const followed = follow(
      store,
      '/f/',
      {
        changes: (changes) => changes.forEach(apply),
        failed: (error) => assert.unreachable(error.message),
      },
      { clock: systemClock, random: Math.random },
    );
    await followed.ready();
    const observer = collect();
    store.watch({ prefix: '/f/', fromRevision: followed.revision + 1 }, observer);
    await eventually('the watch', () => observer.links.length === 1);
    await link.cut();
    seen.length = 0;
    await direct.put('/f/changed', bytes('2'));
    await direct.delete('/f/gone');
    const last = await direct.put('/f/new', bytes('2'));
    const raw = new Etcd3({ hosts: etcd.url });
    await raw.kv.compact({ revision: last, physical: true });
    raw.close();
    await link.resume();
    await eventually('the difference', () => followed.revision >= last);
    assert.equal(Object.fromEntries(copy), { '/f/same': '1', '/f/changed': '2', '/f/new': '2' });
    assert.equal(seen, ['put /f/changed', 'put /f/new', 'delete /f/gone']);
    await eventually('the end of the watch', () => observer.ends.length > 0);
    assert.is(observer.ends[0]?.code, 'store/compacted');
    assert.equal(observer.seen, []);
    await direct.put('/f/after', bytes('3'));
    await eventually('what comes after', () => copy.get('/f/after') === '3');
    await followed.close();
  }));

test('on a stalled link every call ends by its deadline, and works again when the link does', () =>
  inLab(async ({ link, store }) => {
    await store.put('/k', bytes('1'));
    link.stall();
    const calls = await Promise.all([
      timed(store.get('/k')),
      timed(store.put('/k', bytes('2'))),
      timed(store.lease(5_000)),
      timed(store.revokeLease('77')),
    ]);
    for (const { code, tookMs } of calls) {
      assert.is(code, 'store/unavailable');
      assert.ok(tookMs < 2 * CALL_TIMEOUT_MS, `${tookMs} ms`);
    }
    assert.equal(
      calls.map(({ ambiguous }) => ambiguous),
      [false, true, false, false],
    );
    await link.resume();
    assert.is((await timed(store.get('/k'))).code, 'ok');
  }));

test('a transaction whose answer is lost is ambiguous, took effect, and was not sent again', () =>
  inLab(async ({ link, store, direct }) => {
    await store.get('/k');
    link.mute();
    const create: Op = { op: 'put', key: '/k', value: bytes('1') };
    const compare = [{ target: 'create', key: '/k', is: '==', than: 0 } as const];
    const { code, ambiguous } = await timed(store.txn({ compare, then: [create] }));
    assert.is(code, 'store/unavailable');
    assert.is(ambiguous, true);
    const entry = await direct.get('/k');
    assert.is(entry?.version, 1);
    assert.is((await store.get('/k'))?.modRevision, entry?.modRevision);
  }));

test('a transaction that provably never left is not ambiguous, and goes when the link is back in time', () =>
  inLab(async ({ link, store }) => {
    await link.cut();
    const { code, ambiguous } = await timed(store.put('/k', bytes('1')));
    assert.is(code, 'store/unavailable');
    assert.is(ambiguous, false);
    const late = store.put('/k', bytes('2'));
    setTimeout(() => void link.resume(), 300);
    await late;
    assert.is((await store.get('/k'))?.version, 1);
  }));

test('an etcd that is killed and started again: watch, follow, lease and calls go on', () =>
  inLab(async ({ etcd, store }) => {
    const lease = await store.lease(6_000);
    const start = await store.put('/k/1', bytes('1'), lease.id);
    const observer = collect();
    const watch = store.watch({ prefix: '/k/', fromRevision: start + 1 }, observer);
    await store.put('/k/2', bytes('1'));
    await eventually('the first change', () => observer.seen.length === 1);
    const ends: string[] = [];
    lease.onLost((end) => ends.push(end));
    await etcd.kill();
    assert.is((await timed(store.get('/k/1'))).code, 'store/unavailable');
    await etcd.start();
    await eventually('a working store', async () => (await timed(store.get('/k/1'))).code === 'ok');
    const last = await store.put('/k/3', bytes('1'));
    await eventually('the next change', () => observer.seen.length === 2);
    assert.is(observer.seen[1]?.revision, last);
    assert.equal(observer.links, [true, false, true]);
    const renewed = lease.validUntilMono();
    await eventually('a renewal', () => lease.validUntilMono() > renewed);
    assert.equal(ends, []);
    assert.is((await store.get('/k/1'))?.lease, lease.id);
    await watch.close();
  }));

test('an etcd that lost its data: the watch ends, the follow starts over, the lease is gone', () =>
  inLab(async ({ etcd, store }) => {
    const lease = await store.lease(20_000);
    for (let i = 0; i < 20; i++) await store.put('/k/1', bytes(String(i)));
    const replaced: boolean[] = [];
    const keys = new Set<string>();
    const followed = follow(
      store,
      '/k/',
      {
        changes(changes, _revision, isReplaced) {
          replaced.push(isReplaced);
          for (const { kind, key } of changes) {
            if (kind === 'put') keys.add(key);
            else keys.delete(key);
          }
        },
        failed: (error) => assert.unreachable(error.message),
      },
      { clock: systemClock, random: Math.random },
    );
    await followed.ready();
    const observer = collect();
    store.watch({ prefix: '/k/', fromRevision: followed.revision + 1 }, observer);
    await eventually('the watch', () => observer.links.length === 1);
    const ends: string[] = [];
    lease.onLost((end) => ends.push(end));
    await etcd.kill();
    etcd.wipe();
    await etcd.start();
    await eventually('the end of the watch', () => observer.ends.length > 0);
    assert.is(observer.ends[0]?.code, 'store/compacted');
    await eventually('the new state', () => replaced.at(-1) === true && keys.size === 0);
    await eventually('the loss of the lease', () => ends.length > 0);
    assert.equal(ends, ['gone']);
    const last = await store.put('/k/2', bytes('1'));
    await eventually('the new change', () => followed.revision === last);
    assert.equal([...keys], ['/k/2']);
    await followed.close();
  }));

test('an idle client keeps its connections: its pings stay within what etcd allows', () =>
  inLab(async ({ link, store }) => {
    await store.put('/k', bytes('1'));
    const before = link.accepted;
    // Three seconds are three keepalives; etcd ends a connection at the third that it does not allow.
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    await store.put('/k', bytes('2'));
    assert.is(link.accepted, before);
  }));

test('of several hosts two that are dead cost no call and no lease', () =>
  inLab(async ({ etcd, link }) => {
    const dead = link.url;
    await link.cut();
    const store = new EtcdStore({ hosts: [dead, etcd.url, dead], clock: systemClock });
    // Each host is tried once, so many leases and calls are as safe as one: at random, one in twenty failed.
    // They last so long that a machine that stands still for seconds does not end them.
    const leases = await Promise.all(Array.from({ length: 40 }, () => store.lease(9_000)));
    const ends: string[] = [];
    for (const lease of leases) lease.onLost((end) => ends.push(end));
    const until = Math.max(...leases.map((lease) => lease.validUntilMono())) + 3_000;
    const observer = collect();
    const start = await store.put('/k/0', bytes('v'));
    const watch = store.watch({ prefix: '/k/', fromRevision: start + 1 }, observer);
    for (let i = 1; i <= 30; i++) assert.is(await store.put(`/k/${i}`, bytes('v')), start + i);
    await eventually('all changes', () => observer.seen.length === 30);
    await eventually(
      'renewals, or a loss',
      () => ends.length > 0 || leases.every((lease) => lease.validUntilMono() > until),
    );
    assert.equal(ends, []);
    await watch.close();
    await store.close();
  }));

test.run();

// An etcd that wants to know who asks: refusals have a code, and one refused watch harms no other.
import { rejects } from 'node:assert/strict';
import { Etcd3 } from 'etcd3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { EtcdStore } from '../../../transport/store/etcd-store.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { bytes, collect, eventually } from './harness.ts';

const test = suite('etcd auth');
let etcd: TestEtcd | undefined;
let store: EtcdStore | undefined;

/** Users root and daemon; daemon may read and write /mine/ only. */
test.before(async () => {
  etcd = await startEtcd();
  const raw = new Etcd3({ hosts: etcd.url });
  const rootRole = await raw.role('root').create();
  await (await raw.user('root').create('secret')).addRole(rootRole);
  const role = await raw.role('daemon').create();
  await role.grant({ permission: 'Readwrite', range: raw.range({ prefix: '/mine/' }) });
  await (await raw.user('daemon').create('secret')).addRole(role);
  await raw.auth.authEnable();
  raw.close();
  const auth = { username: 'daemon', password: 'secret' };
  store = new EtcdStore({ hosts: [etcd.url], clock: systemClock, auth });
});
test.after(async () => {
  await store?.close();
  await etcd?.stop();
});

test('a wrong password is a matter of configuration, and is said at once', async () => {
  const hosts = [etcd?.url ?? ''];
  const auth = { username: 'daemon', password: 'wrong' };
  const stranger = new EtcdStore({ hosts, clock: systemClock, auth });
  const startedAt = performance.now();
  await rejects(stranger.get('/mine/k'), { code: 'config/invalid' });
  const observer = collect();
  stranger.watch({ prefix: '/mine/', fromRevision: 1 }, observer);
  await eventually('the end of the watch', () => observer.ends.length > 0);
  assert.is(observer.ends[0]?.code, 'config/invalid');
  assert.ok(performance.now() - startedAt < 10_000);
  await stranger.close();
});

test('what the role does not cover is refused, and the rest goes on', async () => {
  if (store === undefined) throw new Error('no store');
  await rejects(store.put('/theirs/k', bytes('v')), { code: 'config/invalid' });
  const now = await store.put('/mine/k', bytes('v'));
  const refused = collect();
  store.watch({ prefix: '/theirs/', fromRevision: now }, refused);
  await eventually('the refusal', () => refused.ends.length > 0);
  assert.is(refused.ends[0]?.code, 'config/invalid');
  const observer = collect();
  const watch = store.watch({ prefix: '/mine/', fromRevision: now + 1 }, observer);
  await store.put('/mine/k', bytes('w'));
  await eventually('a change', () => observer.seen.length === 1);
  const lease = await store.lease(5_000);
  await store.put('/mine/l', bytes('v'), lease.id);
  await lease.revoke();
  await eventually('the end of the lease', () => observer.seen.length === 3);
  await watch.close();
});

test('a restarted etcd has forgotten all tokens; calls, watch and lease go on with new ones', async () => {
  if (store === undefined || etcd === undefined) throw new Error('no store');
  const lease = await store.lease(8_000);
  const ends: string[] = [];
  lease.onLost((end) => ends.push(end));
  const now = await store.put('/mine/k', bytes('before'), lease.id);
  const observer = collect();
  const watch = store.watch({ prefix: '/mine/', fromRevision: now + 1 }, observer);
  await eventually('the watch', () => observer.links.length === 1);
  const alive = setInterval(() => undefined, 1_000);
  await etcd.kill();
  await etcd.start();
  await eventually('a working store', async () => {
    const written = await store?.put('/mine/after', bytes('v')).catch(() => 0);
    return (written ?? 0) > 0;
  });
  await eventually('the change', () => observer.seen.length > 0);
  assert.equal(observer.ends, []);
  const renewed = lease.validUntilMono();
  await eventually('a renewal', () => lease.validUntilMono() > renewed);
  assert.equal(ends, []);
  await watch.close();
  await lease.revoke();
  clearInterval(alive);
});

test.run();

// Run by etcd-ending.test.ts: opens everything a store client can have open, closes it, and must then
// end by itself, silently. Arguments: the URL of etcd, and what to have running when it closes.
import { systemClock } from '../../../actors/kernel/clock.ts';
import { EtcdStore } from '../../../transport/store/etcd-store.ts';
import { follow } from '../../../transport/store/follow.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';

const [url = '', fault = ''] = process.argv.slice(2);
const store = new EtcdStore({ hosts: [url], clock: systemClock, callTimeoutMs: 1_000 });
const now = await store.put('/c/k', new Uint8Array(1));
const lease = await store.lease(10_000);
store.watch({ prefix: '/c/', fromRevision: now + 1 }, { changes() {}, ended() {} });
const observer = { changes() {}, failed() {} };
const followed = follow(store, '/c/', observer, { clock: systemClock, random: Math.random });
await followed.ready();
const commits = new GroupCommit({ store, clock: systemClock });
await commits.commit({ guards: [], ops: [{ op: 'delete', key: '/c/k' }] });
process.stdout.write('ready\n');
// The parent breaks the link now, or not, and says go.
await new Promise((resolve) => process.stdin.once('data', resolve));
process.stdin.destroy();
if (fault !== '') void store.get('/c/k').catch(() => undefined);
await Promise.all([commits.close(), followed.close()]);
await store.close();
if (lease.validUntilMono() !== -Infinity) process.exitCode = 4;
process.stdout.write('closed\n');

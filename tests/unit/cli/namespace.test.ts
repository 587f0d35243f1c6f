// `troupe namespace`, `key`, `trust`, `node` and power: what they ask of the API, and what they print.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { View } from '../../../src/client/client.ts';
import { FakeApi, Refusal, run } from './fake-api.ts';

const test = suite('cli: namespaces, nodes, power');
const api = await FakeApi.start();

test.before.each(() => api.reset());
test.after(() => api.stop());

const namespace = (changes: object = {}) => ({
  name: 'lab',
  state: 'created',
  metadata: { owner: 'ops' },
  keys: ['ci', 'laptop'],
  trust: { full: ['system'] },
  ...changes,
});

test('a new namespace gets a key that is printed alone, for others to read', async () => {
  api.on('POST /auth/namespaces', () => namespace());
  const { code, out, err } = await run(api, 'namespace create lab');
  assert.is(code, 0, err);
  assert.match(out, /^[A-Za-z0-9_-]{32}\n$/);
  const [asked] = api.bodies('POST /auth/namespaces');
  assert.equal(asked, { namespace: 'lab', key_name: 'first', key: out.trim() });
});

test('namespaces are listed and shown with keys, trusts and metadata', async () => {
  api.on('GET /auth/namespaces', () => [namespace(), namespace({ name: 'other', keys: [] })]);
  api.on('GET /auth/namespaces/lab', () => namespace());
  const list = await run(api, 'namespace list');
  assert.match(list.out, /^NAME +KEYS +TRUSTS +METADATA\nlab +ci laptop +system +owner=ops\n/);
  assert.match((await run(api, 'namespace show lab')).out, /keys: +ci laptop\n/);
});

test('keys and trusts are added and removed by name', async () => {
  api.on('POST /auth/namespaces/lab/keys', () => 'laptop');
  api.on('DELETE /auth/namespaces/lab/keys/laptop', () => null);
  api.on('POST /auth/namespaces/lab/trust', () => namespace({ trust: { full: ['system', 'ci'] } }));
  api.on('DELETE /auth/namespaces/lab/trust/ci', () => namespace());
  const added = await run(api, 'key add lab laptop --key secret');
  assert.is(added.out, 'secret\n');
  assert.equal(api.bodies('POST /auth/namespaces/lab/keys'), [
    { key_name: 'laptop', key: 'secret' },
  ]);
  assert.is((await run(api, 'key remove lab laptop')).code, 0);
  assert.match((await run(api, 'trust add lab ci')).out, /trusts: +system ci\n/);
  assert.equal(api.bodies('POST /auth/namespaces/lab/trust'), [{ external_namespace: 'ci' }]);
  assert.match((await run(api, 'trust remove lab ci')).out, /trusts: +system\n/);
});

const node = (changes: object = {}) => ({
  name: 'n2',
  state: 'created',
  ip: '10.0.0.2',
  roles: ['hypervisor', 'storage'],
  instances: 3,
  lastseen: 1_700_000_000,
  release: '0.1.0',
  is_draining: false,
  ...changes,
});

test('nodes are listed, drained and taken back', async () => {
  api.on('GET /nodes', () => [node()]);
  api.on('POST /nodes/n2/drain', () => node({ is_draining: true }));
  api.on('POST /nodes/n2/undrain', () => node());
  const { out } = await run(api, 'node list');
  assert.match(out, /^NAME +STATE .*\nn2 +created +10\.0\.0\.2 +hypervisor storage +3 +0\.1\.0\n$/);
  assert.match((await run(api, 'node drain n2')).out, /state: +created, draining\n/);
  assert.match((await run(api, 'node undrain n2')).out, /state: +created\n/);
});

test('power says what was done; a refusal is told as it is', async () => {
  api.on('POST /instances/vm/poweroff', () => null);
  api.on('POST /instances/vm/pause', () => new Refusal(409, 'Invalid lifecycle state: no'));
  const { code, err } = await run(api, 'instance poweroff vm');
  assert.equal([code, err], [0, 'instance vm is off\n']);
  const refused = await run(api, 'instance pause vm');
  assert.is(refused.code, 1);
  assert.match(refused.err, 'Invalid lifecycle state: no');
});

test('a node is deleted; resources and hogs are shown', async () => {
  api.on('DELETE /nodes/n3', () => node({ name: 'n3', state: 'deleted' }));
  api.on('GET /nodes', () => [node(), node({ name: 'n3', state: 'deleted' })]);
  const row = { cpu_available: 60, cpu_load_1: 0.5, ram_available: 4_096 };
  api.on('GET /admin/resources', () => ({ total: {}, per_node: { n2: row } }));
  const shares = { process_cpu_fraction_etcd: 0.5, process_cpu_fraction_troupe: 0.01 };
  api.on('GET /nodes/n2/processmetrics', () => ({ process_age_etcd: 90, ...shares }));
  assert.match((await run(api, 'node delete n3')).out, /state: +deleted\n/);
  assert.match((await run(api, 'node resources')).out, /\nn2 +60 +0\.5 +4096 MiB /);
  assert.match((await run(api, 'node cpuhogs')).out, /^NODE .*\nn2 +etcd +0\.50\n$/);
  assert.match((await run(api, 'node cpuhogs n2 --threshold 0')).out, /troupe +0\.01/);
  assert.is((await run(api, 'node cpuhogs --threshold much')).code, 2);
});

test('a key with an end, and another secret for tokens', async () => {
  api.on('POST /auth/namespaces/lab/keys', () => 'ci');
  await run(api, 'key add lab ci --key secret --days 30');
  const [{ expires_at: ends } = {}] = api.bodies('POST /auth/namespaces/lab/keys') as View[];
  const days = (Number(ends) - Date.now() / 1000) / 86_400;
  assert.ok(days > 29.9 && days < 30.1, `${days}`);
  api.on('POST /admin/rotatetokensecret', () => null);
  assert.match((await run(api, 'token rotate')).err, /tokens of before run out/);
  assert.match((await run(api, 'token rotate --at-once')).err, /have ended/);
  assert.equal(api.bodies('POST /admin/rotatetokensecret'), [
    { at_once: false },
    { at_once: true },
  ]);
});

test('events of a node and of a namespace', async () => {
  const event = { timestamp: 1_700_000_000, fqdn: 'n1', duration: 0, message: 'login', extra: {} };
  api.on('GET /auth/namespaces/lab/events', () => [{ ...event, type: 'audit' }]);
  api.on('GET /nodes/n2/events', () => [{ ...event, type: 'audit', message: 'daemon started' }]);
  assert.match((await run(api, 'namespace events lab')).out, /login/);
  assert.match((await run(api, 'node events n2 --type audit')).out, /daemon started/);
});

test.run();

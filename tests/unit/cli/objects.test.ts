import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FakeApi, Refusal, run } from './fake-api.ts';
import { artifactView, event, networkView } from './views.ts';

const test = suite('cli: networks, artifacts, events, actors');
const api = await FakeApi.start();

test.before.each(() => api.reset());
test.after(() => api.stop());

test('network create sends DHCP and NAT on, DNS off, unless said otherwise', async () => {
  api.on('POST /networks', () => networkView());
  api.on('GET /networks/n-1', () => networkView());
  const { code, out } = await run(api, 'network create front 10.20.0.0/24');
  assert.is(code, 0);
  assert.match(out, /services: +dhcp nat\n/);
  const flags = '--no-dhcp --no-nat --dns --namespace lab --no-wait';
  await run(api, `network create front 10.20.0.0/24 ${flags}`);
  const asked = { name: 'front', netblock: '10.20.0.0/24' };
  assert.equal(api.bodies('POST /networks'), [
    { ...asked, provide_dhcp: true, provide_nat: true, provide_dns: false },
    { ...asked, provide_dhcp: false, provide_nat: false, provide_dns: true, namespace: 'lab' },
  ]);
});

test('a network that fails gives the reason of its newest event that has one', async () => {
  api.on('POST /networks', () => networkView({ state: 'initial' }));
  api.on('GET /networks/n-1', () => networkView({ state: 'error' }));
  api.on('GET /networks/n-1/events', () => [
    event('later', 3),
    event('network failed', 2, { reason: 'no VNI is free' }),
    event('try', 1, { reason: 'older' }),
  ]);
  const { code, err } = await run(api, 'network create front 10.20.0.0/24');
  assert.is(code, 1);
  assert.match(err, 'network front failed: no VNI is free\n  request request-2\n');
});

test('deleting a network that is deleted already is done', async () => {
  api.on('DELETE /networks/front', () => null);
  const { code, out } = await run(api, 'network delete front');
  assert.is(code, 0);
  assert.is(out, 'network front is deleted already\n');
});

test('network delete-all lets what is in use wait', async () => {
  api.on('DELETE /networks', () => ['n-1', 'n-2']);
  assert.is((await run(api, 'network delete-all')).code, 2);
  assert.is((await run(api, 'network delete-all --confirm')).out, 'n-1\nn-2\n');
  assert.equal(api.bodies('DELETE /networks'), [{ confirm: true, clean_wait: true }]);
});

test('addresses and interfaces of a network are tables', async () => {
  api.on('GET /networks/front/addresses', () => [
    { address: '10.20.0.9', type: 'instance', user: ['instance', 'i-1'], when: 1, comment: '' },
    { address: '10.20.0.8', type: 'deletion-halo', user: null, when: 1, comment: '' },
  ]);
  const { out } = await run(api, 'network addresses front');
  assert.match(out, /10\.20\.0\.9 +instance +instance i-1\n10\.20\.0\.8 +deletion-halo +-\n/);
  api.on('GET /networks/front/interfaces', () => [nic({ floating: '192.168.20.9' })]);
  const listed = await run(api, 'network interfaces front');
  assert.match(listed.out, /nic-1 +i-1 +10\.20\.0\.57 +192\.168\.20\.9/);
});

test('a routed address is printed alone, and taken back by name', async () => {
  api.on('POST /networks/front/route', () => '192.168.20.9');
  api.on('DELETE /networks/front/route/192.168.20.9', () => null);
  assert.is((await run(api, 'network route front')).out, '192.168.20.9\n');
  assert.is((await run(api, 'network route front --json')).out, '"192.168.20.9"\n');
  assert.is((await run(api, 'network unroute front 192.168.20.9')).code, 0);
});

test('an artifact says how many copies it asks for, once it asks for a number of its own', async () => {
  let copies: unknown;
  api.on('POST /artifacts/a-1/copies', () => {
    copies = (api.bodies('POST /artifacts/a-1/copies').at(-1) as { copies: unknown }).copies;
    return null;
  });
  api.on('GET /artifacts/a-1', () => artifactView(typeof copies === 'number' ? { copies } : {}));
  assert.match(
    (await run(api, 'artifact show a-1')).out,
    /copies: +as many as the cluster keeps\n/,
  );
  assert.match((await run(api, 'artifact copies a-1 3')).out, /copies: +3\n/);
  assert.match((await run(api, 'artifact copies a-1 default')).out, /copies: +as many as/);
});

test('DNS entries are set and removed', async () => {
  api.on('POST /networks/front/dns', () => null);
  api.on('DELETE /networks/front/dns', () => null);
  assert.is((await run(api, 'network dns-set front www 10.20.0.9')).code, 0);
  assert.is((await run(api, 'network dns-remove front www')).code, 0);
  assert.equal(api.bodies('POST /networks/front/dns'), [{ name: 'www', value: '10.20.0.9' }]);
  assert.equal(api.bodies('DELETE /networks/front/dns'), [{ name: 'www' }]);
});

test('ping prints its lines, and its problems to standard error', async () => {
  const stdout = ['PING 10.20.0.9', '0% packet loss', ''];
  api.on('GET /networks/front/ping/10.20.0.9', () => ({ stdout, stderr: ['a\u001b[2Jb'] }));
  const { out, err, code } = await run(api, 'network ping front 10.20.0.9');
  assert.equal([out, code], ['PING 10.20.0.9\n0% packet loss\n', 0]);
  assert.is(err, 'a\\x1b[2Jb\n');
});

const nic = (members: object = {}) => ({
  uuid: 'nic-1',
  network_uuid: 'n-1',
  instance_uuid: 'i-1',
  macaddr: '02:00:00:4e:91:0b',
  ipv4: '10.20.0.57',
  order: 0,
  model: 'virtio',
  floating: null,
  state: 'created',
  metadata: {},
  version: 3,
  ...members,
});

test('an interface is shown, floats with its address printed, and floats no more', async () => {
  let floating: string | null = null;
  api.on('GET /interfaces/nic-1', () => nic({ floating }));
  api.on('POST /interfaces/nic-1/float', () => {
    floating = '192.168.20.9';
    return null;
  });
  api.on('POST /interfaces/nic-1/defloat', () => null);
  assert.match((await run(api, 'interface show nic-1')).out, /MAC: +02:00:00:4e:91:0b/);
  assert.is((await run(api, 'interface float nic-1')).out, '192.168.20.9\n');
  assert.is((await run(api, 'interface defloat nic-1')).code, 0);
  api.on('POST /interfaces/nic-1/float', () => new Refusal(409, 'it is already floating'));
  assert.is((await run(api, 'interface float nic-1')).code, 1);
});

test('what is not there names the list to look at', async () => {
  api.on('GET /networks/nope', () => new Refusal(404, 'network not found'));
  const { code, err } = await run(api, 'network show nope');
  assert.is(code, 1);
  assert.match(err, /^troupe: network not found\n {2}request .*\n {2}`troupe network list`/);
});

test('artifact cache shows the per cent of the fetch and takes paths', async () => {
  let looks = 0;
  const source = artifactView().source_url;
  api.on('POST /artifacts', () => artifactView({ state: 'initial', blobs: {} }));
  api.on('GET /artifacts/a-1', () => artifactView(looks++ < 2 ? { state: 'initial' } : {}));
  api.on('GET /artifacts/a-1/events', () => [
    event('fetching', 1, {
      step: 'download',
      percent: 30 + looks,
      bytes: 300,
      total_bytes: 2048,
      bytes_per_second: 1024,
      seconds_left: 70,
    }),
  ]);
  const { code, out, err } = await run(api, 'artifact create ./a b.qcow2'.split(/ (?!b)/), {
    directory: '/images',
  });
  assert.is(code, 0, err);
  assert.is(
    err,
    ['31', '32']
      .map(
        (n) =>
          `artifact ${source}: initial, fetching (download ${n} % of 2.0 KiB, 1.0 KiB/s, 1 min 10 s left)\n`,
      )
      .join(''),
  );
  assert.match(out, /VERSION +BLOB +SIZE +USED BY\n1 +b-1 +3\.0 MiB/);
  assert.equal(api.bodies('POST /artifacts'), [
    { url: 'file:///images/a%20b.qcow2', shared: false },
  ]);
});

test('artifact list shows size and versions', async () => {
  api.on('GET /artifacts', () => [artifactView()]);
  const { out } = await run(api, 'artifact list');
  assert.match(out, /small\.qcow2 +1 of 1 +3\.0 MiB +no +created/);
});

test('events are a table, oldest first, with limit and type passed on', async () => {
  api.on('GET /networks/front/events', () => [
    { ...event('second', 2, { vni: 7 }), duration: 1.5 },
    event('first', 1),
  ]);
  const { out } = await run(api, 'network events front -l 5 --type audit');
  const lines = out.trimEnd().split('\n');
  assert.match(lines[0] ?? '', /^TIME +TYPE +NODE +DURATION +MESSAGE +EXTRA$/);
  assert.match(lines[1] ?? '', /^2024-09-10 .* audit +n1 +- +first +-$/);
  assert.match(lines[2] ?? '', /audit +n1 +1\.5 s +second +vni=7$/);
  assert.equal(api.bodies('GET /networks/front/events'), [{ limit: 5, event_type: 'audit' }]);
  assert.is((await run(api, 'network events front -l x')).code, 2);
});

test('--follow ends when the object is not there', async () => {
  const { code, err } = await run(api, 'artifact events nope -f');
  assert.is(code, 1);
  assert.match(err, 'no reply for GET /artifacts/nope');
});

const WAITING = {
  address: 'instance/i-1',
  status: 'active',
  activation: 2,
  epoch: 7,
  activeSinceMs: Date.now() - 100_000,
  exists: true,
  revision: 812,
  mailboxDepth: 3,
  turn: null,
  effects: [
    {
      name: 'sync-domain',
      key: '',
      trace: 't',
      phase: 'pausing',
      attempt: 4,
      startedAtMs: Date.now() - 9_000,
      nextAttemptAtMs: Date.now() + 5_000,
      lastError: { code: 'host/full', reason: 'disk full', atMs: Date.now() - 1_000 },
    },
  ],
  alarmAtMs: null,
  retryAtMs: null,
  waitsFor: {
    reason: 'the node builds disks',
    sinceMs: Date.now() - 65_500,
    deadlineAtMs: Date.now() - 5_500,
    cancel: 'delete',
  },
  lastError: null,
  trace: 'req-1',
  restarts: 1,
};

test('actor show says what is done, since when, for what it waits and what failed', async () => {
  api.on('GET /actors/web', () => [WAITING]);
  const { code, out } = await run(api, 'actor show web');
  assert.is(code, 0);
  assert.match(out, /object: +instance\/i-1\nstatus: +active\ndoing: +sync-domain \(pausing\)\n/);
  assert.match(out, /since: +\d\d:\d\d:\d\d \(1 min 5 s ago\)/);
  assert.match(
    out,
    /waits for: +the node builds disks\ndeadline: .* ago\) PAST; called off by delete/,
  );
  assert.match(out, /mailbox: +3 waiting/);
  assert.match(out, /sync-domain +pausing +4 .*\(in 4\.\d s\) +host\/full: disk full; .* ago\)/);
  assert.match(out, /restarts: +1/);
});

test('actor show KIND/ID picks one of several; an idle one says so', async () => {
  const idle = { address: 'network/web', status: 'not running: nothing to do' };
  api.on('GET /actors/web', () => [{ ...WAITING, address: 'instance/web' }, idle]);
  const { out } = await run(api, 'actor show network/web');
  assert.is(out, 'object:  network/web\nstatus:  not running: nothing to do\n');
  const missing = await run(api, 'actor show blob/web');
  assert.is(missing.code, 1);
  assert.match(missing.err, 'there is no object blob/web');
});

test('actor cancel names the object by kind and id', async () => {
  api.on('POST /actors/instance/i-1/cancel', () => null);
  assert.is((await run(api, 'actor cancel instance/i-1')).code, 0);
  assert.is(api.asked.length, 1);
  assert.is((await run(api, 'actor cancel i-1')).code, 2);
});

test('stuck lists what is overdue, and says when nothing is', async () => {
  const { reason, sinceMs, deadlineAtMs } = WAITING.waitsFor;
  api.on('GET /stuck', () => [
    { address: 'instance/i-1', reason, sinceMs, deadlineAtMs, cancel: null },
  ]);
  assert.match(
    (await run(api, 'stuck')).out,
    /instance\/i-1 +the node builds disks .* 5\.\d s +-\n/,
  );
  api.on('GET /stuck', () => []);
  assert.equal(await run(api, 'stuck'), { code: 0, out: '', err: 'nothing is stuck\n' });
});

test.run();

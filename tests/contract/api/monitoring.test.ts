// What those who watch over a daemon are told, and what is kept of each request.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ApiSocket } from '../../support/stream-reader.ts';
import { openApiWorld, type ApiWorld } from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('api: monitoring');
let world: ApiWorld;

test.before(async () => {
  world = await openApiWorld();
});
test.before.each(() => {
  world.metricsAccess = 'local';
  world.unready.length = 0;
  world.read.linkChanged(true);
});
test.after(() => world.close());

const FORWARDED = { 'X-Forwarded-For': '203.0.113.9' };

async function metrics(): Promise<string> {
  return (await world.call('GET', '/metrics', { as: null })).text;
}

/** Of the sample that begins like this. */
async function valueOf(start: string): Promise<number> {
  const line = (await metrics()).split('\n').find((one) => one.startsWith(`${start} `));
  return Number(line?.split(' ').at(-1));
}

test('every line of the metrics is a comment or a sample', async () => {
  const reply = await world.call('GET', '/metrics', { as: null });
  assert.is(reply.status, 200);
  assert.is(reply.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  const sample = /^[a-z_]+(\{([a-z_]+="[^"\n]*",?)+\})? -?\d+(\.\d+)?(e-?\d+)?$/;
  for (const line of reply.text.trimEnd().split('\n')) {
    if (!line.startsWith('# ')) assert.match(line, sample);
  }
  for (const name of ['troupe_build_info{', 'troupe_actors{kind="node"}', 'process_open_fds '])
    assert.ok(reply.text.includes(`\n${name}`), name);
});

test('OpenMetrics for who asks for it', async () => {
  const headers = { Accept: 'application/openmetrics-text; version=1.0.0' };
  const reply = await fetch(`http://127.0.0.1:${world.port}/metrics`, { headers });
  assert.match(String(reply.headers.get('content-type')), /^application\/openmetrics-text/);
  assert.ok((await reply.text()).endsWith('# EOF\n'));
});

test('a thousand URLs of one route are one series', async () => {
  const before = (await metrics()).split('\n').length;
  for (let n = 0; n < 30; n++) await world.call('GET', `/instances/none-${n}`);
  await world.call('GET', '/not/there/at/all', { as: null });
  await world.call('GET', `/not/there/${Math.random()}`, { as: null });
  const after = (await metrics()).split('\n').length;
  assert.ok(after - before < 40, `${after - before} lines more`);
  const route = '{method="GET",route="/instances/:instance_ref",status="404"}';
  assert.is(await valueOf(`troupe_http_requests_total${route}`), 30);
});

test('sockets are counted as they are answered', async () => {
  const route = (status: number) => `{method="GET",route="/stream",status="${status}"}`;
  const open = async (as: 'lab' | null) => {
    const socket = new ApiSocket(world, '/stream', { as });
    await socket.opened();
    socket.socket.terminate();
  };
  await open('lab');
  await open(null);
  assert.is(await valueOf(`troupe_http_requests_total${route(101)}`), 1);
  assert.is(await valueOf(`troupe_http_requests_total${route(401)}`), 1);
  assert.is(await valueOf('troupe_http_requests_in_flight'), 1);
});

test('what actors do shows', async () => {
  const before = await valueOf('troupe_turns_total');
  await world.network();
  assert.ok((await valueOf('troupe_turns_total')) > before);
  const claimed = 'troupe_effects_total{kind="network",effect="claim-vni",outcome="succeeded"}';
  assert.ok((await valueOf(claimed)) >= 1);
});

test('what guests use shows by instance; a libvirt that is away costs their samples only', async () => {
  const { uuid } = await world.instance({ name: 'greedy' });
  const id = String(uuid);
  await world.settled(`/instances/${id}`, 'created');
  const disk = { device: 'vda', readBytes: 7, writeBytes: 8, readRequests: 1, writeRequests: 2 };
  const nic = { mac: '02:00:00:00:00:01', read: { bytes: 5, packets: 1 } };
  world.machine.usage = () =>
    Promise.resolve([
      {
        instanceId: id,
        cpu: { totalNs: 2_500_000_000 },
        residentBytes: null,
        disks: [{ ...disk, usedBytes: 9 }],
        nics: [{ ...nic, write: { bytes: 6, packets: 1 } }],
      },
      { instanceId: 'unknown', cpu: { totalNs: 1 }, residentBytes: 1, disks: [], nics: [] },
    ]);
  const labels = `instance="${id}",namespace="lab",name="greedy"`;
  assert.is(await valueOf(`troupe_instance_cpu_seconds_total{${labels}}`), 2.5);
  assert.is(await valueOf(`troupe_instance_disk_used_bytes{${labels},device="vda"}`), 9);
  const sent = `troupe_instance_network_sent_bytes_total{${labels},mac="02:00:00:00:00:01"}`;
  assert.is(await valueOf(sent), 6);
  const text = await metrics();
  assert.not.match(text, 'unknown');
  assert.not.match(text, 'troupe_instance_resident_memory_bytes');
  world.machine.usage = () => Promise.reject(new Error('libvirt is away'));
  assert.match(await metrics(), /^troupe_turns_total \d+$/m);
  world.machine.usage = () => Promise.resolve([]);
});

const WHO: readonly [access: ApiWorld['metricsAccess'], local: number, elsewhere: number][] = [
  ['local', 200, 401],
  ['token', 401, 401],
  ['open', 200, 200],
];
for (const [access, local, elsewhere] of WHO) {
  test(`metrics-access ${access}`, async () => {
    world.metricsAccess = access;
    const at = (as: 'lab' | 'system' | null, headers = {}) =>
      world.call('GET', '/metrics', { as, headers }).then(({ status }) => status);
    assert.is(await at(null), local);
    assert.is(await at(null, FORWARDED), elsewhere);
    assert.is(await at('system', FORWARDED), 200);
    assert.is(await at('lab', FORWARDED), access === 'open' ? 200 : 401);
  });
}

test('alive is not ready', async () => {
  assert.is((await world.call('GET', '/readyz', { as: null })).status, 200);
  world.read.linkChanged(false);
  world.unready.push('it is being moved');
  assert.is((await world.call('GET', '/healthz', { as: null })).status, 200);
  const reply = await world.call('GET', '/readyz', { as: null });
  assert.is(reply.status, 503);
  assert.match(reply.text, /n1 is not ready: .*lost etcd.*; it is being moved/);
});

/** The line of the request, once it is written. */
async function lineOf(id: string) {
  const found = () =>
    world.lines.find(({ message, fields }) => message === 'request' && fields['trace'] === id);
  await waitUntil(`the line of ${id}`, () => found() !== undefined);
  return found();
}

test('each request is one line under its id, without what may be secret', async () => {
  const headers = { 'X-Request-ID': 'change-1' };
  const body = { key: 'owner', value: 'secret-in-body' };
  await world.call('POST', '/auth/namespaces/lab/metadata?x=secret-in-query', { body, headers });
  const line = await lineOf('change-1');
  assert.is(line?.level, 'info');
  const { ms, remote, ...fields } = line?.fields ?? {};
  assert.ok(typeof ms === 'number' && typeof remote === 'string');
  assert.equal(fields, {
    trace: 'change-1',
    method: 'POST',
    path: '/auth/namespaces/lab/metadata',
    status: 200,
    namespace: 'lab',
    keyName: 'key',
  });
});

test('reads and strangers are logged at debug', async () => {
  await world.call('GET', '/networks', { headers: { 'X-Request-ID': 'read-1' } });
  assert.is((await lineOf('read-1'))?.level, 'debug');
  const login = { as: null, headers: { 'X-Request-ID': 'login-1' } };
  await world.call('POST', '/auth', { ...login, body: { namespace: 'lab', key: 'wrong' } });
  assert.is((await lineOf('login-1'))?.level, 'debug');
});

test.run();

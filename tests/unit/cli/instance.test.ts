import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeApi, HANG, Refusal, run, start } from './fake-api.ts';
import { artifactView, event, instanceView, UUID } from './views.ts';

const test = suite('cli: instance');
const api = await FakeApi.start();
const CREATE = 'instance create web 2 2048 -d 20@debian:12';
const AT = `/instances/${UUID}`;

test.before.each(() => api.reset());
test.after(() => api.stop());

/** Answers POST with `first`, then each look with the next view; the last one stays. */
function lives(first: object, ...views: (object | Refusal)[]): void {
  let looks = 0;
  api.on('POST /instances', () => first);
  api.on(`DELETE ${AT}`, () => first);
  api.on(`GET ${AT}`, () => views[Math.min(looks++, views.length - 1)]);
  api.on(`GET ${AT}/events`, () => []);
  api.on('GET /artifacts', () => []);
}

test('a list is a table sorted by namespace and name', async () => {
  api.on('GET /instances', () => [
    instanceView({ name: 'zeta' }),
    instanceView({ name: 'alpha', interfaces: [], node: null }),
    instanceView({ namespace: 'a', name: 'mid' }),
  ]);
  const { code, out, err } = await run(api, 'instance list');
  assert.is(code, 0);
  assert.is(err, '');
  const lines = out.trimEnd().split('\n');
  assert.match(lines[0] ?? '', /^NAME +UUID +NAMESPACE +CPUS +MIB +NODE +POWER +STATE +ADDRESSES$/);
  assert.equal(
    lines.slice(1).map((line) => line.split(/ +/)[0]),
    ['mid', 'alpha', 'zeta'],
  );
  assert.match(lines[2] ?? '', /2048 +- +on +created +-$/);
  assert.match(lines[1] ?? '', /10\.20\.0\.57$/);
  assert.equal(api.bodies('GET /instances'), [{ all: false }]);
});

test('--json prints exactly what the API said', async () => {
  const views = [instanceView(), instanceView({ name: 'b' })];
  api.on('GET /instances', () => views);
  const { out } = await run(api, '--json instance list -a');
  assert.equal(JSON.parse(out), views);
  assert.equal(api.bodies('GET /instances'), [{ all: true }]);
});

test('an empty list says so beside the output', async () => {
  api.on('GET /instances', () => []);
  assert.equal(await run(api, 'instance list'), { code: 0, out: '', err: 'no instances\n' });
});

test('hostile names cannot steer a terminal, neither in tables nor in JSON nor in errors', async () => {
  const name = 'x\u001b[2J\u009b31m\u202e\ny';
  api.on('GET /instances', () => [instanceView({ name })]);
  api.on('GET /instances/bad', () => new Refusal(400, `no ${name}`));
  const listed = await run(api, 'instance list');
  assert.match(listed.out, 'x\\x1b[2J\\x9b31m\\u202e\\ny');
  const json = await run(api, 'instance list --json');
  assert.equal((JSON.parse(json.out) as { name: string }[])[0]?.name, name);
  const failed = await run(api, 'instance show bad');
  for (const text of [listed.out, json.out, failed.err]) {
    assert.not.match(text.replaceAll('\n', ''), /[\p{Cc}\u202e]/u);
  }
});

test('show tells everything, and names travel encoded', async () => {
  api.on('GET /instances/a/b', () => instanceView({ error_message: 'no room' }));
  const { code, out } = await run(api, 'instance show a/b');
  assert.is(code, 0);
  assert.match(out, /^name: +web\nuuid: +6f0c1c52/);
  assert.match(out, /error: +no room/);
  assert.match(out, /memory: +2048 MiB/);
  assert.match(out, /DEVICE +BUS +GIB +BLOB\n +vda +virtio +20 +b-1/);
  assert.match(out, /10\.20\.0\.57 +- +02:00:00:4e:91:0b/);
  assert.is((await run(api, 'instance show ..')).code, 2);
});

test('create sends what the short forms stand for', async () => {
  lives(instanceView());
  const directory = mkdtempSync(join(tmpdir(), 'troupe-cli-'));
  writeFileSync(join(directory, 'key.pub'), 'ssh-ed25519 AAAA me\n');
  writeFileSync(join(directory, 'data'), '#cloud-config\n');
  const words = [
    'instance create web 2 2048 -D size=5,base=none,bus=sata',
    '-d 20@debian:12 -d 8 -d @http://me@host/x.qcow2',
    '-N network_uuid=mid,address=none,float=True -n front@10.20.0.9 -n back',
    '-f out -i key.pub -u data -p n1 --secure-boot -s sf-agent',
    '-m note=a=b -m tags=["db"] -V model=qxl,memory=65536 --namespace lab --no-wait',
  ].join(' ');
  try {
    assert.is((await run(api, words, { directory })).code, 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
  const nic = { macaddress: null, model: 'virtio' };
  assert.equal(api.bodies('POST /instances'), [
    {
      name: 'web',
      cpus: 2,
      memory: 2048,
      disk: [
        { size: 20, base: 'debian:12', bus: null, type: 'disk' },
        { size: 8, base: null, bus: null, type: 'disk' },
        { size: null, base: 'http://me@host/x.qcow2', bus: null, type: 'disk' },
        { size: 5, base: 'none', bus: 'sata' },
      ],
      network: [
        { network_uuid: 'out', ...nic, float: true },
        { network_uuid: 'front', ...nic, address: '10.20.0.9' },
        { network_uuid: 'back', ...nic },
        { network_uuid: 'mid', address: 'none', float: true },
      ],
      ssh_key: 'ssh-ed25519 AAAA me\n',
      user_data: Buffer.from('#cloud-config\n').toString('base64'),
      placed_on: 'n1',
      namespace: 'lab',
      video: { model: 'qxl', memory: 65536 },
      uefi: true,
      secure_boot: true,
      configdrive: 'openstack-disk',
      metadata: { note: 'a=b', tags: ['db'] },
      side_channels: ['sf-agent'],
    },
  ]);
});

for (const [flags, complaint] of [
  ['', 'at least one disk'],
  ['-d', 'argument missing'],
  ['-d big', '-d should look like'],
  ['-d 0', 'at least 1'],
  ['-D size=5,bas=x', 'size, base, bus, type'],
  ['-d 5 -n @10.0.0.1', '-n should look like'],
  ['-d 5 -N address=none', 'network_uuid'],
  ['-d 5 -m novalue', '-m should look like'],
  ['-d 5 -m tags=db', 'JSON'],
  ['-d 5 --timeout never', '--timeout'],
  ['-d 5 --sshkey f -I text', 'exclude each other'],
] as const) {
  test(`create refuses ${flags || 'no disk'} without asking the API`, async () => {
    const words = `instance create web 1 1024 ${flags}`.trim();
    lives(instanceView());
    const { code, out, err } = await run(api, words);
    assert.is(code, 2, err);
    assert.is(out, '');
    assert.match(err, complaint);
    assert.is(api.bodies('POST /instances').length, 0);
  });
}

test('little memory needs --force', async () => {
  lives(instanceView());
  assert.is((await run(api, 'instance create web 1 64 -d 1')).code, 2);
  assert.is((await run(api, 'instance create web 1 64 -d 1 --force --no-wait')).code, 0);
});

test('a file that is not there is a failure, not a usage error', async () => {
  const { code, err } = await run(api, `${CREATE} -i /nonexistent/key`);
  assert.is(code, 1);
  assert.match(err, /--sshkey cannot be read: ENOENT/);
});

test('create waits, shows each step once when that is no terminal, and prints what was made', async () => {
  const [preflight, creating] = ['preflight', 'creating'].map((state) => instanceView({ state }));
  lives(
    instanceView({ state: 'initial' }),
    ...[preflight, preflight, creating, creating, instanceView()].map((view) => view ?? {}),
  );
  api.on(`GET ${AT}/events`, () => [event('building', 1, { step: 'disks' })]);
  const { code, out, err } = await run(api, CREATE);
  assert.is(code, 0);
  assert.is(
    err,
    'instance web: preflight, building (disks)\ninstance web: creating, building (disks)\n',
  );
  assert.match(out, /^name: +web/);
});

test('a terminal gets one line in place, no wider than itself, and none at the end', async () => {
  lives(instanceView({ state: 'initial' }), instanceView({ state: 'creating' }), instanceView());
  api.on(`GET ${AT}/events`, () => [event('m'.repeat(200), 1)]);
  const running = start(api, CREATE, { isTTY: true });
  assert.is(await running.exitCode, 0);
  const lines = running.err.text.split('\r\u001b[K');
  assert.ok(lines.length >= 3, running.err.text);
  assert.is(lines.at(-1), '');
  assert.ok(lines.every((line) => line.length < 60 && !line.includes('\n')));
});

test('an instance that waits for its image shows how far the fetch is', async () => {
  const preflight = instanceView({ state: 'preflight' });
  lives(preflight, preflight, instanceView());
  api.on('GET /artifacts', () => [artifactView({ state: 'initial', source_url: 'debian:12' })]);
  api.on('GET /artifacts/a-1/events', () => [
    event('fetching', 1, { step: 'download', percent: 40 }),
  ]);
  const { err } = await run(api, CREATE);
  assert.match(err, 'instance web: preflight, image debian:12: fetching (download 40 %)\n');
});

test('a failed create ends with the reason, the request and a way out', async () => {
  lives(
    instanceView({ state: 'initial' }),
    instanceView({ state: 'creating-error', error_message: 'no space left' }),
  );
  api.on(`GET ${AT}/events`, () => [
    event('cleaning up', 2),
    event('instance failed', 1, { reason: 'no space left' }),
  ]);
  const { code, out, err } = await run(api, CREATE);
  assert.is(code, 1);
  assert.is(out, '');
  assert.match(err, 'troupe: instance web failed: no space left\n  request request-1\n');
  assert.match(err, `troupe instance delete ${UUID}`);
});

test('a refused create says what the API said, with the id of the request', async () => {
  api.on('POST /instances', () => new Refusal(507, 'No nodes with enough idle RAM'));
  const { code, err } = await run(api, CREATE);
  assert.is(code, 1);
  assert.match(err, /^troupe: No nodes with enough idle RAM\n {2}request [0-9a-f-]{36}\n/);
  assert.match(err, 'stays in error until `troupe instance delete web`');
  api.on('POST /instances', () => new Refusal(404, 'network front not found'));
  const missing = await run(api, CREATE);
  assert.is(missing.code, 1);
  assert.not.match(missing.err, 'troupe instance list');
});

test('a create whose network is not ready yet is asked again, unless nothing is to be waited for', async () => {
  lives(instanceView(), instanceView());
  let refusals = 3;
  const notReady = () =>
    refusals-- > 0 ? new Refusal(406, 'network n-1 is not ready (initial)') : instanceView();
  api.on('POST /instances', notReady);
  assert.is((await run(api, CREATE)).code, 0);
  assert.is(api.bodies('POST /instances').length, 4);
  refusals = 3;
  const { code, err } = await run(api, `${CREATE} --no-wait`);
  assert.is(code, 1);
  assert.match(err, 'not ready (initial)');
});

test('Ctrl-C leaves the create going and says so', async () => {
  lives(instanceView({ state: 'initial' }), instanceView({ state: 'creating' }));
  const running = start(api, CREATE);
  await running.shows('creating', 'err');
  running.interrupt();
  assert.is(await running.exitCode, 130);
  assert.match(running.err.text, 'no longer waiting: instance web goes on being created');
  assert.match(running.err.text, `troupe instance show ${UUID}`);
  assert.equal(api.bodies(`DELETE ${AT}`), []);
});

test('--timeout ends the waiting, also when the API hangs', async () => {
  lives(instanceView({ state: 'initial' }), instanceView({ state: 'creating' }));
  const { code, err } = await run(api, `${CREATE} --timeout 1`);
  assert.is(code, 1);
  assert.match(err, 'is still creating after 1.0 s; instance web goes on being created');
  api.on(`GET ${AT}`, () => HANG);
  const hung = await run(api, `${CREATE} --timeout 1`);
  assert.is(hung.code, 1);
  assert.match(hung.err, 'is still initial after 1.0 s');
});

test('a restart of the daemon does not end the waiting', async () => {
  lives(instanceView({ state: 'initial' }), instanceView({ state: 'creating' }));
  const running = start(api, CREATE);
  await running.shows('creating', 'err');
  api.isOut = true;
  await running.shows('does not answer', 'err');
  api.isOut = false;
  lives(instanceView(), instanceView());
  assert.is(await running.exitCode, 0);
});

test('an instance that somebody deletes meanwhile is not waited for', async () => {
  lives(instanceView({ state: 'initial' }), instanceView({ state: 'delete-wait' }));
  assert.match((await run(api, CREATE)).err, 'being deleted by somebody else');
  lives(instanceView({ state: 'initial' }), new Refusal(404, 'instance not found'));
  assert.match((await run(api, CREATE)).err, 'is gone');
});

test('delete waits by UUID until it is gone', async () => {
  const going = instanceView({ state: 'delete-wait' });
  lives(going, going, instanceView({ state: 'deleted' }));
  api.on('DELETE /instances/web', () => going);
  assert.equal(await run(api, 'instance delete web --namespace lab'), {
    code: 0,
    out: 'instance web is deleted\n',
    err: 'instance web: delete-wait\n',
  });
  assert.equal(api.bodies('DELETE /instances/web'), [{ namespace: 'lab' }]);
});

test('delete: forgotten counts as gone, an error does not, --no-wait says how it stands', async () => {
  const going = instanceView({ state: 'delete-wait' });
  lives(going, new Refusal(404, 'instance not found'));
  assert.is((await run(api, `instance delete ${UUID}`)).out, 'instance web is deleted\n');
  lives(going, instanceView({ state: 'delete-wait-error', error_message: 'host is away' }));
  const failed = await run(api, `instance delete ${UUID}`);
  assert.is(failed.code, 1);
  assert.match(failed.err, 'instance web could not be deleted: host is away');
  assert.match(
    (await run(api, `instance delete ${UUID} --no-wait`)).out,
    'is being deleted (delete-wait)',
  );
});

test('add-interface sends exactly one network, delete-all wants to be sure', async () => {
  api.on('POST /instances/web/interfaces', () => ({ uuid: 'u', ipv4: '10.0.0.9', macaddr: 'm' }));
  const { code, out } = await run(api, 'instance add-interface web -f front@10.0.0.9');
  assert.is(code, 0);
  assert.is(out, 'interface u: 10.0.0.9, m\n');
  assert.equal(api.bodies('POST /instances/web/interfaces'), [
    {
      network: {
        network_uuid: 'front',
        macaddress: null,
        model: 'virtio',
        address: '10.0.0.9',
        float: true,
      },
    },
  ]);
  for (const words of ['web', 'web -n a -n b']) {
    assert.is((await run(api, `instance add-interface ${words}`)).code, 2);
  }
  api.on('DELETE /instances', () => ['one', 'two']);
  assert.is((await run(api, 'instance delete-all')).code, 2);
  assert.is((await run(api, 'instance delete-all --confirm --namespace lab')).out, 'one\ntwo\n');
  assert.equal(api.bodies('DELETE /instances'), [{ confirm: true, namespace: 'lab' }]);
});

test.run();

// The tour against an API and programs that answer as a test says.
import { rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Client } from '../../../src/client/client.ts';
import type { Exec } from '../../../src/drivers/exec.ts';
import { Progress } from '../../../src/tour/progress.ts';
import { isTourTaken, takeTour } from '../../../src/tour/tour.ts';
import { configOf } from '../../support/installation.ts';
import { FakeApi } from '../cli/fake-api.ts';

const test = suite('tour');
const api = await FakeApi.start();
const directory = mkdtempSync(join(tmpdir(), `troupe-tour-${process.pid}-`));
let number = 0;
let config = configOf(directory);
let screen = '';

test.before.each(() => {
  api.reset();
  config = configOf(join(directory, String(number++)));
  screen = '';
  serve();
});
test.after(async () => {
  await api.stop();
  rmSync(directory, { recursive: true, force: true });
});

const IMAGE = 'https://images.test/one.qcow2';
const instance = {
  uuid: 'i-new',
  name: 'tour',
  node: 'n1',
  state: 'created',
  power_state: 'on',
  interfaces: [{ ipv4: '10.77.0.2' }],
};

/** What a tour finds that has never been taken and works. */
function serve(): void {
  const network = { uuid: 'n-1', netblock: '10.77.0.0/24', vxlan_id: 7, state: 'created' };
  const artifact = { uuid: 'a-1', state: 'created', blobs: {} };
  api.on('POST /artifacts', () => artifact);
  api.on('GET /artifacts/a-1', () => artifact);
  api.on('GET /networks', () => []);
  api.on('POST /networks', () => network);
  api.on('GET /networks/n-1', () => network);
  api.on('GET /instances', () => []);
  api.on('POST /instances', () => instance);
  api.on('GET /instances/i-new', () => instance);
  api.on('GET /instances/i-new/consoledata', () =>
    Buffer.from('booting\n\u001b[1mlogin:\u001b[0m\n'),
  );
}

/** Makes the key, and a guest that answers. */
const healthy: Exec = (program, args) => {
  if (program === 'ssh-keygen')
    writeFileSync(`${String(args.at(-1))}.pub`, 'ssh-ed25519 KEY tour\n');
  const stdout = args.includes('ping') ? '64 bytes from 10.77.0.2: time=1 ms\n' : 'Linux\nguest\n';
  return Promise.resolve({ code: 0, stdout, stderr: '' });
};

function take(exec: Exec = healthy, stop?: AbortSignal) {
  const client = new Client({ apiUrl: api.url, namespace: 'system', key: 'secret' });
  const progress = new Progress({ write: (text) => (screen += text) }, stop);
  const about = { trace: 't', image: IMAGE, name: 'tour', isOwnGuest: true };
  return takeTour({ config, client, progress, exec, stop, ...about });
}

test('a tour makes what it needs, with its key, and is then taken', async () => {
  const { address, sshCommand } = await take();
  assert.is(address, '10.77.0.2');
  assert.match(sshCommand, /root@10\.77\.0\.2$/);
  const [asked] = api.bodies('POST /instances') as [Record<string, unknown>];
  assert.is(asked['ssh_key'], 'ssh-ed25519 KEY tour');
  assert.match(screen, '| login:\n');
  assert.ok(isTourTaken(config.dataDir));
});

test('an instance that an earlier tour left in error is replaced', async () => {
  const broken = { ...instance, uuid: 'i-old', state: 'create-error' };
  api.on('GET /instances', () => [broken]);
  api.on('DELETE /instances/i-old', () => broken);
  assert.is((await take()).instance['uuid'], 'i-new');
  const changes = api.asked.map(({ at }) => at).filter((at) => / \/instances(\/[^/]+)?$/.test(at));
  assert.equal(changes.slice(0, 3), [
    'GET /instances',
    'DELETE /instances/i-old',
    'POST /instances',
  ]);
});

test('an instance that an earlier tour left running is used again', async () => {
  api.on('GET /instances', () => [instance, { ...instance, uuid: 'other', name: 'mine' }]);
  await take();
  assert.equal(api.bodies('POST /instances'), []);
});

test('the end of the console of a guest that does not come up is in the error', async () => {
  const text = ['loading', '\u001b[31mKernel panic\u001b[0m - not syncing', 'no init'].join('\r\n');
  api.on('GET /instances/i-new/consoledata', () => Buffer.from(text));
  const silent: Exec = (program, args, options) =>
    args.includes('ping') ? Promise.reject(new Error('no ping')) : healthy(program, args, options);
  await rejects(
    take(silent),
    /no ping; its console: \n {4}\| loading\n {4}\| Kernel panic - not syncing\n {4}\| no init$/,
  );
  assert.not(isTourTaken(config.dataDir), 'it is taken again');
});

test('an instance that fails says why', async () => {
  api.on('GET /instances/i-new', () => ({
    ...instance,
    state: 'create-error',
    error_message: 'no room',
  }));
  await rejects(take(), /the instance failed: no room/);
});

test('a tour that is called off ends while it waits, and no step of it has failed', async () => {
  const stop = new AbortController();
  api.on('GET /instances/i-new', () => {
    stop.abort(new Error('enough'));
    return { ...instance, state: 'creating' };
  });
  await rejects(take(healthy, stop.signal), /enough/);
  assert.match(screen, /– instance: called off/);
  assert.not.match(screen, '✗');
});

test.run();

// What a machine is for, said when its daemon is started: it does that and nothing else, and says so.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  clientOf,
  daemonInstallation,
  serveDaemon,
  type RunningDaemon,
} from '../support/daemon.ts';

const test = suite('roles');
const installation = await daemonInstallation();
const port = Number(installation.flags[installation.flags.indexOf('--api-port') + 1]);
let daemon: RunningDaemon;

test.after.each(async () => {
  await daemon.interrupt();
});
test.after(() => installation.remove());

test('a machine without the role api says how it is and nothing else, and takes no tour', async () => {
  daemon = await serveDaemon(installation, ['--roles', 'storage']);
  assert.match(daemon.screen(), /no API here/);
  assert.match(daemon.screen(), /API {7}served by other nodes of the cluster/);
  assert.not.match(daemon.screen(), /The tour|npx troupe/);
  const statusOf = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
  assert.is(await statusOf('/readyz'), 200);
  assert.is(await statusOf('/metrics'), 200);
  for (const path of ['/', '/instances', '/auth', '/stream', '/openapi.json'])
    assert.is(await statusOf(path), 404, path);
});

test('a machine that is no hypervisor gets no instance, whose events say why', async () => {
  daemon = await serveDaemon(installation, ['--roles', 'storage,api', '--no-tour']);
  const client = clientOf(installation.dataDir);
  const body = { name: 'vm', cpus: 1, memory: 128, disk: [{ size: 1 }] };
  await rejects(client.view('POST', '/instances', body), /No nodes with metrics/);
  const [vm] = await client.list('/instances');
  const events = await client.list(`/instances/${String(vm?.['uuid'])}/events`);
  const stage = events.find((event) => event['message'] === 'schedule by hypervisors');
  const { candidates, dropped } = (stage?.['extra'] ?? {}) as Record<string, object>;
  assert.equal(candidates, []);
  assert.equal(Object.values(dropped ?? {}), ['is no hypervisor']);
});

test.run();

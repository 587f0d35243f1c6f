// The newcomer's first minutes on the real machine: the tour, a killed daemon, a second start, deletion, Ctrl-C.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Ledger } from '../../src/drivers/ledger.ts';
import { segmentNames } from '../../src/drivers/network/names.ts';
import { findLeftovers } from '../../src/embedded/leftovers.ts';
import { ownedProcesses } from '../../src/embedded/owned-process.ts';
import {
  clientOf,
  daemonInstallation,
  serveDaemon,
  startDaemon,
  untilView,
  type RunningDaemon,
} from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('the tour');
const installation = await daemonInstallation();
const { dataDir, runDir, hostTag } = installation;
let daemon: RunningDaemon;

test.after(async () => {
  await daemon?.interrupt();
  await installation.remove();
});

const NOTHING = {
  processes: [],
  mounts: [],
  namespaces: [],
  links: [],
  tables: [],
  hasRunDirectory: false,
};

function qemuPids(): number[] {
  const namespaces = readdirSync('/run/netns').filter((name) => name.includes(hostTag));
  return ownedProcesses({ dataDir, runDir, namespaces })
    .filter(({ program }) => program.startsWith('qemu'))
    .map(({ pid }) => pid);
}

/** Sequence numbers that the guest answered, from before a disturbance to after it. */
function steadyPing(netns: string, address: string) {
  const args = ['netns', 'exec', netns, 'ping', '-n', '-i', '0.2', address];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'ip', ...args]);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const answered = () => [...output.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, seq]) => Number(seq));
  return {
    answered,
    stop: () => child.kill('SIGKILL'),
  };
}

test('npm start -- --tour-only shows each phase, exits 0 and leaves nothing but the data directory', async () => {
  const tour = startDaemon(installation, ['--tour-only']);
  const code = await tour.ended;
  const screen = tour.screen();
  assert.is(code, 0, screen);
  for (const phase of ['image', 'network', 'instance', 'address and ping', 'ssh', 'console']) {
    assert.match(screen, new RegExp(`✓ ${phase}`), screen);
  }
  assert.match(screen, /\| troupe-guest: address 10\.77\.0\.\d+\/24 on eth0 by dhcp/);
  assert.match(screen, /It took [\d.]+ s: /);
  assert.equal(await findLeftovers(installation), NOTHING);
});

test('the next start finds its instance, starts it again and shows it alive', async () => {
  daemon = await serveDaemon(installation);
  assert.match(daemon.screen(), /✓ address and ping: 10\.77\.0\.\d+/);
  assert.is(qemuPids().length, 1);
});

test('kill -9 of the daemon and a restart disturb neither the guest nor its traffic', async () => {
  const client = clientOf(dataDir);
  const [instance] = await client.list('/instances');
  const network = await client.view('GET', '/networks/tour');
  const nics = (instance ?? {})['interfaces'] as { ipv4: string }[];
  const netns = segmentNames(hostTag, Number(network['vxlan_id'])).namespace;
  const [qemu] = qemuPids();
  const ping = steadyPing(netns, nics[0]?.ipv4 ?? '');
  await waitUntil('the guest answers', () => ping.answered().length >= 3);
  await daemon.kill();
  const before = ping.answered().length;
  await waitUntil('it answers without a daemon', () => ping.answered().length >= before + 5);
  daemon = await serveDaemon(installation);
  const after = ping.answered().length;
  await waitUntil('it answers after the restart', () => ping.answered().length >= after + 5);
  ping.stop();
  const answered = ping.answered();
  const lost = (answered.at(-1) ?? 0) - (answered[0] ?? 0) + 1 - answered.length;
  assert.is(lost, 0, `${lost} pings lost`);
  assert.equal(qemuPids(), [qemu]);
  const again = await client.view('GET', `/instances/${String(instance?.['uuid'])}`);
  assert.is(again['state'], 'created');
  assert.is(again['power_state'], 'on');
});

test('what the request asked for carries its id into events, rules and processes', async () => {
  const client = clientOf(dataDir);
  const events = await client.list('/instances/tour/events');
  const ids = new Set(
    events.map((event) => (event['extra'] as Record<string, unknown>)['request-id']),
  );
  assert.is(ids.size, 1);
  const [id] = ids;
  const ledger = new Ledger(join(dataDir, 'ledger.db'));
  const traces = ledger.list().map((entry) => entry.trace);
  ledger.close();
  assert.ok(traces.includes(String(id)), 'the ledger knows the request');
});

test('after deletion nothing of instance, network and image is left on the machine', async () => {
  const client = clientOf(dataDir);
  const instance = await client.view('DELETE', '/instances/tour');
  await untilView(
    client,
    `/instances/${String(instance['uuid'])}`,
    (view) => view['state'] === 'deleted',
  );
  const network = await client.view('DELETE', '/networks/tour');
  await untilView(
    client,
    `/networks/${String(network['uuid'])}`,
    (view) => view['state'] === 'deleted',
  );
  const [artifact] = await client.list('/artifacts');
  await client.view('DELETE', `/artifacts/${String(artifact?.['uuid'])}`);
  await waitUntil('the blob is gone', () =>
    readdirSync(join(dataDir, 'blobs')).every((name) => name.startsWith('.')),
  );
  const left = await findLeftovers(installation);
  assert.equal(left.namespaces, []);
  assert.equal(left.links, []);
  assert.equal(left.tables, []);
  assert.equal(qemuPids(), []);
  assert.equal(readdirSync(join(dataDir, 'instances')), []);
  const ledger = new Ledger(join(dataDir, 'ledger.db'));
  assert.equal(ledger.list(), []);
  ledger.close();
  assert.equal(await client.call('GET', '/stuck'), []);
});

test('Ctrl-C ends it with exit code 0 and leaves nothing but the data directory', async () => {
  assert.is(await daemon.interrupt(), 0, daemon.screen());
  assert.equal(await findLeftovers(installation), NOTHING);
  assert.ok(existsSync(join(dataDir, 'login.json')));
  assert.not.match(readFileSync(join(dataDir, 'log', 'daemon.log'), 'utf8'), /"level":"error"/);
});

test.run();

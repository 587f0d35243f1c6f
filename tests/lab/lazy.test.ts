// A lab of three nodes: a guest starts on the one that has no copy of its image, over a slow line, and reads on from
// another node when the first is lost; its daemon is killed meanwhile.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LabNode } from '../../deploy/lab/lab.ts';
import { runIn } from '../../deploy/lab/machine.ts';
import {
  killDaemon,
  pauseDaemon,
  resumeDaemon,
  startDaemon,
} from '../../deploy/lab/node-daemon.ts';
import type { View } from '../../src/client/client.ts';
import { tagOf } from '../../src/drivers/image/nbd/options.ts';
import { clusterLab } from '../support/cluster-lab.ts';
import { untilView } from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('a guest that starts before its image is here');
const MORE_MIB = 400;
const NAMES = ['n1', 'n2', 'n3'];
const world = await clusterLab(NAMES, { 'image-lazy-from': '1K', 'console-archive-days': 1 });
const n1 = world.client('n1');

test.after(() => world.close());

/** The command lines of what serves the image on the node; of other images those of the tour's guests may need one for good. */
async function storageDaemons({ machine }: LabNode, blobId: string): Promise<string[]> {
  const { stdout } = await runIn(machine, ['ps', '-eo', 'args']);
  const lines = stdout.split('\n').filter((line) => line.startsWith('qemu-storage-daemon'));
  return lines.filter((line) => line.includes(tagOf(blobId)));
}

/** What the machine hears comes at this rate from now on. */
async function slowDown(name: string, rate: string): Promise<void> {
  const limit = ['tbf', 'rate', rate, 'burst', '256kb', 'latency', '400ms'];
  await runIn(world.lab.switch, ['tc', 'qdisc', 'add', 'dev', name, 'root', ...limit]);
}

/** By so much that no guest reads and no compression takes away: its copy takes a minute over the slow line. */
function enlarge(path: string): void {
  const filling = `${path}.filling`;
  writeFileSync(filling, randomBytes(MORE_MIB * 2 ** 20));
  const info = JSON.parse(tool('info', '--output=json', path)) as { 'virtual-size': number };
  tool('resize', '-q', '-f', 'qcow2', path, `+${MORE_MIB}M`);
  const write = `write -q -s ${filling} ${info['virtual-size']} ${MORE_MIB}M`;
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', write, path]);
  rmSync(filling);
}

function tool(...words: string[]): string {
  return execFileSync('qemu-img', words, { encoding: 'utf8' });
}

async function blobOf(url: string): Promise<string> {
  await n1.view('POST', '/artifacts', { url });
  let id = '';
  const isMade = async () => {
    const all = await n1.list('/artifacts');
    const { blob_uuid, state } = all.find((one) => one['source_url'] === url) ?? {};
    id = String(blob_uuid);
    return state === 'created';
  };
  await waitUntil('the image is fetched', isMade, 60_000);
  return id;
}

test('the guest runs long before its copy is here, and never learns who served it', async () => {
  const guestDir = join(world.lab.directory, 'guest');
  const built = readdirSync(guestDir).find((name) => name.endsWith('.qcow2')) ?? '';
  const path = join(world.lab.directory, 'other.qcow2');
  copyFileSync(join(guestDir, built), path);
  enlarge(path);
  const blobId = await blobOf(`file://${path}`);
  let locations: string[] = [];
  const hasTwo = async () => {
    locations = (await n1.view('GET', `/blobs/${blobId}`))['locations'] as string[];
    return locations.length === 2;
  };
  await waitUntil('there are two copies', hasTwo, 60_000);
  const name = NAMES.find((one) => !locations.includes(one)) ?? '';
  const node = world.node(name);
  await slowDown(name, '40mbit');

  const wish = {
    name: 'lazy',
    cpus: 1,
    memory: world.guest('n1').instance['memory'],
    side_channels: ['sf-agent'],
    disk: [{ base: `sf://blob/${blobId}` }],
    network: [],
    placed_on: name,
  };
  const startedAtMs = performance.now();
  const made = await n1.view('POST', '/instances', wish);
  const instance = `/instances/${String(made['uuid'])}`;
  const isIn = (state: string) => (view: View) => view['state'] === state;
  await untilView(n1, instance, isIn('created'), 60_000);
  const replica = join(node.directory, 'blobs', blobId, 'image.qcow2');
  assert.not.ok(existsSync(replica), 'the copy is still on its way');
  console.log(`  QEMU ran after ${Math.round(performance.now() - startedAtMs)} ms`);
  const events = (await n1.list(`${instance}/events`)).map((event) => String(event['message']));
  assert.ok(events.some((text) => text.startsWith('starting while an image is being copied')));

  // The node that it reads from stands still, and what served it there is killed.
  const isReadFrom = async ({ address }: LabNode) =>
    (await storageDaemons(node, blobId)).some((line) => line.split(/[^\d.]+/).includes(address));
  const [one, two] = locations.map((each) => world.node(each)) as [LabNode, LabNode];
  const [first, other] = (await isReadFrom(one)) ? [one, two] : [two, one];
  assert.ok(await isReadFrom(first));
  await pauseDaemon(first);
  await runIn(first.machine, ['pkill', '-9', '-f', `storage-daemon.*${tagOf(blobId)}`]);
  await waitUntil('it is read from another node', () => isReadFrom(other), 60_000);
  await resumeDaemon(first);

  // Its own daemon is killed: the guest boots on without it.
  await killDaemon(node);
  await startDaemon(node);
  await runIn(world.lab.switch, ['tc', 'qdisc', 'del', 'dev', name, 'root']);
  const isReady = (view: View) => String(view['agent_state']).startsWith('ready');
  await untilView(n1, instance, isReady, 240_000);
  await waitUntil('its copy is here', () => Promise.resolve(existsSync(replica)), 120_000);
  const isLocal = async () =>
    (await storageDaemons(node, blobId)).some((line) => line.includes(replica));
  await waitUntil('it reads its own copy', isLocal, 20_000);

  // Started again it needs nobody.
  await n1.call('POST', `${instance}/poweroff`);
  await untilView(n1, instance, (view) => view['power_state'] === 'off', 60_000);
  await n1.call('POST', `${instance}/poweron`);
  await untilView(n1, instance, (view) => view['power_state'] === 'on', 60_000);
  const isAlone = async () => (await storageDaemons(node, blobId)).length === 0;
  await waitUntil('nothing is between it and its copy', isAlone, 20_000);
  const disk = join(node.directory, 'instances', String(made['uuid']), 'vda.qcow2');
  assert.ok(readFileSync(disk).subarray(0, 4096).includes(replica));
  let shown = '';
  const hasSpoken = async () => {
    shown = (await n1.bytes(`${instance}/consoledata`)).toString('latin1');
    return shown !== '';
  };
  await waitUntil('it says something', hasSpoken, 60_000);
  await n1.call('DELETE', instance);
  await untilView(n1, instance, isIn('deleted'), 60_000);
  const url = `sf://instance/${String(made['uuid'])}/console`;
  const archives = (await n1.list('/artifacts')).filter((one) => one['source_url'] === url);
  assert.is(archives.length, 1, 'what it has said is kept');
  const [{ uuid } = {}] = archives;
  const archive = await untilView(n1, `/artifacts/${String(uuid)}`, isIn('created'), 30_000);
  const said = await n1.bytes(`/blobs/${String(archive['blob_uuid'])}/data`);
  assert.ok(said.toString('latin1').startsWith(shown));
  const isQuiet = async () => {
    const all = await Promise.all(NAMES.map((one) => storageDaemons(world.node(one), blobId)));
    return all.flat().length === 0;
  };
  await waitUntil('nothing is left', isQuiet, 120_000);
});

test.run();

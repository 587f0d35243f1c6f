// A lab of four nodes: one has an image, and the three others copy it at once over slow lines. What each sends is
// counted at its port of the switch.
import { hash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runIn } from '../../deploy/lab/machine.ts';
import { labWithoutGuests } from '../support/cluster-lab.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('one image to four machines');
const NAMES = ['n1', 'n2', 'n3', 'n4'];
const SIZE = 96 * 2 ** 20;
/** Of each machine's line, towards the others: a copy takes it ten seconds. */
const RATE = '80mbit';
/** Of what the source sends, in copies: three if nobody passed anything on. */
const MOST_COPIES = 1.2;
const world = await labWithoutGuests(NAMES, { 'image-copies': NAMES.length });
const n1 = world.client('n1');

test.after(() => world.close());

/** A file that is kept as it comes: an ISO by its head. */
function sample(path: string): void {
  const bytes = randomBytes(SIZE);
  bytes.fill(0, 0, 2 ** 16).write('\u0001CD001\u0001', 16 * 2048, 'latin1');
  writeFileSync(path, bytes);
}

async function slowDown(name: string): Promise<void> {
  const limit = ['tbf', 'rate', RATE, 'burst', '256kb', 'latency', '400ms'];
  const { machine } = world.node(name);
  await runIn(machine, ['tc', 'qdisc', 'add', 'dev', 'eth0', 'root', ...limit]);
}

/** What has come to the switch from the machine, in copies. */
async function sentBy(name: string): Promise<number> {
  const path = `/sys/class/net/${name}/statistics/rx_bytes`;
  const { stdout } = await runIn(world.lab.switch, ['cat', path]);
  return Number(stdout) / SIZE;
}

async function sent(): Promise<Map<string, number>> {
  const all = NAMES.map(async (name) => [name, await sentBy(name)] as const);
  return new Map(await Promise.all(all));
}

async function blobOf(url: string): Promise<string> {
  await n1.view('POST', '/artifacts', { url });
  let id = '';
  const isMade = async () => {
    const { blob_uuid, state } = (await n1.list('/artifacts'))[0] ?? {};
    id = String(blob_uuid);
    return state === 'created';
  };
  await waitUntil('the image is fetched', isMade, 60_000);
  return id;
}

test('the source sends about one copy while three others fetch from it and from each other', async () => {
  const path = join(world.lab.directory, 'sample.iso');
  sample(path);
  await Promise.all(NAMES.map(slowDown));
  const before = await sent();
  const blobId = await blobOf(`file://${path}`);
  const begunMono = performance.now();
  const locations = async () => (await n1.view('GET', `/blobs/${blobId}`))['locations'] as string[];
  const [source = ''] = await locations();
  const isEverywhere = async () => (await locations()).length === NAMES.length;
  await waitUntil('all four have it', isEverywhere, 120_000);
  const seconds = (performance.now() - begunMono) / 1_000;
  const after = await sent();
  const copies = new Map(
    NAMES.map((name) => [name, (after.get(name) ?? 0) - (before.get(name) ?? 0)]),
  );
  const shares = NAMES.map((name) => `${name} ${copies.get(name)?.toFixed(2)}`).join(', ');
  console.log(`  copies sent in ${seconds.toFixed(1)} s, from ${source}: ${shares}`);

  for (const name of NAMES) {
    const replica = join(world.node(name).directory, 'blobs', blobId, 'image.iso');
    assert.is(hash('sha512', readFileSync(replica)), hash('sha512', readFileSync(path)), name);
  }
  const total = [...copies.values()].reduce((sum, some) => sum + some, 0);
  assert.ok(total > 2.9, `three copies went over the lines, and ${total} were counted`);
  assert.ok((copies.get(source) ?? 0) < MOST_COPIES, `${source} sent ${copies.get(source)} copies`);
  rmSync(path);
});

test.run();

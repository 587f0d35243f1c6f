// A lab of two hypervisors that are low on disk and a node that only keeps blobs: an image that no instance uses comes to
// rest there, and is fetched back by a hypervisor that starts an instance from it.
import { execFileSync } from 'node:child_process';
import { rejects } from 'node:assert/strict';
import { existsSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { View } from '../../src/client/client.ts';
import { labWithoutGuests } from '../support/cluster-lab.ts';
import { untilView } from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('a node that only keeps blobs');
const GIB = 2 ** 30;
const { bavail, bsize } = statfsSync(tmpdir());
/** Less than three times that is free, and more than once. */
const KEPT = `${Math.floor((bavail * bsize) / GIB / 2)}G`;
const low = { roles: 'hypervisor,api,events,storage', 'image-keep-free': KEPT };
const world = await labWithoutGuests(
  ['h1', 'h2', 's1'],
  { 'image-copies': 1 },
  { h1: low, h2: low, s1: { roles: 'storage' } },
);
const h1 = world.client('h1');

test.after(() => world.close());

const isIn = (state: string) => (view: View) => view['state'] === state;

/** Nodes that really have the blob. */
function holders(blobId: string): string[] {
  return world.lab.nodes.flatMap(({ name, directory }) =>
    existsSync(join(directory, 'blobs', blobId, 'image.qcow2')) ? [name] : [],
  );
}

async function locations(blobId: string): Promise<unknown> {
  return (await h1.view('GET', `/blobs/${blobId}`))['locations'];
}

/** Oldest first; how far something is left out. */
async function eventsOf(path: string): Promise<string[]> {
  const events = await h1.list(`${path}/events`);
  const told = events.filter((event) => event['type'] === 'audit');
  return told.map((event) => String(event['message'])).toReversed();
}

test('a cold image goes there from a hypervisor that is low on disk, and comes back for an instance', async () => {
  const path = join(world.lab.directory, 'cold.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '64M']);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -q -P 7 0 8M', path]);
  const made = await h1.view('POST', '/artifacts', { url: `file://${path}` });
  const artifact = `/artifacts/${String(made['uuid'])}`;
  const { blob_uuid } = await untilView(h1, artifact, isIn('created'), 60_000);
  const blobId = String(blob_uuid);

  const isMoved = async () => {
    return JSON.stringify(await locations(blobId)) === '["s1"]' && holders(blobId).join() === 's1';
  };
  await waitUntil('it is on the node that only keeps blobs alone', isMoved, 120_000);
  const order = ['copying', 'a copy is there and verified', 'a copy was removed'];
  // Its file goes before that is told.
  let told: string[] = [];
  const isTold = async () => {
    told = await eventsOf(`/blobs/${blobId}`);
    return told.includes('a copy was removed');
  };
  await waitUntil('it is told that the other copy was removed', isTold, 10_000);
  assert.equal(
    told.filter((text) => order.includes(text)),
    order,
  );

  const wish = {
    name: 'vm',
    cpus: 1,
    memory: 128,
    disk: [{ base: `sf://blob/${blobId}` }],
    network: [],
  };
  const there = { ...wish, name: 'there', placed_on: 's1' };
  await rejects(h1.view('POST', '/instances', there), /s1|No nodes/);
  const { uuid } = await h1.view('POST', '/instances', wish);
  const instance = `/instances/${String(uuid)}`;
  const running = await untilView(h1, instance, isIn('created'), 60_000);
  const node = String(running['node']);
  assert.match(node, /^h[12]$/);
  assert.equal(holders(blobId), [node, 's1']);
  const stages = await h1.list(`${instance}/events`);
  const first = stages.find((event) => event['message'] === 'schedule by hypervisors');
  const { dropped } = (first?.['extra'] ?? {}) as { readonly dropped?: object };
  assert.equal(dropped, { s1: 'is no hypervisor' });
  await h1.call('DELETE', instance);
  await untilView(h1, instance, isIn('deleted'), 60_000);

  // Four copies on three nodes are too few, which it says; three are not.
  const tells = async (text: string) => (await eventsOf(`/blobs/${blobId}`)).includes(text);
  await h1.call('POST', `${artifact}/copies`, { copies: 4 });
  await waitUntil('too few are told of', () => tells('too few copies'), 30_000);
  await h1.call('POST', `${artifact}/copies`, { copies: 3 });
  await waitUntil('enough are told of', () => tells('enough copies again'), 30_000);
  assert.equal(await locations(blobId), ['h1', 'h2', 's1']);
  assert.is((await h1.view('GET', artifact))['copies'], 3);
});

test.run();

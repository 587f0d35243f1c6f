// What the blobs of this daemon are told of the nodes.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { initial as noBlob } from '../../../actors/blob/blob.ts';
import { formatAddress, type Address, type Message } from '../../../actors/kernel/kind.ts';
import type { Router } from '../../../actors/kernel/ports.ts';
import { initial as noNode } from '../../../actors/node/node.ts';
import {
  BlobNews,
  blobNodes,
  tellBlobsNodeIsGone,
  tellBlobsOfNodes,
} from '../../../src/daemon/blob-nodes.ts';
import type { ReadModel } from '../../../src/read/read-model.ts';
import { ManualClock, seededRandom } from '../../support/kernel.ts';

const test = suite('blobs hear of nodes');

const machine = { vtep: '', mtu: 1450, cpus: 1, memoryMiB: 1, diskGiB: 1, accelerator: 'tcg' };
const rows = (states: Record<string, object>) => {
  const all = Object.entries(states).map(([id, state]) => ({ id, state, revision: 1 }));
  return { all: () => all };
};
const read = {
  nodes: rows({
    n1: { ...noNode, phase: 'created', machine },
    n2: { ...noNode, phase: 'created', machine },
    unknown: noNode,
    broken: { ...noNode, phase: 'error', machine },
  }),
  blobs: rows({
    mine: { ...noBlob, phase: 'created' },
    gone: { ...noBlob, phase: 'deleted' },
    theirs: { ...noBlob, phase: 'created' },
  }),
} as unknown as ReadModel;
const isUp = (node: string) => node !== 'n2';

function told(act: (options: Parameters<typeof tellBlobsOfNodes>[0]) => void) {
  const sent: [string, Message][] = [];
  const router: Router = {
    ask: () => Promise.reject(new Error('nobody asks')),
    tell: (to: Address, message: Message) => void sent.push([formatAddress(to), message]),
  };
  const isOwn = ({ id }: Address) => id !== 'theirs';
  act({ read, router, random: seededRandom(1), isUp, copies: 2, isOwn });
  return sent;
}

test('nodes that have said what they are, and whether they are members now', () => {
  assert.equal(blobNodes(read, isUp), [
    { node: 'n1', isUp: true },
    { node: 'n2', isUp: false },
    { node: 'broken', isUp: false },
  ]);
});

test('blobs that run here and are not deleted are told, in a message that they take', () => {
  const nodes = blobNodes(read, isUp);
  assert.equal(told(tellBlobsOfNodes), [
    ['blob/mine', { kind: 'nodes-changed', nodes, copies: 2 }],
  ]);
  assert.equal(
    told((options) => tellBlobsNodeIsGone(options, 'n2')),
    [['blob/mine', { kind: 'node-gone', node: 'n2' }]],
  );
});

test('blobs are told once of each change, also of what a machine says after it has joined', async () => {
  const clock = new ManualClock();
  const members = new Set(['n1']);
  let counted = 0;
  told((options) => {
    const router: Router = { ...options.router, tell: () => void counted++ };
    const news = new BlobNews({ ...options, router, clock, isUp: (node) => members.has(node) });
    const said: number[] = [];
    const change = () => {
      news.changed();
      said.push(counted);
    };
    change();
    change();
    members.add('n2');
    change();
    members.delete('n2');
    change();
    assert.equal(said, [1, 1, 2, 3]);
  });
  members.add('n2');
  await clock.advance(60_000);
  assert.is(counted, 4, 'looked again');
  assert.is(clock.pending, 0);
});

test.run();

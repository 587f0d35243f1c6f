// Archives over a real etcd, each file in a thread of its own: recording, pruning, and catching up after a compaction.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import type { Router } from '../../../actors/kernel/ports.ts';
import { ulidFactory } from '../../../actors/kernel/ulid.ts';
import type { HistoryItem } from '../../../src/archive/history.ts';
import { archivePath, NodeHistory } from '../../../src/daemon/archive.ts';
import { StoreJournal } from '../../../transport/sharding/journal.ts';
import { fenceKey } from '../../../transport/sharding/membership.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import { FOR_EVER, keys, told } from '../../support/history-world.ts';
import { keptLog, seededRandom } from '../../support/kernel.ts';
import { waitUntil } from '../../support/wait.ts';
import { etcdHarness } from './etcd-harness.ts';

const test = suite('archives over etcd');
const harness = await etcdHarness();
const directory = mkdtempSync(join(tmpdir(), 'troupe-archive-etcd-'));
const nodes = new Map<string, NodeHistory>();
test.after(async () => {
  await harness.close();
  rmSync(directory, { recursive: true });
});

const router: Router = {
  ask: async (to, message, { trace }) => {
    const node = nodes.get(to.id);
    if (node === undefined) throw new Error(`${to.id} is away`);
    return { value: await node.service(to, message, trace), revision: 0 };
  },
  tell: () => {},
};

async function start(node: string) {
  const store = harness.client();
  const random = seededRandom(node.charCodeAt(1));
  const past = new NodeHistory({
    node,
    path: archivePath(join(directory, node)),
    cluster: 'test',
    retention: FOR_EVER,
    store,
    keys,
    standpoint: {
      epochOf: () => 1,
      isMember: (name) => nodes.has(name),
      onChange: () => () => {},
    },
    clock: systemClock,
    random,
    log: keptLog().log,
  });
  const commits = new GroupCommit({ store, clock: systemClock });
  const journal = new StoreJournal(store, commits, keys, past.outbox);
  nodes.set(node, past);
  await past.start(router);
  const stop = async () => {
    nodes.delete(node);
    await past.close();
    await commits.close();
    await store.close();
  };
  return { past, store, journal, stop };
}

type Node = Awaited<ReturnType<typeof start>>;

const OBJECTS = 50;
const MANY = 700;
const NOTHING = new Uint8Array();
const addressOf = (index: number) => ({ kind: 'instance', id: `i${index % OBJECTS}` });

/** Owns what is written to. */
async function own({ store }: Node): Promise<number[]> {
  const epochs: number[] = [];
  for (let index = 0; index < OBJECTS; index++) {
    const fence = fenceKey(keys, addressOf(index));
    // Objects of one shard share it.
    const known = (await store.get(fence))?.createRevision;
    epochs.push(known ?? (await store.put(fence, NOTHING)));
  }
  return epochs;
}

/** So many turns of as many objects, side by side. */
async function write({ journal }: Node, epochs: readonly number[], count: number): Promise<void> {
  const newId = ulidFactory(seededRandom(count));
  const turns = Array.from({ length: count }, (_, index) => {
    const atMs = Date.now();
    const event = { id: newId(atMs), atMs, node: 'n1', trace: 't', type: 'status' } as const;
    return journal.commit({
      address: addressOf(index),
      epoch: epochs[index % OBJECTS] ?? 0,
      snapshot: { schema: 1, state: { namespace: 'lab', turn: index } },
      events: [{ ...event, message: `turn ${index}` }],
      index: { before: null, after: null },
    });
  });
  await Promise.all(turns);
}

async function replay({ past }: Node): Promise<HistoryItem[]> {
  const items: HistoryItem[] = [];
  for (let after = 0; ;) {
    const page = await past.history.read({ after, filter: {}, limit: 500 });
    items.push(...page.items);
    after = page.through;
    if (!page.more) return items;
  }
}

const outbox = async ({ store }: Node) =>
  (await store.range({ prefix: keys.events(), keysOnly: true })).entries.length;

test('events go from the outbox to all archives, and to one that was away past a compaction', async () => {
  const one = await start('n1');
  const two = await start('n2');
  const epochs = await own(one);
  await write(one, epochs, MANY);
  // What both have is said after 500, and for the rest some seconds later.
  await waitUntil('the outbox shrinks', async () => (await outbox(one)) < MANY / 2);
  const isComplete = async (node: Node) => (await replay(node)).length === MANY;
  await waitUntil('both have all', async () => (await isComplete(one)) && isComplete(two));
  assert.equal((await replay(two)).map(told), (await replay(one)).map(told));
  await two.stop();
  await write(one, epochs, MANY);
  await waitUntil('all is recorded', async () => (await replay(one)).length === 2 * MANY);
  const last = await one.store.put(keys.alloc('test', 'last'), NOTHING);
  await waitUntil('n1 has seen it', () => one.past.history.revision >= last);
  await harness.compact(last);
  const again = await start('n2');
  await waitUntil('n2 has caught up', async () => {
    const items = await replay(again);
    return items.map(told).join() === (await replay(one)).map(told).join();
  });
  await again.stop();
  await one.stop();
});

test.run();

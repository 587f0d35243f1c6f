// An object's events in the store in memory, through the journal that writes them.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ulidFactory } from '../../../actors/kernel/ulid.ts';
import type { EventRecord } from '../../../actors/kernel/ports.ts';
import type { EventQuery } from '../../../transport/sharding/event-outbox.ts';
import { StoreJournal } from '../../../transport/sharding/journal.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { fenceKey } from '../../../transport/sharding/membership.ts';
import { ManualClock, seededRandom } from '../../support/kernel.ts';

const test = suite('event outbox');
const keys = clusterKeys('test');
const address = { kind: 'instance', id: 'one' };
const ALL: EventQuery = { limit: -1, type: null };
/** Ends in no prune digit, so that a test decides when the outbox is looked through. */
const idOf = (number: number) => `${String(number).padStart(8, '0')}A`;

function event(number: number, id = idOf(number)): EventRecord {
  const type = number % 10 === 0 ? 'audit' : 'status';
  return { id, atMs: number, node: 'n1', trace: 't', type, message: String(number) };
}

/** A journal that owns the address's shard. */
async function world(archived: number | null = null) {
  const clock = new ManualClock();
  const store = new MemoryStore({ cluster: new MemoryCluster({ clock }) });
  const epoch = await store.put(fenceKey(keys, address), new Uint8Array());
  const journal = new StoreJournal(store, new GroupCommit({ store, clock }), keys, {
    recordedByAll: () => archived,
    wrote: () => {},
    mayHaveMore: () => {},
  });
  const write = (events: readonly EventRecord[], under = epoch) => {
    const index = { before: null, after: null };
    return journal.commit({
      address,
      epoch: under,
      snapshot: { schema: 1, state: {} },
      events,
      index,
    });
  };
  const numbers = async (query = ALL) =>
    (await journal.events(address, query)).flatMap(({ event: { message } }) =>
      /^\d+$/.test(message) ? [Number(message)] : [],
    );
  const texts = async () =>
    (await journal.events(address, ALL)).map(({ event: { message } }) => message);
  return { write, numbers, texts, epoch };
}

/** As many as one transaction takes at a time. */
async function fill(write: (events: EventRecord[]) => Promise<number>, count: number) {
  for (let at = 0; at < count; at += 100)
    await write(Array.from({ length: Math.min(100, count - at) }, (_, index) => event(at + index)));
}

test('the newest are read, newest first, over all pages', async () => {
  const { write, numbers } = await world();
  await fill(write, 1_300);
  assert.equal(await numbers({ ...ALL, limit: 3 }), [1_299, 1_298, 1_297]);
  assert.equal(await numbers({ ...ALL, limit: 0 }), []);
  assert.is((await numbers()).length, 1_300);
});

test('a limit counts events of the type asked for', async () => {
  const { write, numbers } = await world();
  await fill(write, 1_300);
  assert.equal(await numbers({ limit: 2, type: 'audit' }), [1_290, 1_280]);
});

test('an outbox that has grown is cut to its newest thousand, whatever its size (O1)', async () => {
  const { write, texts } = await world();
  await fill(write, 2_650);
  await write([event(2_650, `${idOf(2_650)}0`)]);
  const left = await texts();
  assert.is(left.length, 1_002);
  const note = 'dropped 1650 events before every archive had them';
  assert.equal([left[0], left[1], left.at(-1)], [note, '2650', '1650']);
});

test('what every archive has is dropped without a word', async () => {
  const { write, texts } = await world(1_000_000);
  await fill(write, 2_650);
  await write([event(2_650, `${idOf(2_650)}0`)]);
  const left = await texts();
  assert.equal([left.length, left[0]], [1_001, '2650']);
});

test('events with ids as the kernel makes them stay near a thousand (O1)', async () => {
  const { write, numbers } = await world();
  const newId = ulidFactory(seededRandom(7));
  let most = 0;
  for (let number = 0; number < 3_000; number++) {
    await write([event(number, newId(number))]);
    if (number % 100 === 0) most = Math.max(most, (await numbers()).length);
  }
  assert.ok(most > 1_000 && most < 1_300, `${most}`);
  assert.is((await numbers({ ...ALL, limit: 1 }))[0], 2_999);
});

test('a daemon that lost the shard drops no events either', async () => {
  const { write, numbers, epoch } = await world();
  await fill(write, 1_200);
  await rejects(write([event(1_200, `${idOf(1_200)}0`)], epoch + 1), /epoch .* is over/);
  assert.is((await numbers()).length, 1_200);
});

test.run();

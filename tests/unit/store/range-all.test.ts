// A prefix of many pages, read while it changes.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { ManualClock } from '../../support/kernel.ts';

const test = suite('range all');
const MANY = 6_000;

test('all pages are of the moment of the first, and say so, however much is written in between (R1)', async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ cluster: new MemoryCluster({ clock }) });
  const keyOf = (index: number) => `/p/${String(index).padStart(5, '0')}`;
  let last = 0;
  for (let index = 0; index < MANY; index++) last = await store.put(keyOf(index), new Uint8Array());
  const found: string[] = [];
  const revisions = new Set<number>();
  let pages = 0;
  for await (const page of store.rangeAll({ prefix: '/p/' })) {
    found.push(...page.entries.map(({ key }) => key));
    revisions.add(page.revision);
    await store.put(`/p/5999${pages}`, new Uint8Array());
    await store.delete(keyOf(MANY - 1 - pages++));
  }
  assert.ok(pages > 2);
  assert.equal([...revisions], [last]);
  assert.is(found.length, MANY);
});

test.run();

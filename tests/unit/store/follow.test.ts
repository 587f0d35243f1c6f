import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { follow } from '../../../transport/store/follow.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import type { Change } from '../../../transport/store/store.ts';
import { ManualClock } from '../../support/kernel.ts';

const test = suite('follow');
const bytes = (value: string) => Uint8Array.from(Buffer.from(value));

/** A cluster with a writer, and a reader whose copy of /f/ is kept by a follow. */
async function setUp() {
  const clock = new ManualClock();
  const cluster = new MemoryCluster({ clock });
  const writer = new MemoryStore({ cluster });
  const reader = new MemoryStore({ cluster });
  const copy = new Map<string, string>();
  const calls: { changes: string[]; revision: number; replaced: boolean }[] = [];
  const links: boolean[] = [];
  const failures: Error[] = [];
  const put = (name: string, value: string) => writer.put(`/f/${name}`, bytes(value));
  const open = (changed: () => void = () => undefined) =>
    follow(
      reader,
      '/f/',
      {
        changes(changes, revision, replaced) {
          changes.forEach((change) => applyTo(copy, change));
          calls.push({ changes: changes.map(describe), revision, replaced });
          changed();
        },
        link: (up) => void links.push(up),
        failed: (error) => void failures.push(error),
      },
      { clock, random: () => 0.5 },
    );
  return { clock, cluster, writer, reader, copy, calls, links, failures, put, open };
}

function applyTo(copy: Map<string, string>, change: Change): void {
  if (change.kind === 'delete') copy.delete(change.key);
  else copy.set(change.key, Buffer.from(change.entry.value).toString());
}

function describe(change: Change): string {
  return `${change.kind} ${change.key} @${change.revision}`;
}

test('the listing comes in one call, then the changes; an unchanged prefix makes no noise', async () => {
  const { clock, calls, put, open, links } = await setUp();
  await put('a', '1');
  const b = await put('b', '1');
  const followed = open();
  await followed.ready();
  assert.is(calls.length, 1);
  assert.equal(calls[0]?.changes, [`put /f/a @${b - 1}`, `put /f/b @${b}`]);
  await put('a', '2');
  await clock.advance(0);
  assert.equal(calls[1]?.changes, [`put /f/a @${b + 1}`]);
  assert.is(followed.revision, b + 1);
  assert.equal(links, [true]);
  await followed.close();
});

test('after compaction while cut off, the difference is handed over, deletions included', async () => {
  const { clock, cluster, writer, reader, copy, calls, links, put, open } = await setUp();
  for (const name of ['same', 'changed', 'gone']) await put(name, '1');
  const followed = open();
  await followed.ready();
  await clock.advance(0);
  reader.faults.link = 'refused';
  await clock.advance(100);
  await put('changed', '2');
  await writer.delete('/f/gone');
  const last = await put('new', '2');
  cluster.compact(last);
  reader.faults.link = 'up';
  await clock.advance(10_000);
  assert.equal(Object.fromEntries(copy), { '/f/same': '1', '/f/changed': '2', '/f/new': '2' });
  const difference = calls.at(-1);
  assert.equal(difference, {
    changes: [`put /f/changed @${last - 2}`, `put /f/new @${last}`, `delete /f/gone @${last}`],
    revision: last,
    replaced: false,
  });
  assert.equal(links, [true, false, true]);
  await followed.close();
});

test('a store that was restored to an older state is read anew, and the observer is told', async () => {
  const { clock, cluster, reader, copy, calls, put, open } = await setUp();
  await put('a', 'before');
  for (let i = 0; i < 10; i++) await put('b', String(i));
  const followed = open();
  await followed.ready();
  await clock.advance(0);
  reader.faults.link = 'refused';
  await clock.advance(100);
  cluster.wipe();
  // The same revision as before holds another value.
  await put('a', 'restored');
  reader.faults.link = 'up';
  await clock.advance(10_000);
  assert.equal(Object.fromEntries(copy), { '/f/a': 'restored' });
  assert.is(calls.at(-1)?.replaced, true);
  assert.is(followed.revision, 2);
  await put('c', 'after');
  await clock.advance(10);
  assert.is(copy.get('/f/c'), 'after');
  await followed.close();
});

test('a store that is away at first is waited for, and said to be away', async () => {
  const { clock, reader, links, copy, put, open } = await setUp();
  await put('a', '1');
  reader.faults.link = 'refused';
  const followed = open();
  await clock.advance(5_000);
  assert.equal(links, [false]);
  assert.is(followed.revision, 0);
  reader.faults.link = 'up';
  await clock.advance(5_000);
  await followed.ready();
  assert.equal(links, [false, true]);
  assert.is(copy.get('/f/a'), '1');
  await followed.close();
});

test('a stalled link is noticed, reported and caught up with', async () => {
  const { clock, reader, copy, links, put, open } = await setUp();
  const followed = open();
  await followed.ready();
  await clock.advance(0);
  reader.faults.link = 'stalled';
  await put('a', '1');
  await clock.advance(6_000);
  assert.equal(links, [true, false]);
  assert.is(copy.size, 0);
  reader.faults.link = 'up';
  await clock.advance(10_000);
  assert.equal(links, [true, false, true]);
  assert.is(copy.get('/f/a'), '1');
  await followed.close();
});

test('an observer that throws ends the follow, and says so once', async () => {
  const { clock, calls, failures, put, open } = await setUp();
  const followed = open(() => {
    if (calls.length === 2) throw new Error('a bug in the observer');
  });
  await followed.ready();
  await clock.advance(0);
  await put('a', '1');
  await clock.advance(0);
  await put('a', '2');
  await clock.advance(10_000);
  assert.is(calls.length, 2);
  assert.equal(
    failures.map(({ message }) => message),
    ['a bug in the observer'],
  );
  assert.is(clock.pending, 0);
  await followed.close();
});

test('close() before the first listing, and a closed store, end it quietly', async () => {
  const { clock, reader, calls, links, open } = await setUp();
  reader.faults.link = 'refused';
  const followed = open();
  await followed.close();
  await rejects(followed.ready(), { code: 'store/closed' });
  await reader.close();
  const late = open();
  await rejects(late.ready(), { code: 'store/closed' });
  await clock.advance(10_000);
  assert.equal([calls, links], [[], []]);
  assert.is(clock.pending, 0);
});

test.run();

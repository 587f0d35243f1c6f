// The contract of every store: keys, transactions, limits, listings.
import { rejects } from 'node:assert/strict';
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_REQUEST_BYTES, MAX_TXN_OPS } from '../../../transport/store/limits.ts';
import type { Compare, Entry, Op } from '../../../transport/store/store.ts';
import { absent, bytes, collect, put, text, type Fresh } from './harness.ts';

/** One key and what is kept with it. */
export function entries(test: Test, fresh: Fresh): void {
  test('a key keeps its create revision and counts its versions until it is deleted', async () => {
    const { store, at } = fresh();
    const first = await store.put(`${at}k`, bytes('a'));
    const second = await store.put(`${at}k`, bytes('b'));
    assert.is(second, first + 1);
    const entry = await store.get(`${at}k`);
    assert.is(text(entry?.value), 'b');
    assert.equal(
      [entry?.key, entry?.createRevision, entry?.modRevision, entry?.version, entry?.lease],
      [`${at}k`, first, second, 2, null],
    );
    assert.is(await store.delete(`${at}k`), true);
    assert.is(await store.get(`${at}k`), null);
    const third = await store.put(`${at}k`, bytes('c'));
    assert.is(third, second + 2);
    const again = await store.get(`${at}k`);
    assert.is(again?.createRevision, third);
    assert.is(again?.version, 1);
  });

  test('an empty value, all byte values and keys of any Unicode come back as they went in', async () => {
    const { store, at } = fresh();
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    await store.put(`${at}bytes`, all);
    await store.put(`${at}empty`, new Uint8Array(0));
    await store.put(`${at}π/🐟 %2F`, bytes('fish'));
    assert.equal([...((await store.get(`${at}bytes`))?.value ?? [])], [...all]);
    assert.is((await store.get(`${at}empty`))?.value.byteLength, 0);
    assert.is(text((await store.get(`${at}π/🐟 %2F`))?.value), 'fish');
  });

  test('a buffer that the caller uses again does not reach into the store', async () => {
    const { store, at } = fresh();
    const buffer = bytes('before');
    await store.put(`${at}k`, buffer);
    buffer.fill(0);
    assert.is(text((await store.get(`${at}k`))?.value), 'before');
  });

  test('deleting what is not there changes nothing and takes no revision', async () => {
    const { store, at } = fresh();
    const before = await store.put(`${at}k`, bytes('v'));
    assert.is(await store.delete(`${at}absent`), false);
    assert.is(await store.put(`${at}k`, bytes('v')), before + 1);
  });
}

/** Compares, branches and what they see. */
export function transactions(test: Test, fresh: Fresh): void {
  test('a transaction takes one revision for all its changes', async () => {
    const { store, at } = fresh();
    const then = [put(`${at}a`), put(`${at}b`), put(`${at}c`)];
    const { succeeded, revision } = await store.txn({ compare: [], then });
    assert.is(succeeded, true);
    const { entries: found } = await store.range({ prefix: at });
    assert.equal(
      found.map((entry) => [entry.createRevision, entry.modRevision, entry.version]),
      [1, 2, 3].map(() => [revision, revision, 1]),
    );
  });

  test('a failed compare runs else, and a get sees the writes before it', async () => {
    const { store, at } = fresh();
    await store.put(`${at}k`, bytes('old'));
    const compare = [absent(`${at}k`)];
    const result = await store.txn({
      compare,
      then: [put(`${at}k`, 'never')],
      else: [
        { op: 'get', key: `${at}k` },
        put(`${at}k`, 'new'),
        { op: 'get', key: `${at}k` },
        { op: 'get', key: `${at}absent` },
        { op: 'delete', key: `${at}absent` },
      ],
    });
    assert.is(result.succeeded, false);
    const seen = result.responses.map((one) => (one.op === 'get' ? text(one.entry?.value) : one));
    assert.equal(seen, ['old', { op: 'put' }, 'new', undefined, { op: 'delete', deleted: 0 }]);
  });

  test('every compare of every target holds exactly when it should', async () => {
    const { store, at } = fresh();
    const lease = await store.lease(5_000);
    await store.put(`${at}k`, bytes('m'));
    await store.put(`${at}k`, bytes('m'), lease.id);
    const entry = await store.get(`${at}k`);
    if (entry === null) throw new Error('the key is gone');
    for (const [compare, expected] of compareTable(at, entry)) {
      const { succeeded } = await store.txn({ compare: [compare], then: [] });
      assert.is(succeeded, expected, JSON.stringify(compare));
    }
    await lease.revoke();
  });

  test('delete-prefix removes what is under it and nothing else', async () => {
    const { store, at } = fresh();
    for (const name of ['a/1', 'a/2', 'a', 'ab']) await store.put(at + name, bytes('v'));
    const { responses } = await store.txn({
      compare: [],
      then: [{ op: 'delete-prefix', prefix: `${at}a/` }, put(`${at}z`)],
    });
    assert.equal(responses, [{ op: 'delete-prefix', deleted: 2 }, { op: 'put' }]);
    const { entries: left } = await store.range({ prefix: at });
    assert.equal(
      left.map(({ key }) => key.slice(at.length)),
      ['a', 'ab', 'z'],
    );
  });

  test('a late write of the previous owner is refused and the value stands', async () => {
    const { store, at } = fresh();
    const epoch = await store.put(`${at}owner`, bytes('first'));
    await store.delete(`${at}owner`);
    await store.put(`${at}owner`, bytes('second'));
    await store.put(`${at}state`, bytes('of second'));
    const late = await store.txn({
      compare: [{ target: 'create', key: `${at}owner`, is: '==', than: epoch }],
      then: [put(`${at}state`, 'of first')],
    });
    assert.is(late.succeeded, false);
    assert.is(text((await store.get(`${at}state`))?.value), 'of second');
  });

  test('of many clients that create one key at once, exactly one succeeds', async () => {
    const { harness, at } = fresh();
    const clients = [1, 2, 3, 4].map(() => harness.client());
    const compare = [absent(`${at}k`)];
    const results = await Promise.all(
      clients.map((client, i) => client.txn({ compare, then: [put(`${at}k`, `${i}`)] })),
    );
    assert.is(results.filter(({ succeeded }) => succeeded).length, 1);
    await Promise.all(clients.map((client) => client.close()));
  });
}

/** Compares with the entry of `${at}k`, and whether each must hold. */
function compareTable(at: string, entry: Entry): [Compare, boolean][] {
  const [k, absent] = [`${at}k`, `${at}absent`];
  const table: [Compare, boolean][] = [];
  for (const [target, now] of [
    ['create', entry.createRevision],
    ['mod', entry.modRevision],
    ['version', entry.version],
  ] as const) {
    table.push([{ target, key: k, is: '==', than: now }, true]);
    table.push([{ target, key: k, is: '==', than: now + 1 }, false]);
    table.push([{ target, key: k, is: '!=', than: now }, false]);
    table.push([{ target, key: k, is: '<', than: now + 1 }, true]);
    table.push([{ target, key: k, is: '<', than: now }, false]);
    table.push([{ target, key: k, is: '>', than: now - 1 }, true]);
    table.push([{ target, key: k, is: '>', than: now }, false]);
    table.push([{ target, key: absent, is: '==', than: 0 }, true]);
    table.push([{ target, key: absent, is: '>', than: 0 }, false]);
  }
  for (const [is, than, expected] of [
    ['==', 'm', true],
    ['!=', 'm', false],
    ['<', 'n', true],
    ['<', 'm', false],
    ['>', 'l', true],
    ['>', 'mm', false],
  ] as const) {
    table.push([{ target: 'value', key: k, is, than: bytes(than) }, expected]);
    table.push([{ target: 'value', key: absent, is, than: bytes(than) }, false]);
  }
  table.push([{ target: 'value', key: absent, is: '==', than: bytes('') }, false]);
  table.push([{ target: 'lease', key: k, is: '==', than: entry.lease }, true]);
  table.push([{ target: 'lease', key: k, is: '!=', than: null }, true]);
  table.push([{ target: 'lease', key: absent, is: '==', than: null }, true]);
  return table;
}

/** What is too large or makes no sense. */
export function limits(test: Test, fresh: Fresh): void {
  test('the largest transaction is taken, the next larger one refused before anything happens', async () => {
    const { store, at } = fresh();
    const many = (count: number): Op[] =>
      Array.from({ length: count }, (_, i) => put(`${at}${String(i).padStart(3, '0')}`));
    const compares = (count: number): Compare[] =>
      Array.from({ length: count }, () => absent(`${at}x`));
    const full = { compare: compares(MAX_TXN_OPS), then: many(MAX_TXN_OPS) };
    assert.is((await store.txn(full)).succeeded, true);
    const tooLarge = { code: 'store/too-large' };
    await rejects(store.txn({ compare: [], then: [...many(128), put(`${at}999`)] }), tooLarge);
    await rejects(store.txn({ compare: compares(129), then: [] }), tooLarge);
    await rejects(store.txn({ compare: [], then: [], else: [...many(128), put(at)] }), tooLarge);
    assert.is(await store.get(`${at}999`), null);
  });

  test('a request of 1.5 MiB is taken, a larger one refused', async () => {
    const { store, at } = fresh();
    const overhead = 64 + Buffer.byteLength(`${at}k`);
    await store.put(`${at}k`, new Uint8Array(MAX_REQUEST_BYTES - overhead));
    const more = new Uint8Array(MAX_REQUEST_BYTES - overhead + 1);
    await rejects(store.put(`${at}k`, more), { code: 'store/too-large' });
    const each = new Uint8Array(MAX_REQUEST_BYTES / 128 - 100);
    const then = Array.from({ length: 128 }, (_, i): Op => ({
      op: 'put',
      key: `${at}m${i}`,
      value: each,
    }));
    assert.is((await store.txn({ compare: [], then })).succeeded, true);
  });

  test('requests that can never work are refused', async () => {
    const { store, at } = fresh();
    const refused = { code: 'store/bad-value' };
    const then = (...ops: Op[]) => store.txn({ compare: [], then: ops });
    await rejects(store.get(''), refused);
    await rejects(store.put('\ud800', bytes('v')), refused);
    await rejects(then(put(`${at}k`), put(`${at}k`)), refused);
    await rejects(then(put(`${at}k`), { op: 'delete', key: `${at}k` }), refused);
    await rejects(then({ op: 'delete-prefix', prefix: at }, put(`${at}k`)), refused);
    await rejects(store.range({ prefix: at, limit: 0 }), refused);
    await rejects(store.range({ prefix: at, after: '/elsewhere' }), refused);
    await rejects(store.put(`${at}k`, bytes('v'), 'no lease'), refused);
    await rejects(store.lease(0), refused);
    assert.throws(() => store.watch({ prefix: '', fromRevision: 1 }, collect()));
    assert.is((await store.range({ prefix: at })).entries.length, 0);
  });

  test('deleting twice in one transaction is no contradiction', async () => {
    const { store, at } = fresh();
    await store.put(`${at}k`, bytes('v'));
    const { responses } = await store.txn({
      compare: [],
      then: [
        { op: 'delete', key: `${at}k` },
        { op: 'delete-prefix', prefix: at },
      ],
    });
    assert.equal(responses, [
      { op: 'delete', deleted: 1 },
      { op: 'delete-prefix', deleted: 0 },
    ]);
  });
}

/** Ranges, pages and moments. */
export function listings(test: Test, fresh: Fresh): void {
  test('a listing is in the order of bytes, also beyond the basic plane', async () => {
    const { store, at } = fresh();
    const names = ['a', 'b', 'ab', '\uffee', '🐟', 'é', '~', 'Z', 'a/b'];
    for (const name of names) await store.put(at + name, bytes('v'));
    const { entries: found } = await store.range({ prefix: at });
    const expected = names
      .map((name) => at + name)
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.equal(
      found.map(({ key }) => key),
      expected,
    );
  });

  test('pages of one revision show one moment, however much is written between them', async () => {
    const { store, at } = fresh();
    for (const name of ['a', 'b', 'c', 'd']) await store.put(at + name, bytes('old'));
    const first = await store.range({ prefix: at, limit: 2 });
    assert.is(first.more, true);
    await store.put(`${at}c`, bytes('new'));
    await store.delete(`${at}d`);
    await store.put(`${at}e`, bytes('new'));
    const rest = await store.range({ prefix: at, after: `${at}b`, revision: first.revision });
    assert.is(rest.more, false);
    assert.equal(
      rest.entries.map(({ key, value }) => [key.slice(at.length), text(value)]),
      [
        ['c', 'old'],
        ['d', 'old'],
      ],
    );
    const keys = await store.range({ prefix: at, keysOnly: true });
    assert.equal(
      keys.entries.map(({ key, value }) => [key.slice(at.length), value.byteLength]),
      ['a', 'b', 'c', 'e'].map((name) => [name, 0]),
    );
  });

  test('rangeAll reads many pages as of the first one', async () => {
    const { store, at } = fresh();
    const name = (i: number) => `${at}${String(i).padStart(5, '0')}`;
    for (let from = 0; from < 1_280; from += 128) {
      const then = Array.from({ length: 128 }, (_, i) => put(name(from + i)));
      await store.txn({ compare: [], then });
    }
    const seen: string[] = [];
    let pages = 0;
    for await (const page of store.rangeAll({ prefix: at })) {
      if (pages++ === 0)
        await store.txn({ compare: [], then: [{ op: 'delete-prefix', prefix: at }] });
      for (const { key } of page.entries) seen.push(key);
    }
    assert.ok(pages > 1);
    assert.equal(
      seen,
      Array.from({ length: 1_280 }, (_, i) => name(i)),
    );
  });

  test('a revision that was compacted, or has not come, cannot be read', async () => {
    const { harness, store, at } = fresh();
    const first = await store.put(`${at}k`, bytes('1'));
    const second = await store.put(`${at}k`, bytes('2'));
    const third = await store.put(`${at}k`, bytes('3'));
    await harness.compact(second);
    const read = (revision: number) => store.range({ prefix: at, revision });
    await rejects(read(first), { code: 'store/compacted' });
    assert.is(text((await read(second)).entries[0]?.value), '2');
    assert.is(text((await read(third)).entries[0]?.value), '3');
    await rejects(read(third + 10), (error: { code: string; detail: { replaced: boolean } }) => {
      assert.is(error.code, 'store/compacted');
      assert.is(error.detail.replaced, true);
      return true;
    });
  });
}

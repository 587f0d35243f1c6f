// Which member is meant to run which shard.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { carriersOf, placeShards, type Carrier } from '../../../transport/sharding/placement.ts';
import { SHARDS } from '../../../transport/sharding/shard.ts';
import { seededRandom } from '../../support/kernel.ts';

const test = suite('placement');

function members(count: number, weight = 1): Carrier[] {
  return Array.from({ length: count }, (_, index) => ({ node: `node-${index}`, weight }));
}

function countOf(placed: readonly (string | null)[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const node of placed) if (node !== null) counts.set(node, (counts.get(node) ?? 0) + 1);
  return counts;
}

test('nobody carries anything in an empty cluster', () => {
  assert.ok(placeShards([]).every((node) => node === null));
  assert.is(placeShards([]).length, SHARDS);
});

test('the answer never changes: daemons of two versions must agree', () => {
  const placed = placeShards(members(5));
  assert.equal(placed.slice(0, 8), [
    'node-3',
    'node-0',
    'node-1',
    'node-3',
    'node-4',
    'node-4',
    'node-0',
    'node-0',
  ]);
});

test('the order in which members are listed does not matter', () => {
  assert.equal(placeShards(members(7)), placeShards(members(7).toReversed()));
});

test('an answer is that of its own members, whoever asked before', () => {
  const [few, many] = [placeShards(members(2)), placeShards(members(7))];
  assert.equal(placeShards(members(2)), few);
  assert.equal(placeShards(members(7)), many);
  const [first, ...others] = members(7);
  assert.ok(first !== undefined);
  const without = placeShards([{ ...first, weight: 0 }, ...others]);
  assert.equal(without, placeShards(others));
  assert.not.equal(without, many);
});

test('every member of many gets its share, by weight', () => {
  for (const count of [2, 3, 5, 10]) {
    const counts = countOf(placeShards(members(count)));
    const fair = SHARDS / count;
    for (const [node, shards] of counts) {
      const isFair = Math.abs(shards - fair) < 5 * Math.sqrt(fair);
      assert.ok(isFair, `${node} has ${shards} of about ${fair}`);
    }
  }
  const heavy = [...members(4), { node: 'heavy', weight: 4 }];
  const shards = countOf(placeShards(heavy)).get('heavy') ?? 0;
  assert.ok(shards > 100 && shards < 156, `${shards} of about 128`);
});

test('who joins takes shards only for itself, and who leaves gives up only its own', () => {
  const random = seededRandom(7);
  for (let round = 0; round < 50; round++) {
    const before = members(1 + Math.floor(random.number() * 20));
    const joined = { node: `new-${round}`, weight: 0.5 + random.number() };
    const old = placeShards(before);
    const now = placeShards([...before, joined]);
    now.forEach((node, shard) => assert.ok(node === joined.node || node === old[shard]));
    assert.equal(placeShards(before), old);
  }
});

test('who carries nothing gets nothing, unless nobody carries anything', () => {
  const a = { node: 'a', weight: 0 };
  assert.equal([...new Set(placeShards([a, { node: 'b', weight: 1 }]))], ['b']);
  const both = new Set(placeShards([a, { node: 'b', weight: 0 }]));
  assert.equal(both, new Set(['a', 'b']));
  assert.equal([...new Set(placeShards([]))], [null]);
});

test('daemons of the newest format carry all; with one format everybody does', () => {
  const [a, b, c] = [{ format: 7 }, { format: 8 }, { format: 8 }];
  assert.equal(carriersOf([a, b, c]), [b, c]);
  assert.equal(carriersOf([a]), [a]);
  assert.equal(carriersOf([]), []);
});

test.run();

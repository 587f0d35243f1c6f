import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ChunkPlan } from '../../../transport/blobs/chunk-plan.ts';
import { seededRandom } from '../../support/kernel.ts';

const test = suite('chunk plan');

test('chunks are given out from the front, each once', () => {
  const plan = new ChunkPlan([2, 5, 7]);
  assert.equal(plan.take('a', 0), { index: 2, others: [], takenFrom: null });
  assert.equal(plan.take('b', 0), { index: 5, others: [], takenFrom: null });
  assert.equal(plan.take('a', 0), { index: 7, others: [], takenFrom: null });
  assert.is(plan.take('b', 0), null);
  assert.is(plan.left, 3);
});

test('the chunks of one that is dropped go to the others, first of all', () => {
  const plan = new ChunkPlan([0, 1, 2, 3]);
  plan.take('a', 0);
  plan.take('a', 0);
  plan.drop('a');
  const given = [0, 0, 0, 0].map(() => plan.take('b', 0)?.index);
  assert.equal(given, [0, 1, 2, 3]);
});

test('an idle one takes over what another has owed for too long, and only then', () => {
  const plan = new ChunkPlan([0, 1]);
  plan.take('slow', 0);
  plan.take('quick', 0);
  assert.ok(plan.came('quick', 1, 100));
  assert.is(plan.take('quick', 150), null, 'as patient as twice its own time');
  assert.equal(plan.take('quick', 201), { index: 0, others: [], takenFrom: 'slow' });
  assert.is(plan.came('slow', 0, 250), false, 'it is another that brings it');
  assert.ok(plan.came('quick', 0, 300));
  assert.ok(plan.isComplete);
});

test('nobody takes over from itself', () => {
  const plan = new ChunkPlan([0]);
  plan.take('a', 0);
  assert.is(plan.take('a', 1e9), null);
});

test('of several that a node may choose from, those it does not bring are given back', () => {
  const plan = new ChunkPlan(Array.from({ length: 32 }, (_, index) => index));
  const choice = { isOpen: () => true, spread: () => 0, most: 64, random: () => 0 };
  const given = plan.take('a', 0, choice);
  const all = [given?.index ?? -1, ...(given?.others ?? [])];
  assert.is(all.length, 4, 'an eighth of what is left');
  const chosen = all[2] ?? -1;
  assert.ok(plan.begun('a', chosen));
  assert.is(plan.begun('a', all[0] ?? -1), false, 'given back');
  assert.ok(plan.came('a', chosen, 1));
  assert.is(plan.left, 31);
  const rest = Array.from({ length: 31 }, () => plan.take('b', 1)?.index ?? -1);
  assert.is(new Set(rest).size, 31);
  assert.not(rest.includes(chosen));
});

test('what one refuses is given back whole, and nothing is taken from another for who may refuse', () => {
  const plan = new ChunkPlan(Array.from({ length: 16 }, (_, index) => index));
  const choice = { isOpen: () => true, spread: () => 0, most: 64, random: () => 0, isSeek: true };
  const { index = -1, others = [] } = plan.take('a', 0, choice) ?? {};
  assert.is(others.length, 1);
  plan.refused('b', index);
  assert.ok(plan.begun('a', index), 'only who was asked can refuse');
  plan.refused('a', index);
  assert.not(plan.begun('a', index));
  const all = Array.from({ length: 16 }, () => plan.take('b', 0)?.index);
  assert.is(new Set(all).size, 16);
  assert.is(plan.take('a', 1e9, choice), null);
  assert.is.not(plan.take('a', 1e9, { ...choice, isSeek: false }), null);
});

test('only chunks that a node has are asked of it', () => {
  const plan = new ChunkPlan([0, 1, 2, 3, 4, 5, 6, 7]);
  const isOpen = (index: number) => index % 2 === 1;
  const spread = (index: number) => 8 - index;
  const choice = { isOpen, spread, most: 1, random: () => 0.99 };
  const order = [0, 1, 2, 3, 4].map(() => plan.take('a', 0, choice)?.index ?? null);
  assert.equal(order.slice(4), [null]);
  const odd = new Set(order.slice(0, 4));
  assert.equal(
    [1, 3, 5, 7].every((index) => odd.has(index)),
    true,
  );
  assert.is(plan.left, 8);
});

test('whatever the nodes do, every chunk comes once and the plan ends', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const count = 1 + Math.floor(random.number() * 30);
    const plan = new ChunkPlan(Array.from({ length: count }, (_, index) => index));
    const owed = new Map<string, number[]>();
    const came = new Set<number>();
    let now = 0;
    for (let step = 0; step < 10_000 && !plan.isComplete; step++) {
      now += random.number() * 400;
      const name = `n${Math.floor(random.number() * 4)}`;
      const list = owed.get(name) ?? [];
      owed.set(name, list);
      const roll = random.number();
      if (roll < 0.5) {
        const given = plan.take(name, now);
        if (given !== null) list.push(given.index);
      } else if (roll < 0.95) {
        const index = list.shift();
        if (index === undefined || !plan.came(name, index, now)) continue;
        assert.not(came.has(index), `seed ${seed}: chunk ${index} twice`);
        came.add(index);
      } else {
        plan.drop(name);
        list.length = 0;
      }
    }
    assert.is(came.size, count, `seed ${seed}`);
    assert.is(plan.left, 0, `seed ${seed}`);
  }
});

test.run();

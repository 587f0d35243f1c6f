import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SwarmView } from '../../../transport/blobs/swarm-view.ts';

const test = suite('swarm view');

test('what nodes have is counted once for each, until they are forgotten', () => {
  const view = new SwarmView(20);
  assert.ok(view.tell('a', 0, Uint8Array.of(0b101)));
  assert.ok(view.tell('a', 0, Uint8Array.of(0b111)));
  assert.ok(view.tell('b', 8, Uint8Array.of(1)));
  assert.ok(view.tell('b', 0, Uint8Array.of(1)));
  assert.equal(
    [0, 1, 2, 3, 8].map((index) => view.spread(index)),
    [2, 1, 1, 0, 1],
  );
  assert.ok(view.has('b', 8));
  assert.not(view.has('a', 8));
  view.forget('a');
  assert.equal(
    [0, 1, 2, 3, 8].map((index) => view.spread(index)),
    [1, 0, 0, 0, 1],
  );
  view.forget('nobody');
});

test('a chunk beyond the blob cannot be had', () => {
  assert.is(new SwarmView(9).tell('a', 8, Uint8Array.of(0b10)), false);
});

test.run();

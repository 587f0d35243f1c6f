import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SentCounts } from '../../../transport/blobs/sent-counts.ts';

const test = suite('counts of what was sent');

function begin() {
  const clock = { nowMs: 1_000_000, monoMs: () => clock.nowMs };
  const counts = new SentCounts(clock);
  counts.begin('x', 4);
  return { clock, counts };
}

test('of several the one sent least often is chosen', () => {
  const { counts } = begin();
  assert.equal([counts.choose('x', [2, 3]), counts.choose('x', [2, 3])], [2, 3]);
  assert.is(counts.choose('x', [3, 2, 1]), 1);
  assert.is(counts.given('x').count, 3);
});

test('a chunk is fresh while it is on its way and for a while after it', () => {
  const { clock, counts } = begin();
  counts.choose('x', [0]);
  clock.nowMs += 60_000;
  assert.equal(counts.notFresh('x', [0, 1]), [1], 'it is still being sent');
  counts.out('x', 0, 100);
  clock.nowMs += 2_900;
  assert.equal(counts.notFresh('x', [0]), []);
  clock.nowMs += 200;
  assert.equal(counts.notFresh('x', [0]), [0]);
});

test('over slow lines it is fresh for longer', () => {
  const { clock, counts } = begin();
  for (let chunk = 0; chunk < 40; chunk++) {
    counts.choose('x', [0]);
    counts.out('x', 0, 10_000);
  }
  clock.nowMs += 39_000;
  assert.equal(counts.notFresh('x', [0]), []);
  clock.nowMs += 2_000;
  assert.equal(counts.notFresh('x', [0]), [0]);
});

test('what was broken off counts as never sent', () => {
  const { counts } = begin();
  counts.choose('x', [0]);
  counts.brokenOff('x', 0);
  assert.equal(counts.notFresh('x', [0]), [0]);
  assert.is(counts.given('x').count, 0);
  assert.not(counts.given('x').has(0));
});

test('counts are forgotten with the last transfer, and of another content there are none', () => {
  const { counts } = begin();
  counts.begin('x', 4);
  counts.choose('x', [1]);
  counts.end('x');
  assert.ok(counts.given('x').has(1));
  counts.end('x');
  assert.not(counts.given('x').has(1));
  assert.equal(counts.notFresh('y', [5]), [5]);
  assert.is(counts.choose('y', [5]), 5);
  counts.out('y', 5, 1);
  counts.brokenOff('y', 5);
});

test.run();

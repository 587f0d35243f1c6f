// When progress is told, and what is said of rate and time left.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Progress } from '../../../../actors/blob/state.ts';
import { progressMeter } from '../../../../actors/node/progress.ts';

const test = suite('progress');
const MIB = 2 ** 20;

function meter(totalBytes: number | null = 100 * MIB) {
  const told: Progress[] = [];
  let now = 0;
  const take = progressMeter({ monoMs: () => now }, (progress) => told.push(progress));
  return {
    told,
    at(ms: number, doneMiB: number, step: 'downloading' | 'hashing' = 'downloading') {
      now = ms;
      take({ step, doneBytes: doneMiB * MIB, totalBytes });
      return this;
    },
  };
}

test('a new step, the first bytes and then each tenth, but no two within a second', () => {
  const one = meter().at(0, 0).at(10, 1).at(20, 15).at(1_500, 19).at(2_000, 25).at(2_600, 35);
  assert.equal(
    one.told.map(({ percent }) => percent),
    [0, 1, 19, 35],
  );
  one.at(2_700, 0, 'hashing');
  assert.equal(one.told.at(-1)?.step, 'hashing');
});

test('a slow one is told every quarter of a minute, also without a known end', () => {
  const one = meter().at(0, 0).at(10, 1).at(14_000, 2).at(15_010, 3).at(29_000, 4).at(30_010, 5);
  assert.equal(
    one.told.map(({ percent }) => percent),
    [0, 1, 3, 5],
  );
  const endless = meter(null).at(0, 0).at(10, 1).at(15_010, 16).told.at(-1);
  assert.equal([endless?.percent, endless?.secondsLeft], [null, null]);
  assert.is(endless?.bytesPerSecond, MIB);
});

test('the rate is that of late, and so is the time left', () => {
  const one = meter().at(0, 0).at(1_000, 10).at(2_000, 30);
  assert.equal(one.told.at(-1), {
    step: 'downloading',
    percent: 30,
    doneBytes: 30 * MIB,
    totalBytes: 100 * MIB,
    bytesPerSecond: 20 * MIB,
    secondsLeft: 4,
  });
  one.at(17_000, 45);
  assert.equal([one.told.at(-1)?.bytesPerSecond, one.told.at(-1)?.secondsLeft], [MIB, 55]);
});

test('what went on where it was counts from there', () => {
  const one = meter().at(0, 60).at(1_000, 70);
  assert.is(one.told.at(-1)?.bytesPerSecond, 10 * MIB);
});

test('one that stands still is not told again, and has no time left to tell', () => {
  const one = meter().at(0, 0).at(1_000, 10).at(60_000, 10);
  assert.is(one.told.length, 2);
});

test.run();

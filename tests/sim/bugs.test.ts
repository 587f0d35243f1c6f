// The simulation finds the bugs that are put back: each within a bounded number of seeds, and none without it.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BUGS } from './cluster/bugs.ts';
import { simulate } from './cluster/simulation.ts';

const test = suite('bugs put back');
const SIZE = { nodes: 3, steps: 120 };
const MOST_SEEDS = 100;

for (const make of BUGS) {
  const { name, what } = make();
  test(`${name} is found: ${what}`, async () => {
    for (let seed = 1; seed <= MOST_SEEDS; seed++) {
      const report = await simulate({ ...SIZE, seed, bug: make() });
      const [violation] = report.violations;
      if (violation === undefined) continue;
      console.log(`${name}: seed ${seed}, promise ${violation.promise}, ${violation.object}`);
      return;
    }
    assert.unreachable(`not in ${MOST_SEEDS} seeds`);
  });
}

test.run();

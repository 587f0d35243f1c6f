// Whole clusters under faults: a fixed set of seeds, and that a seed replays. `npm run sim` runs more of them.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { simulate, type RunReport } from './cluster/simulation.ts';

const test = suite('simulated clusters');

/** Any will do; one that has broken a promise is added when that is mended. */
const SMALL = { nodes: 3, steps: 120, seeds: [1, 2, 9, 13, 16, 29, 31, 42, 106, 152] } as const;
const LARGE = { nodes: 5, steps: 200, seeds: [1178, 2] } as const;

function broken({ violations, explanation }: RunReport): string {
  const lines = violations.map((one) => `promise ${one.promise}, ${one.object}: ${one.text}`);
  return [...lines, ...explanation].join('\n');
}

for (const { nodes, steps, seeds } of [SMALL, LARGE]) {
  for (const seed of seeds) {
    test(`${nodes} nodes keep every promise over ${steps} steps of seed ${seed}`, async () => {
      const report = await simulate({ seed, nodes, steps });
      assert.is(broken(report), '');
      assert.ok(report.requests.acknowledged > 30, 'the cluster did something');
    });
  }
}

for (const seed of [2, 5, 12, 16]) {
  test(`a node that is lost and removed takes nothing with it but its own, seed ${seed}`, async () => {
    const report = await simulate({ seed, nodes: 3, steps: 60, removes: true });
    assert.is(broken(report), '');
  });
}

test('a node alone keeps them as well', async () => {
  const report = await simulate({ seed: 3, nodes: 1, steps: 120 });
  assert.is(broken(report), '');
});

test('the same seed gives the same run, another seed another', async () => {
  const size = { nodes: 3, steps: 60 };
  const [first, again] = [
    await simulate({ ...size, seed: 5 }),
    await simulate({ ...size, seed: 5 }),
  ];
  assert.is(first.digest, again.digest);
  assert.equal(first, again);
  assert.is.not((await simulate({ ...size, seed: 6 })).digest, first.digest);
});

test.run();

// Simulates clusters: npm run sim -- [--seed N] [--seeds COUNT] [--nodes N] [--steps N] [--bugs] [--trace]
import { parseArgs } from 'node:util';
import { simulate } from './cluster/simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '3' },
    steps: { type: 'string', default: '120' },
    trace: { type: 'boolean', default: false },
  },
});
const [first, count, nodes, steps] = [values.seed, values.seeds, values.nodes, values.steps].map(
  Number,
);
for (let seed = first ?? 1; seed < (first ?? 1) + (count ?? 1); seed++) {
  const startedAt = performance.now();
  const report = await simulate({
    seed,
    nodes: nodes ?? 3,
    steps: steps ?? 100,
    ...(values.trace ? { print: (l) => console.log(l) } : {}),
  });
  console.log(
    seed,
    `${(performance.now() - startedAt).toFixed(0)} ms`,
    report.digest,
    'virtual s',
    report.virtualMs / 1000,
    'timers',
    report.timers,
    'rev',
    report.revisions,
    'asks',
    report.asks,
    report.requests,
    Object.fromEntries(report.ends),
    report.errors.slice(0, 5),
  );
  for (const v of report.violations) console.log('  BROKEN', v);
}

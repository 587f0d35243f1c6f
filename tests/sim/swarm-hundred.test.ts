// One image to a hundred nodes at once.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Swarm } from './swarm/net.ts';
import { describe, slowestTimes } from './swarm/outcome.ts';

const test = suite('swarm of a hundred');
const CHUNKS = 48;

test('a hundred nodes that fetch at once cost the source one copy, and all get it', async () => {
  const swarm = new Swarm({ seed: 100, chunks: CHUNKS, rate: 16 });
  const names = Array.from({ length: 100 }, (_, at) => `n${at}`);
  const nodes = names.map((name) => swarm.begin(name, names));
  await swarm.run(120_000);
  const times = slowestTimes(swarm, nodes);
  console.log(`  100 nodes: ${describe(swarm, nodes)}`);
  for (const { name, here } of nodes) assert.is(here.size, CHUNKS, name);
  assert.ok(swarm.sourceCopies <= 1.1, `${swarm.sourceCopies} copies`);
  assert.ok(times <= 3, `${times} times as long as one copy on one link`);
});

test.run();

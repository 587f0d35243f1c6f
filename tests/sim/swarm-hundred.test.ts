// One image to a hundred nodes at once.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Swarm } from './swarm/net.ts';

const test = suite('swarm of a hundred');
const CHUNKS = 64;
/** Copies. The aim is 1.5: of so few chunks half are on their way before the first can be passed on. */
const MOST_COPIES = 2;

test('a hundred nodes that fetch at once cost the source few copies, and all get it', async () => {
  const swarm = new Swarm({ seed: 100, chunks: CHUNKS, rate: 16 });
  const names = Array.from({ length: 100 }, (_, at) => `n${at}`);
  const nodes = names.map((name) => swarm.begin(name, names));
  await swarm.run(120_000);
  for (const { name, here, outcome } of nodes) {
    assert.ok(outcome !== null && 'tookMs' in outcome, name);
    assert.is(here.size, CHUNKS, name);
  }
  console.log(`  100 nodes: ${swarm.sourceCopies.toFixed(2)} copies from the source`);
  assert.ok(swarm.sourceCopies <= MOST_COPIES, `${swarm.sourceCopies} copies`);
});

test.run();

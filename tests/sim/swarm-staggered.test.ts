// One image to nodes that want it one after the other, before the first has it.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Swarm, type SwarmNode } from './swarm/net.ts';
import { describe, slowestTimes } from './swarm/outcome.ts';

const test = suite('swarm that grows');
const CHUNKS = 64;

/** Each is told of those that are at it as it begins, and of those that have it, as the blob's actor would. */
async function fetched(count: number, everyShare: number): Promise<[Swarm, SwarmNode[]]> {
  const swarm = new Swarm({ seed: count, chunks: CHUNKS, rate: 16 });
  const nodes: SwarmNode[] = [];
  const isAtIt = ({ outcome }: SwarmNode) => outcome === null;
  const nameOf = ({ name }: SwarmNode) => name;
  for (let at = 0; at < count; at++) {
    const peers = nodes.filter(isAtIt).map(nameOf);
    const holders = nodes.filter((node) => !isAtIt(node)).map(nameOf);
    nodes.push(swarm.begin(`n${at}`, peers, holders));
    await swarm.clock.advance(everyShare * swarm.idealMs);
  }
  await swarm.run(120_000);
  return [swarm, nodes];
}

for (const [count, everyShare] of [
  [2, 0.3],
  [4, 0.1],
  [10, 0.02],
  [10, 0.2],
  [50, 0.025],
] as const) {
  test(`${count} nodes, one each ${everyShare} of a copy, cost the source one`, async () => {
    const [swarm, nodes] = await fetched(count, everyShare);
    const times = slowestTimes(swarm, nodes);
    console.log(`  ${count} nodes, one each ${everyShare} of a copy: ${describe(swarm, nodes)}`);
    for (const { name, here } of nodes) assert.is(here.size, CHUNKS, name);
    assert.ok(swarm.sourceCopies <= 1.1, `${swarm.sourceCopies} copies`);
    assert.ok(times <= 4, `${times} times as long as one copy on one link`);
  });
}

test.run();

// One image to many nodes at once: what the source has to send, and who breaks it.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Swarm, type SwarmNode } from './swarm/net.ts';

const test = suite('swarm');
const CHUNKS = 64;
const RATE = 16;
const MOST_MS = 120_000;

function names(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `n${at}`);
}

async function swarmOf(
  count: number,
  seed: number,
  before: (swarm: Swarm, nodes: SwarmNode[]) => void,
) {
  const swarm = new Swarm({ seed, chunks: CHUNKS, rate: RATE });
  const all = names(count);
  const nodes = all.map((name) => swarm.begin(name, all));
  before(swarm, nodes);
  await swarm.run(MOST_MS);
  return { swarm, nodes };
}

function assertAllHaveIt(nodes: readonly SwarmNode[]): void {
  for (const { name, isDead, outcome, here } of nodes) {
    if (isDead) continue;
    assert.ok(
      outcome !== null && 'tookMs' in outcome,
      `${name}: ${here.size} chunks, ${JSON.stringify(outcome)}`,
    );
    assert.is(here.size, CHUNKS);
  }
}

function slowestMs(nodes: readonly SwarmNode[]): number {
  return Math.max(
    ...nodes.map(({ outcome }) => (outcome !== null && 'tookMs' in outcome ? outcome.tookMs : 0)),
  );
}

function tell(what: string, swarm: Swarm, nodes: readonly SwarmNode[]): void {
  const times = (slowestMs(nodes) / swarm.idealMs).toFixed(1);
  console.log(
    `  ${what.padEnd(44)} ${swarm.sourceCopies.toFixed(2)} copies from the source, ${times} × one link`,
  );
}

for (const [count, most] of [
  [1, 1.01],
  [2, 1.5],
  [4, 1.3],
  [10, 1.5],
  [100, 1.5],
] as const) {
  test(`${count} nodes that fetch at once cost the source ${most} copies at most`, async () => {
    const { swarm, nodes } = await swarmOf(count, count, () => {});
    tell(`${count} nodes`, swarm, nodes);
    assertAllHaveIt(nodes);
    assert.ok(swarm.sourceCopies <= most, `${swarm.sourceCopies} copies`);
  });
}

test.run();

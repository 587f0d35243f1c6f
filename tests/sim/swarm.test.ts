// One image to many nodes at once: what the source has to send, and who breaks it.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Swarm, type SwarmNode } from './swarm/net.ts';
import { describe } from './swarm/outcome.ts';

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

function tell(what: string, swarm: Swarm, nodes: readonly SwarmNode[]): void {
  console.log(`  ${what.padEnd(44)} ${describe(swarm, nodes)}`);
}

for (const [count, most] of [
  [1, 1.01],
  [2, 1.1],
  [4, 1.1],
  [10, 1.1],
] as const) {
  test(`${count} nodes that fetch at once cost the source ${most} copies at most`, async () => {
    const { swarm, nodes } = await swarmOf(count, count, () => {});
    tell(`${count} nodes`, swarm, nodes);
    assertAllHaveIt(nodes);
    assert.ok(swarm.sourceCopies <= most, `${swarm.sourceCopies} copies`);
  });
}

for (const percent of [10, 50, 99]) {
  test(`nodes that die with ${percent} % of it hold nobody up`, async () => {
    const { swarm, nodes } = await swarmOf(12, percent, (its, all) => {
      for (const node of all.slice(0, 3)) {
        node.onVerified = () => {
          if (node.here.size >= (CHUNKS * percent) / 100) its.die(node);
        };
      }
    });
    tell(`12 nodes, 3 die at ${percent} %`, swarm, nodes);
    assert.is(nodes.filter(({ isDead }) => isDead).length, 3);
    assertAllHaveIt(nodes);
    assert.ok(swarm.sourceCopies <= 1.3, `${swarm.sourceCopies} copies`);
  });
}

test('a byte that one peer turns is found in its chunk, blamed on it, and counts nowhere', async () => {
  const { swarm, nodes } = await swarmOf(8, 5, (_swarm, [bad]) => {
    if (bad !== undefined) bad.spoil = (part) => void (part[9] = (part[9] ?? 0) ^ 1);
  });
  tell('8 nodes, one turns a byte of each part', swarm, nodes);
  assertAllHaveIt(nodes);
  const notices = nodes.slice(1).flatMap(({ notices: said }) => said);
  assert.ok(notices.length > 0, 'somebody noticed');
  for (const notice of notices) assert.match(notice, /^n0: chunk \d+ is damaged.*not asked again$/);
});

test('when the source dies after one copy is out, those who fetch complete each other', async () => {
  const { swarm, nodes } = await swarmOf(8, 6, (its) => {
    its.source.onGiven = () => {
      if (its.source.given.size < CHUNKS || its.source.isDead) return;
      // What it sent last is on its way.
      its.clock.after(500, () => its.die(its.source));
    };
  });
  tell('8 nodes, the source dies after one copy', swarm, nodes);
  assert.ok(swarm.source.isDead);
  assertAllHaveIt(nodes);
});

test('one that comes when the source is dead gets all, the list too, from those who are at it', async () => {
  let late: SwarmNode | undefined;
  const { swarm, nodes } = await swarmOf(6, 9, (its) => {
    its.source.onGiven = () => {
      if (its.source.given.size < CHUNKS || its.source.isDead) return;
      its.clock.after(500, () => {
        its.die(its.source);
        late = its.begin('late', names(6));
      });
    };
  });
  assert.ok(late !== undefined && swarm.source.isDead);
  assertAllHaveIt([...nodes, late]);
  assert.is(late.list?.length, CHUNKS * 32);
});

test('those whose list has no hash, of an older version, fetch at once as well', async () => {
  const swarm = new Swarm({ seed: 11, chunks: CHUNKS, rate: RATE, isOld: true });
  const all = names(6);
  const nodes = all.map((name) => swarm.begin(name, all));
  await swarm.run(MOST_MS);
  tell('6 nodes, a blob of an older version', swarm, nodes);
  assertAllHaveIt(nodes);
  assert.ok(nodes.every(({ list }) => list === null));
  assert.ok(swarm.sourceCopies <= 1.1, `${swarm.sourceCopies} copies`);
});

test('over lines on which a chunk takes longer than a stall, ten fetch at once', async () => {
  const swarm = new Swarm({ seed: 1, chunks: 32, rate: 0.5 });
  const all = names(10);
  const nodes = all.map((name) => swarm.begin(name, all));
  await swarm.run(10 * swarm.idealMs);
  tell('10 nodes, 4 Mbit/s', swarm, nodes);
  for (const { here, name } of nodes) assert.is(here.size, 32, name);
  // Links that are full for longer than either side waits are made anew, and so are their chunks.
  assert.ok(swarm.sourceCopies <= 2, `${swarm.sourceCopies} copies`);
});

test('one that comes late is brought it by those who are at it', async () => {
  let late: SwarmNode | undefined;
  const { swarm, nodes } = await swarmOf(8, 7, (its) => {
    its.clock.after(0.7 * its.idealMs, () => (late = its.begin('late', names(8))));
  });
  tell('8 nodes and a late one', swarm, nodes);
  assertAllHaveIt([...nodes, ...(late === undefined ? [] : [late])]);
  assert.ok(late !== undefined);
  assert.ok(swarm.sourceCopies <= 1.1, `${swarm.sourceCopies} copies`);
});

test('when the source dies before one copy is out, the fetch fails with the reason', async () => {
  const { nodes } = await swarmOf(4, 8, (its) => {
    its.source.onGiven = () => {
      if (its.source.given.size === CHUNKS / 2 && !its.source.isDead) its.die(its.source);
    };
  });
  for (const { outcome } of nodes) {
    assert.ok(outcome !== null && 'failed' in outcome);
    assert.match(String(outcome.failed), /source: /);
  }
});

test.run();

// Asks over a link of the mesh, against bare ws and msgpackr over the same TLS, one message a frame, both ends in
// this process. The same from effect to actor: through the router of one daemon into the mailbox of an actor of another.
// And how long placing all shards takes.
import { systemClock } from '../../actors/kernel/clock.ts';
import type { Message } from '../../actors/kernel/kind.ts';
import { localRouter } from '../../actors/kernel/router.ts';
import type { MeshOptions } from '../../transport/mesh/mesh.ts';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';
import { clusterRouter } from '../../transport/sharding/router.ts';
import { placeShards } from '../../transport/sharding/placement.ts';
import { meshLab, type MeshCluster } from '../support/mesh-lab.ts';
import { counterRuntime } from './counter.ts';
import { BODY, openBare, TO } from './bare-ws.ts';
import type { Report } from './row.ts';

const ROUNDS = 3;
const ALONE = 2_000;
const TOGETHER = 30_000;
const IN_FLIGHT = 64;
const TELLS = 50_000;
/** Less than a link takes. */
const UNHEARD = 2_000;
const TRACE = { trace: 'bench', timeoutMs: 60_000 };

type AskOnce = () => Promise<unknown>;

/** Median time of one ask with nothing else under way, microseconds. */
async function alone(ask: AskOnce): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < ALONE; count++) {
    const begun = performance.now();
    await ask();
    times.push(performance.now() - begun);
  }
  return median(times) * 1_000;
}

/** Asks per second with IN_FLIGHT under way. */
async function together(ask: AskOnce): Promise<number> {
  let left = TOGETHER;
  const begun = performance.now();
  const worker = async () => {
    while (left-- > 0) await ask();
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return (TOGETHER / (performance.now() - begun)) * 1_000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function compare(measure: (ask: AskOnce) => Promise<number>, ours: AskOnce, floor: AskOnce) {
  const figures: [number[], number[]] = [[], []];
  await measure(ours);
  for (let round = 0; round < ROUNDS; round++) {
    figures[0].push(await measure(floor));
    figures[1].push(await measure(ours));
  }
  return { ours: median(figures[1]), floor: median(figures[0]) };
}

export async function bench(report: Report): Promise<void> {
  const lab = meshLab();
  await lab.inCluster(async (cluster) => {
    const handle = (_from: string, _to: unknown, body: unknown) =>
      Promise.resolve({ value: body as string, revision: 0 });
    const [a] = [await cluster.start('a', { handle }), await cluster.start('b', { handle })];
    const options = { trace: 'bench', timeoutMs: 60_000 };
    await againstBare(() => a.mesh.ask('b', TO, BODY, options), lab.identityOf('bare'), report);
  });
  await lab.inCluster((cluster) => remote(cluster, lab.identityOf('bare'), report));
  lab.close();
  placement(report);
}

async function againstBare(ask: AskOnce, identity: MeshIdentity, report: Report): Promise<void> {
  const bare = await openBare(identity);
  const single = await compare(alone, ask, bare.ask);
  report({ name: 'one ask alone, p50, against bare ws', unit: 'µs', ...single });
  const many = await compare(together, ask, bare.ask);
  report({ name: `asks, ${IN_FLIGHT} in flight, against bare ws`, unit: '/s', ...many });
  await bare.close();
}

/** Tells and asks of an actor on another daemon. */
async function remote(cluster: MeshCluster, identity: MeshIdentity, report: Report): Promise<void> {
  const counts = { heard: 0 };
  const runtime = counterRuntime(() => counts.heard++);
  const local = localRouter(runtime, {});
  const handle: MeshOptions['handle'] = (_from, to, body, options) =>
    local.ask(to, body as Message, options);
  const { mesh } = await cluster.start('a');
  await cluster.start('b', { handle });
  const router = clusterRouter({
    node: 'a',
    local,
    peers: mesh,
    routes: { nodeOf: () => 'b', onChange: () => () => {} },
    clock: systemClock,
    onLostTell: (to) => {
      throw new Error(`lost: ${to.id}`);
    },
  });
  const to = { kind: 'counter', id: 'one' };
  const message = { kind: 'count', body: BODY } as const;
  const ask = () => router.ask(to, message, TRACE);
  const bare = await openBare(identity);
  const asks = await compare(together, ask, bare.ask);
  report({ name: `remote asks of an actor, ${IN_FLIGHT} in flight`, unit: '/s', ...asks });
  const tells = await compareTells(
    { tell: () => router.tell(to, message, TRACE), counts },
    { tell: bare.tell, counts: bare.counts },
  );
  report({ name: 'remote tells to an actor, against bare ws', unit: '/s', ...tells });
  await bare.close();
  await runtime.stop();
}

interface Teller {
  readonly tell: () => void;
  readonly counts: { readonly heard: number };
}

/** Tells per second that arrive, at most UNHEARD of them under way. */
async function tellMany({ tell, counts }: Teller): Promise<number> {
  const before = counts.heard;
  const begun = performance.now();
  for (let sent = 0; counts.heard - before < TELLS;) {
    while (sent < TELLS && sent - (counts.heard - before) < UNHEARD) {
      tell();
      sent++;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  return (TELLS / (performance.now() - begun)) * 1_000;
}

async function compareTells(ours: Teller, floor: Teller) {
  const figures: [number[], number[]] = [[], []];
  await tellMany(ours);
  for (let round = 0; round < ROUNDS; round++) {
    figures[0].push(await tellMany(floor));
    figures[1].push(await tellMany(ours));
  }
  return { ours: median(figures[1]), floor: median(figures[0]) };
}

/** Ours: with the last member joined; floor: what must move, its fair share. */
function placement(report: Report): void {
  for (const count of [10, 100, 1_000]) {
    const members = Array.from({ length: count }, (_, index) => ({ node: `n${index}`, weight: 1 }));
    const before = placeShards(members.slice(1));
    const begun = performance.now();
    const after = placeShards(members);
    const tookMs = performance.now() - begun;
    const moved = after.filter((node, shard) => node !== before[shard]).length;
    report({
      name: `shards moved when 1 of ${count} joins`,
      ours: moved,
      floor: 256 / count,
      unit: '',
    });
    report({ name: `placing 256 shards over ${count}`, ours: tookMs, floor: 0, unit: 'ms' });
  }
}

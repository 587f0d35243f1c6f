// Asks over a link of the mesh, against bare ws and msgpackr over the same TLS, one message a frame, both ends in
// this process. And how long placing all shards takes.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { pack, unpack } from 'msgpackr';
import { WebSocket, WebSocketServer } from 'ws';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';
import { placeShards } from '../../transport/sharding/placement.ts';
import { meshLab } from '../support/mesh-lab.ts';
import type { Report } from './row.ts';

const ROUNDS = 3;
const ALONE = 2_000;
const TOGETHER = 30_000;
const IN_FLIGHT = 64;
const TO = { kind: 'instance', id: '7feb7939-b568-48f7-b02d-822589a7c8dc' };
const BODY = 'x'.repeat(100);

type AskOnce = () => Promise<unknown>;

async function openBare({ ca, certificate: cert, key }: MeshIdentity) {
  const server = createServer({ cert, key });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    socket.on('message', (bytes) => socket.send(pack(unpack(bytes as Buffer))));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const options = { ca, rejectUnauthorized: false, perMessageDeflate: false };
  const socket = new WebSocket(`wss://127.0.0.1:${port}`, options);
  const waiting = new Map<number, (value: unknown) => void>();
  socket.on('message', (bytes) => {
    const [seq, value] = unpack(bytes as Buffer) as [number, unknown];
    waiting.get(seq)?.(value);
    waiting.delete(seq);
  });
  await once(socket, 'open');
  let last = 0;
  const ask = () =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      socket.send(pack([last, BODY, TO.kind, TO.id, 'bench']));
    });
  const close = async () => {
    socket.close();
    await once(socket, 'close');
    server.close();
  };
  return { ask, close };
}

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

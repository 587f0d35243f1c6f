// The API against bare node:http in the same run: one object with authentication, and a list of 1,000 instances.
//
// The load comes from a child process, so that both servers have a core of their own and the client costs the
// same on both sides.
import { fork } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { openApiWorld, type ApiWorld, type View } from '../support/api-world.ts';
import type { Report } from './row.ts';

const LOAD = fileURLToPath(new URL('../support/api-load.child.ts', import.meta.url));
const ROUNDS = 3;
const ROUND_MS = 1_000;
const CONNECTIONS = 16;
const INSTANCES = 1_000;

/** What the child is told to fetch, again and again. */
interface Shot {
  readonly port: number;
  readonly path: string;
  readonly token: string;
  readonly connections: number;
  readonly forMs: number;
}

/** Requests per second, all answered 200. */
function rate(shot: Shot): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = fork(LOAD, [JSON.stringify(shot)]);
    child.on('message', (perSecond) => resolve(Number(perSecond)));
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`the load generator ended with ${code}`)));
  });
}

/** Answers every request with the same bytes and the headers that we send. */
async function bareServer(body: string): Promise<Server> {
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  const server = createServer((_request, response) => {
    response.writeHead(200, headers);
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Both in turn, so that a noisy neighbour hits both; the median of each. */
async function compare(world: ApiWorld, path: string): Promise<{ ours: number; floor: number }> {
  const { text } = await world.call('GET', path);
  const server = await bareServer(text);
  const shot = { path, token: world.token('lab'), connections: CONNECTIONS, forMs: ROUND_MS };
  const { port } = server.address() as AddressInfo;
  const [ours, floor]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    floor.push(await rate({ ...shot, port }));
    ours.push(await rate({ ...shot, port: world.port }));
  }
  server.close();
  return { ours: median(ours), floor: median(floor) };
}

/** A thousand instances with an interface each, as if they had been made one by one. */
async function fill(world: ApiWorld): Promise<string> {
  await world.network({ name: 'front', netblock: '10.20.0.0/16' });
  const { uuid } = await world.instance({ network: [{ network_uuid: 'front' }] });
  const view = await world.settled(`/instances/${String(uuid)}`, 'created');
  const [nic] = view['interfaces'] as View[];
  const instance = world.read.instances.get(String(uuid))?.state;
  const attached = world.read.interfaces.get(String(nic?.['uuid']))?.state;
  for (let count = 1; count < INSTANCES; count++) {
    const [id, interfaceId] = [world.random.uuid(), world.random.uuid()];
    const nics = instance?.nics.map((one) => ({ ...one, interfaceId }));
    world.put('interface', interfaceId, { ...attached, instanceId: id });
    world.put('instance', id, { ...instance, name: `web-${count}`, nics });
  }
  return `/instances/${String(uuid)}`;
}

/** Milliseconds of one answer, of several one after another; the floor sends the same bytes. */
async function benchList(world: ApiWorld, report: Report): Promise<void> {
  const server = await bareServer((await world.call('GET', '/instances')).text);
  const { port } = server.address() as AddressInfo;
  const one = { path: '/instances', token: world.token('lab'), connections: 1, forMs: ROUND_MS };
  const [ours, floor]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    floor.push(1_000 / (await rate({ ...one, port })));
    ours.push(1_000 / (await rate({ ...one, port: world.port })));
  }
  server.close();
  report({
    name: `list of ${INSTANCES} instances`,
    ours: median(ours),
    floor: median(floor),
    unit: 'ms',
  });
}

/** Reports one row per figure; some seconds in all. */
export async function bench(report: Report): Promise<void> {
  const world = await openApiWorld();
  try {
    const path = await fill(world);
    report({
      name: 'GET one instance, with a token',
      ...(await compare(world, path)),
      unit: 'requests/s',
    });
    await benchList(world, report);
  } finally {
    await world.close();
  }
}

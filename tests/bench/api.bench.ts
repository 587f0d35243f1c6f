// The API against bare node:http in the same run: one object with authentication, lists of 1,000 and 10,000 instances,
// and creations: of networks and of instances, from the request to the answer, with actors, store and machine in memory.
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
const LISTS = [1_000, 10_000] as const;
const CREATIONS_MS = 2_000;

/** What the child is told to fetch, again and again. */
interface Shot {
  readonly port: number;
  readonly path: string;
  readonly token: string;
  readonly connections: number;
  readonly forMs: number;
  readonly method?: string;
  readonly body?: string;
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

/** Instances with an interface each, as if they had been made one by one, until there are `count`; the path of the first. */
async function fill(world: ApiWorld, count: number): Promise<string> {
  await world.network({ name: 'front', netblock: '10.20.0.0/16' });
  const { uuid } = await world.instance({ network: [{ network_uuid: 'front' }] });
  const view = await world.settled(`/instances/${String(uuid)}`, 'created');
  const [nic] = view['interfaces'] as View[];
  fillUp(world, String(uuid), String(nic?.['uuid']), count);
  return `/instances/${String(uuid)}`;
}

/** Copies of one instance and its interface. */
function fillUp(world: ApiWorld, instanceId: string, nicId: string, count: number): void {
  const instance = world.read.instances.get(instanceId)?.state;
  const attached = world.read.interfaces.get(nicId)?.state;
  for (let there = [...world.read.instances.all()].length; there < count; there++) {
    const [id, interfaceId] = [world.random.uuid(), world.random.uuid()];
    const nics = instance?.nics.map((one) => ({ ...one, interfaceId }));
    world.put('interface', interfaceId, { ...attached, instanceId: id });
    world.put('instance', id, { ...instance, name: `web-${there}`, nics });
  }
}

/** Milliseconds of one answer, of several one after another; the floor sends the same bytes. */
async function benchList(world: ApiWorld, report: Report, count: number): Promise<void> {
  const server = await bareServer((await world.call('GET', '/instances')).text);
  const { port } = server.address() as AddressInfo;
  const one = { path: '/instances', token: world.token('lab'), connections: 1, forMs: ROUND_MS };
  const [ours, floor]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    floor.push(1_000 / (await rate({ ...one, port })));
    ours.push(1_000 / (await rate({ ...one, port: world.port })));
  }
  server.close();
  const name = `list of ${count} instances`;
  report({ name, ours: median(ours), floor: median(floor), unit: 'ms' });
}

interface Creation {
  readonly what: string;
  readonly path: string;
  readonly body: View;
}

const CREATIONS: readonly Creation[] = [
  { what: 'networks', path: '/networks', body: { netblock: '10.30.0.0/24', provide_nat: false } },
  {
    what: 'instances',
    path: '/instances',
    body: { name: 'web', cpus: 1, memory: 1, disk: [{ size: 1 }], side_channels: [] },
  },
];

/** In a world of its own, since it grows; the floor takes the same body and answers as many bytes. */
async function benchCreations({ what, path, body }: Creation, report: Report): Promise<void> {
  const world = await openApiWorld();
  try {
    const { text } = await world.call('POST', path, { body });
    const server = await bareServer(text);
    const sent = { path, method: 'POST', body: JSON.stringify(body), token: world.token('lab') };
    const shot = { ...sent, connections: CONNECTIONS, forMs: CREATIONS_MS };
    const floor = await rate({ ...shot, port: (server.address() as AddressInfo).port });
    const ours = await rate({ ...shot, port: world.port });
    server.close();
    report({ name: `${what} created, in memory`, ours, floor, unit: 'requests/s' });
  } finally {
    await world.close();
  }
}

/** Reports one row per figure; some seconds in all. */
export async function bench(report: Report): Promise<void> {
  const world = await openApiWorld();
  try {
    const path = await fill(world, LISTS[0]);
    const figures = await compare(world, path);
    report({ name: 'GET one instance, with a token', ...figures, unit: 'requests/s' });
    for (const count of LISTS) {
      const [first] = world.read.instances.all();
      const nic = first?.state.nics[0]?.interfaceId ?? '';
      fillUp(world, first?.id ?? '', nic, count);
      await benchList(world, report, count);
    }
  } finally {
    await world.close();
  }
  for (const creation of CREATIONS) await benchCreations(creation, report);
}

// A lab of three nodes and a real server: namespaces that ask for one address on different nodes cause one download, and none
// while the server says that it has not changed.
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { addNode, makeLab, nodeOf, removeLab } from '../../deploy/lab/lab.ts';
import { inside } from '../../deploy/lab/machine.ts';
import {
  apiUrlOf,
  enlist,
  killDaemon,
  loginOf,
  startDaemon,
} from '../../deploy/lab/node-daemon.ts';
import { Client, type View } from '../../src/client/client.ts';
import { CACHE, untilView } from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('one download for all');
const NAMES = ['n1', 'n2', 'n3'] as const;
const PORT = 8123;
const MIB = 2 ** 20;
const alive = setInterval(() => undefined, 1_000);

const directory = mkdtempSync(join(tmpdir(), `troupe-origins-lab-${process.pid}-`));
const settings = { 'lease-ttl': 5, 'image-copies': 1 };
const subnet = `10.214.${process.pid % 250}`;
const lab = await makeLab({ directory, subnet, isAttached: true, settings, cacheDir: CACHE });
for (const name of NAMES) {
  const node = await addNode(lab, name);
  await enlist(lab, node);
  await startDaemon(node);
}
const client = (name: string) => {
  const node = nodeOf(lab, name);
  return new Client({ apiUrl: apiUrlOf(node), ...loginOf(node) });
};

test.after(async () => {
  clearInterval(alive);
  await removeLab(lab, 'remove');
  rmSync(directory, { recursive: true, force: true });
});

/** Answers 304 to who has it; else sends it, a MiB each 50 ms. Each answer is a line: status and path. */
const SERVER = `
const { appendFileSync, readFileSync } = require('node:fs');
const [log, image, port] = process.argv.slice(1);
require('node:http').createServer(async (request, response) => {
  const bytes = readFileSync(image);
  const etag = JSON.stringify(String(bytes.readUInt32LE(0)));
  const isSame = request.headers['if-none-match'] === etag;
  appendFileSync(log, (isSame ? 304 : 200) + ' ' + request.url + '\\n');
  response.on('error', () => {});
  if (isSame) return response.writeHead(304, { etag }).end();
  response.writeHead(200, { etag, 'content-length': bytes.length });
  for (let at = 0; at < bytes.length && !response.destroyed; at += 2 ** 20) {
    response.write(bytes.subarray(at, at + 2 ** 20));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  response.end();
}).listen(Number(port), () => console.log('listens'));
`;

const image = join(directory, 'image.raw');
const log = join(directory, 'requests');
/** Other bytes than before. */
const renew = () => writeFileSync(image, randomBytes(64 * MIB));
const answers = (path: string, status: number) =>
  readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => line === `${status} ${path}`).length;

/** On the first node, which all reach. */
async function serve(): Promise<string> {
  const { machine, address } = nodeOf(lab, 'n1');
  renew();
  writeFileSync(log, '');
  const words = [process.execPath, '-e', SERVER, log, image, String(PORT)];
  const [program = '', ...args] = inside(machine, words);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await waitUntil('the server listens', () => said.includes('listens'), 10_000);
  return `http://${address}:${PORT}`;
}

const base = await serve();
for (const namespace of NAMES) await client('n1').view('POST', '/auth/namespaces', { namespace });

async function ask(name: string, url: string): Promise<string> {
  const { uuid } = await client(name).view('POST', '/artifacts', { url, namespace: name });
  return `/artifacts/${String(uuid)}`;
}

const isThere = ({ state }: View) => {
  if (state === 'error') throw new Error('it could not be fetched');
  return state === 'created';
};
const blobOf = async (name: string, path: string) =>
  String((await untilView(client(name), path, isThere, 60_000))['blob_uuid']);

test('three namespaces at once, each on its node: one download, one blob; afterwards none', async () => {
  const url = `${base}/a`;
  const paths = await Promise.all(NAMES.map((name) => ask(name, url)));
  const blobs = await Promise.all(NAMES.map((name, n) => blobOf(name, paths[n] ?? '')));
  assert.is(new Set(blobs).size, 1);
  assert.is(answers('/a', 200), 1);
  await client('n2').view('POST', '/auth/namespaces', { namespace: 'late' });
  const { uuid } = await client('n2').view('POST', '/artifacts', { url, namespace: 'late' });
  assert.is(await blobOf('n2', `/artifacts/${String(uuid)}`), blobs[0]);
  assert.is(answers('/a', 200), 1);
  assert.ok(answers('/a', 304) > 0, 'the server was asked');
});

test('what has changed is a new version for all, by one more download', async () => {
  const url = `${base}/a`;
  renew();
  const before = answers('/a', 200);
  const paths = await Promise.all(NAMES.map((name) => ask(name, url)));
  const isSecond = ({ index }: View) => index === 2;
  const views = await Promise.all(
    NAMES.map((name, n) => untilView(client(name), paths[n] ?? '', isSecond, 60_000)),
  );
  assert.is(new Set(views.map((view) => view['blob_uuid'])).size, 1);
  // Each has asked whether it changed; an answer that is not waited for is no download.
  const bodies = answers('/a', 200) - before;
  assert.ok(bodies >= 1 && bodies <= 2 * NAMES.length, String(bodies));
  const started = await client('n1').list(`/blobs/${String(views[0]?.['blob_uuid'])}/events`);
  assert.is(started.filter(({ message }) => message === 'fetch started').length, 1);
});

test('the daemon that decides for it is killed meanwhile: it is there for the others, downloaded once', async () => {
  const url = `${base}/b`;
  const paths = [await ask('n2', url), await ask('n3', url)];
  await waitUntil('it has begun', () => answers('/b', 200) > 0, 20_000);
  await killDaemon(nodeOf(lab, 'n1'));
  const blobs = [await blobOf('n2', paths[0] ?? ''), await blobOf('n3', paths[1] ?? '')];
  await startDaemon(nodeOf(lab, 'n1'));
  assert.is(new Set(blobs).size, 1);
  assert.is(answers('/b', 200), 1);
});

test('all of it is gone when the last namespace has deleted it', async () => {
  const leftOn = (name: string) =>
    execFileSync('ls', [join(nodeOf(lab, name).directory, 'blobs')], { encoding: 'utf8' }).trim();
  for (const artifact of await client('n1').list('/artifacts'))
    await client('n1').view('DELETE', `/artifacts/${String(artifact['uuid'])}`);
  const isGone = () => NAMES.every((name) => leftOn(name) === '');
  await waitUntil('no replica is left', isGone, 60_000);
});

test.run();

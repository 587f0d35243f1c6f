// A body larger than what a daemon may hold goes through it in both directions; what is measured is its memory. The disk is
// left out: it takes and gives bytes as fast as they come.
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob, initial } from '../../../actors/blob/blob.ts';
import { newReplica } from '../../../actors/blob/replicas.ts';
import { apiRoutes } from '../../../src/api/routes.ts';
import { apiServer, closeServer } from '../../../src/api/http/server.ts';
import type { MachineBytes } from '../../../src/api/services.ts';
import { openApiWorld } from '../../support/api-world.ts';

const test = suite('api: bodies of any size');
const MIB = 2 ** 20;
const BODY_BYTES = 512 * MIB;
const CHUNK = Buffer.alloc(MIB, 7);
/** What garbage may stand around at the worst moment, and far below the body. */
const MOST_BYTES = 256 * MIB;

const world = await openApiWorld();
let stored = 0;
const bytes: MachineBytes = {
  size: () => Promise.resolve(stored),
  write: (_node, _id, { offset, bytes: piece }) => {
    stored = offset + piece.length;
    return new Promise((resolve) => setImmediate(() => resolve(stored)));
  },
  resize: () => Promise.resolve(),
  readReplica: (_node, _blobId, { lengthBytes }) =>
    new Promise((resolve) => setImmediate(() => resolve(Buffer.alloc(lengthBytes, 7)))),
};
const services = { ...world.services, bytes };
const server = apiServer(services, apiRoutes(services));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const headers = { Authorization: `Bearer ${world.token('lab')}` };
test.after(async () => {
  await closeServer(server, 100);
  await world.close();
});

/** The most that was held beyond what was before. */
async function held(work: () => Promise<void>): Promise<number> {
  const before = heldNow();
  let most = 0;
  const timer = setInterval(() => (most = Math.max(most, heldNow() - before)), 10);
  await work();
  clearInterval(timer);
  return most;
}

function heldNow(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('an upload', async () => {
  const { uuid } = await world.ok('POST', '/upload');
  const most = await held(async () => {
    const path = `/upload/${String(uuid)}`;
    const outgoing = request({ host: '127.0.0.1', port, path, method: 'POST', headers });
    const answered = once(outgoing, 'response');
    for (let sent = 0; sent < BODY_BYTES; sent += CHUNK.length)
      if (!outgoing.write(CHUNK)) await once(outgoing, 'drain');
    outgoing.end();
    const [answer] = (await answered) as [import('node:http').IncomingMessage];
    assert.is(answer.statusCode, 200);
    answer.resume();
  });
  assert.is(stored, BODY_BYTES);
  assert.ok(most < MOST_BYTES, `${Math.round(most / MIB)} MiB were held`);
});

test('a download, also to a client that reads slowly', async () => {
  const content = {
    sizeBytes: BODY_BYTES,
    sha512: 'aa',
    sourceSizeBytes: BODY_BYTES,
    sourceSha256: 'bb',
    sourceFormat: 'raw',
    format: 'raw',
    mimeType: 'application/octet-stream',
    virtualSizeBytes: BODY_BYTES,
    etag: null,
    lastModified: null,
  };
  const replicas = { n1: { ...newReplica(1), phase: 'verified' } };
  const state = { ...initial, phase: 'created', content, replicas, users: ['artifact/a'] };
  world.put('blob', 'large', state, blob.snapshot.schema);
  let received = 0;
  const most = await held(async () => {
    const outgoing = request({ host: '127.0.0.1', port, path: '/blobs/large/data', headers });
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage];
    assert.equal([answer.statusCode, answer.headers['content-length']], [200, String(BODY_BYTES)]);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const isAtMiB = Math.floor(received / MIB) !== Math.floor((received + chunk.length) / MIB);
      received += chunk.length;
      if (isAtMiB) await new Promise((resolve) => setImmediate(resolve));
    }
  });
  assert.is(received, BODY_BYTES);
  assert.ok(most < MOST_BYTES, `${Math.round(most / MIB)} MiB were held`);
});

test.run();

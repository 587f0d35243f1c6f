// Bytes of blobs through the API: 100 ranged reads at once of one file, against bare node:http that streams the same ranges;
// and how much the daemon's memory grows while 4 GiB are read and 4 GiB are uploaded, with real files on both sides.
import { once } from 'node:events';
import {
  createReadStream,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blob, initial } from '../../actors/blob/blob.ts';
import { newReplica } from '../../actors/blob/replicas.ts';
import { closeServer, apiServer } from '../../src/api/http/server.ts';
import { apiRoutes } from '../../src/api/routes.ts';
import type { MachineBytes } from '../../src/api/services.ts';
import { openApiWorld, type ApiWorld } from '../support/api-world.ts';
import type { Report } from './row.ts';

const MIB = 2 ** 20;
const FILE_BYTES = 512 * MIB;
const READS = 100;
const READ_BYTES = 8 * MIB;
const LARGE_BYTES = 4_096 * MIB;
const BLOB = 'bench';

export async function bench(report: Report): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-bytes-bench-'));
  const world = await openApiWorld();
  try {
    const path = join(dir, 'blob');
    fill(path);
    const api = await serveFrom(world, path, join(dir, 'upload'));
    const bare = await serveBare(path);
    const headers = { Authorization: `Bearer ${world.token('lab')}` };
    const ours = await speed(portOf(api), headers);
    const floor = await speed(portOf(bare), headers);
    report({ name: 'bytes: 100 ranged reads at once', ours, floor, unit: 'MiB/s' });
    truncateSync(path, LARGE_BYTES);
    know(world, LARGE_BYTES);
    const none = { floor: 0, unit: 'MiB' };
    const down = await grown(() => read(portOf(api), headers, 0, LARGE_BYTES));
    report({ name: 'bytes: memory while 4 GiB are read', ours: down, ...none });
    const up = await grown(() => upload(world, portOf(api), headers));
    report({ name: 'bytes: memory while 4 GiB are uploaded', ours: up, ...none });
    await closeServer(api, 0);
    bare.close();
  } finally {
    await world.close();
    rmSync(dir, { recursive: true });
  }
}

function fill(path: string): void {
  const file = openSync(path, 'w');
  const piece = randomBytes(MIB);
  for (let at = 0; at < FILE_BYTES; at += MIB) writeSync(file, piece, 0, MIB, at);
}

/** The read model as it is when this node holds a blob of so many bytes. */
function know(world: ApiWorld, sizeBytes: number): void {
  const size = { sizeBytes, sourceSizeBytes: sizeBytes, virtualSizeBytes: sizeBytes };
  const about = { sourceFormat: 'raw', format: 'raw', mimeType: 'application/octet-stream' };
  const content = { ...size, ...about, sha512: 'aa', sourceSha256: 'bb', etag: null };
  const replicas = { n1: { ...newReplica(1), phase: 'verified' } };
  const known = { content: { ...content, lastModified: null }, replicas, users: ['artifact/a'] };
  world.put('blob', BLOB, { ...initial, phase: 'created', ...known }, blob.snapshot.schema);
}

async function serveFrom(world: ApiWorld, path: string, spool: string): Promise<Server> {
  know(world, FILE_BYTES);
  const [file, spooled] = [openSync(path, 'r'), openSync(spool, 'w')];
  let size = 0;
  const bytes: MachineBytes = {
    size: () => Promise.resolve(size),
    resize: () => Promise.resolve(),
    write: async (_node, _id, { offset, bytes: piece }) => {
      writeSync(spooled, piece, 0, piece.length, offset);
      size = offset + piece.length;
      return size;
    },
    readReplica: async (_node, _id, { offset, lengthBytes }) => {
      const piece = Buffer.allocUnsafe(lengthBytes);
      readSync(file, piece, 0, lengthBytes, offset);
      return piece;
    },
  };
  const services = { ...world.services, bytes };
  return await listening(apiServer(services, apiRoutes(services)));
}

function serveBare(path: string): Promise<Server> {
  const server = createServer(({ url = '' }, response) => {
    const query = new URL(url, 'http://bare').searchParams;
    const start = Number(query.get('offset'));
    const end = start + Number(query.get('limit')) - 1;
    createReadStream(path, { start, end }).pipe(response);
  });
  return listening(server);
}

async function listening(server: Server): Promise<Server> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** MiB/s of all reads together. */
async function speed(port: number, headers: Record<string, string>): Promise<number> {
  const offsets = Array.from({ length: READS }, (_, n) => (n * READ_BYTES) % (FILE_BYTES / 2));
  const startedAt = performance.now();
  await Promise.all(offsets.map((offset) => read(port, headers, offset, READ_BYTES)));
  return (READS * READ_BYTES) / MIB / ((performance.now() - startedAt) / 1000);
}

async function read(
  port: number,
  headers: Record<string, string>,
  offset: number,
  lengthBytes: number,
): Promise<void> {
  const path = `/blobs/${BLOB}/data?offset=${offset}&limit=${lengthBytes}`;
  const outgoing = request({ host: '127.0.0.1', port, path, headers, agent: false });
  outgoing.end();
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  let received = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) received += chunk.length;
  if (received !== lengthBytes) throw new Error(`${received} of ${lengthBytes} bytes came`);
}

async function upload(
  world: ApiWorld,
  port: number,
  headers: Record<string, string>,
): Promise<void> {
  const { uuid } = await world.ok('POST', '/upload');
  const piece = randomBytes(MIB);
  const path = `/upload/${String(uuid)}`;
  const outgoing = request({ host: '127.0.0.1', port, path, method: 'POST', headers });
  const answered = once(outgoing, 'response');
  for (let sent = 0; sent < LARGE_BYTES; sent += piece.length)
    if (!outgoing.write(piece)) await once(outgoing, 'drain');
  outgoing.end();
  const [answer] = (await answered) as [IncomingMessage];
  answer.resume();
  if (answer.statusCode !== 200) throw new Error(`the upload was answered ${answer.statusCode}`);
}

/** The most by which the process grew, MiB; client and server are one, so it is an upper bound. */
async function grown(work: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = 0;
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss() - before)), 20);
  await work();
  clearInterval(timer);
  return Math.round(most / MIB);
}

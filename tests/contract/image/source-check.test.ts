// Whether a source still has what was fetched, asked of real servers by the real driver.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SourceVerdict } from '../../../actors/artifact/state.ts';
import { makeRig, scratch } from './rig.ts';
import { makeSamples } from './samples.ts';

const test = suite('source check');
const dir = scratch();
const bytes = readFileSync(makeSamples(dir).convert('image.qcow2', 'qcow2'));
const OLD = 'Tue, 01 Sep 2026 10:00:00 GMT';
const NEW = 'Wed, 02 Sep 2026 10:00:00 GMT';

/** How the server answers; no status: not at all. */
let answer: { status?: number; headers: Record<string, string> } = { headers: {} };
let asked: IncomingHttpHeaders = {};
let isEnded = true;
const server = createServer((request, response) => {
  asked = request.headers;
  const { status, headers } = answer;
  if (status === undefined) return;
  response.writeHead(status, headers);
  if (status === 200 && !isEnded) return void response.write(bytes.subarray(0, 1));
  response.end(status === 200 ? bytes : undefined);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/image.qcow2`;
const rig = await makeRig(join(dir, 'driver'));
test.after(async () => {
  server.closeAllConnections();
  server.close();
  await rig.close();
});

const length = String(bytes.length);
let serial = 0;
/** Fetches with these headers, then asks again when it answers as given. */
async function verdict(
  before: Record<string, string>,
  now: { status?: number; headers?: Record<string, string> },
): Promise<SourceVerdict> {
  [answer, isEnded] = [{ status: 200, headers: { 'Content-Length': length, ...before } }, true];
  const { etag, lastModified, sourceSizeBytes } = await rig.ensure(`blob-${serial++}`, url);
  [answer, isEnded] = [{ headers: {}, ...now }, false];
  return rig.driver.checkSource({ url, etag, lastModified, sizeBytes: sourceSizeBytes });
}

const LENGTH = { 'Content-Length': length };
const ROWS: readonly (readonly [
  string,
  Record<string, string>,
  { status?: number; headers?: Record<string, string> },
  string,
])[] = [
  ['304', { ETag: '"a"' }, { status: 304 }, 'same'],
  ['the same ETag', { ETag: '"a"' }, { status: 200, headers: { ETag: '"a"', ...LENGTH } }, 'same'],
  ['another ETag', { ETag: '"a"' }, { status: 200, headers: { ETag: '"b"', ...LENGTH } }, 'ETag'],
  [
    'the same date and length',
    { 'Last-Modified': OLD },
    { status: 200, headers: { 'Last-Modified': OLD, ...LENGTH } },
    'same',
  ],
  [
    'another date',
    { 'Last-Modified': OLD },
    { status: 200, headers: { 'Last-Modified': NEW, ...LENGTH } },
    'Last-Modified',
  ],
  [
    'another length',
    { 'Last-Modified': OLD },
    { status: 200, headers: { 'Last-Modified': OLD, 'Content-Length': '7' } },
    'Content-Length',
  ],
  [
    'no length',
    { 'Last-Modified': OLD },
    { status: 200, headers: { 'Last-Modified': OLD } },
    'Content-Length',
  ],
  ['nothing to go by', {}, { status: 200, headers: LENGTH }, 'Last-Modified'],
  ['an error', { ETag: '"a"' }, { status: 503 }, 'unknown'],
  ['no file any more', { ETag: '"a"' }, { status: 404 }, 'unknown'],
  ['silence', { ETag: '"a"' }, {}, 'unknown'],
  [
    'a way to nowhere',
    { ETag: '"a"' },
    { status: 302, headers: { Location: 'http://127.0.0.1:1/x' } },
    'unknown',
  ],
];
for (const [what, before, now, expected] of ROWS) {
  test(`a server that answers with ${what}: ${expected}`, async () => {
    const found = await verdict(before, now);
    assert.is(found.verdict === 'changed' ? found.what : found.verdict, expected);
  });
}

test('the server is told what is there, so that it need not send it', async () => {
  await verdict({ ETag: '"a"' }, { status: 304 });
  assert.is(asked['if-none-match'], '"a"');
  await verdict({ 'Last-Modified': OLD }, { status: 304 });
  assert.is(asked['if-modified-since'], OLD);
});

test('where images may not come from, nobody is asked either', async () => {
  const strict = await makeRig(join(dir, 'strict'), {
    fetchPolicy: { refuse: ['127.0.0.0/8'], allow: [] },
  });
  const known = { url, etag: '"a"', lastModified: null, sizeBytes: 1 };
  asked = {};
  const found = await strict.driver.checkSource(known);
  assert.is(found.verdict, 'unknown');
  assert.equal(asked, {});
  await strict.close();
});

test.run();

import { rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { downloadRig } from './download-rig.ts';
import { wantedBy } from './rig.ts';
import { brokenOffAt, rudeServer, rudeServerOn, whole, type Script } from './rude-server.ts';
import { MIB, sha } from './samples.ts';

const test = suite('image download that breaks off');
const {
  body,
  closeServers,
  current,
  good,
  isClean,
  keep,
  next,
  partialSource,
  rig,
  samples,
  source,
  sourceHash,
  start,
} = await downloadRig();
test.after.each(closeServers);

test('comes in once, with the validators of its source and the hash of what came', async () => {
  const { url, requests } = await start(whole(good));
  const report = await rig.ensure(next(), url);
  assert.is(report.sourceSha256, sourceHash);
  assert.is(report.sha512, sha('sha512', source));
  assert.is(report.etag, '"v1"');
  assert.is(report.lastModified, good.lastModified);
  assert.is(requests.length, 1);
  assert.is(requests[0]?.headers['accept-encoding'], 'identity');
  assert.ok(isClean());
});

test('progress tells how much of how much', async () => {
  const { url } = await start(whole(good));
  rig.progress.length = 0;
  await rig.ensure(next(), url);
  const last = rig.progress.filter(({ step }) => step === 'downloading').at(-1);
  assert.equal(last, { step: 'downloading', doneBytes: body.length, totalBytes: body.length });
});

test('broken off at several bytes, it goes on where it was each time', async () => {
  const cuts = [MIB, MIB + 70_000, 2 * MIB];
  const { url, requests } = await start(...cuts.map((at) => brokenOffAt(good, at)), whole(good));
  const report = await rig.ensure(next(), url);
  assert.is(report.sourceSha256, sourceHash);
  assert.is(requests.length, 4);
  const asked = requests.map(({ headers }) => Number(/\d+/.exec(headers.range ?? '0')?.[0]));
  assert.equal(
    asked,
    [...asked].sort((a, b) => a - b),
  );
  assert.ok((asked[3] ?? 0) > MIB, 'the last one asked for the rest only');
  assert.ok(requests.slice(1).every(({ headers }) => headers['if-range'] === '"v1"'));
});

test('a weak etag is not used for a range, the date is', async () => {
  const content = { body, lastModified: 'Sun, 06 Nov 1994 08:49:37 GMT' };
  const weak: Script = (request, response) => {
    response.setHeader('ETag', 'W/"v1"');
    const script = request.headers.range === undefined ? brokenOffAt(content, MIB) : whole(content);
    script(request, response);
  };
  const { url, requests } = await start(weak);
  const report = await rig.ensure(next(), url);
  assert.is(report.sourceSha256, sourceHash);
  assert.is(requests[1]?.headers['if-range'], content.lastModified);
});

test('without validators it starts over rather than joining what may not belong together', async () => {
  const { url, requests } = await start(brokenOffAt({ body }, MIB), whole({ body }));
  const report = await rig.ensure(next(), url);
  assert.is(report.sourceSha256, sourceHash);
  assert.is(requests[1]?.headers.range, undefined);
});

test('a server that ignores ranges sends all of it again, and the result is right', async () => {
  const ignoring: Script = (_request, response) => {
    response.setHeader('ETag', '"v1"');
    response.end(body);
  };
  const { url } = await start(brokenOffAt(good, MIB), ignoring);
  assert.is((await rig.ensure(next(), url)).sourceSha256, sourceHash);
});

test('when the source changes between two ranges, only the new version is kept', async () => {
  const other = Buffer.from(
    readFileSync(samples.convert('other.qcow2', 'qcow2', ['-o', 'cluster_size=128k'])),
  );
  const { url } = await start(
    brokenOffAt(good, MIB),
    whole({ body: other, etag: '"v2"', lastModified: 'Mon, 07 Nov 1994 08:49:37 GMT' }),
  );
  const report = await rig.ensure(next(), url);
  assert.is(report.etag, '"v2"');
  assert.is(report.sourceSha256, sha('sha256', samples.path('other.qcow2')));
});

test('a server that lies about the version of a range is caught by its etag, and by a wrong place', async () => {
  const lies: readonly Record<string, string>[] = [
    { ETag: '"v2"', 'Content-Range': `bytes ${MIB}-${body.length - 1}/${body.length}` },
    { ETag: '"v1"', 'Content-Range': `bytes 0-${body.length - 1}/${body.length}` },
    { ETag: '"v1"', 'Content-Range': `bytes ${MIB}-${body.length - 1}/${body.length + 5}` },
  ];
  for (const headers of lies) {
    const lying: Script = (_request, response) => {
      response.writeHead(206, headers);
      response.end(randomBytes(1000));
    };
    const rude = await rudeServer(brokenOffAt(good, MIB), lying, whole(good));
    const report = await rig.ensure(next(), rude.url);
    assert.is(report.sourceSha256, sourceHash);
    await rude.close();
  }
});

test('a range that is not satisfiable leads to a fresh start', async () => {
  const refusing: Script = (_request, response) => {
    response.writeHead(416, { 'Content-Range': 'bytes */10' });
    response.end();
  };
  const { url } = await start(brokenOffAt(good, MIB), refusing, whole(good));
  assert.is((await rig.ensure(next(), url)).sourceSha256, sourceHash);
});

test('a server that never gets past the same byte is given up, and what came is kept for later', async () => {
  const { url } = await start(brokenOffAt({ body }, MIB));
  await rejects(rig.ensure(next(), url), { code: 'image/unreachable', message: /broke off/ });
  assert.ok(statSync(partialSource()).size > 0);
  assert.ok(rig.ledger.get('replica', current()) !== undefined);
  await rig.driver.removeReplica(current(), wantedBy(`blob/${current()}`));
  assert.ok(isClean());
  assert.is(rig.ledger.get('replica', current()), undefined);
});

test('a daemon that starts again goes on with the bytes that are there', async () => {
  const first = await start(...Array.from({ length: 9 }, () => brokenOffAt(good, MIB)));
  const id = next();
  const port = new URL(first.url).port;
  await rejects(rig.ensure(id, first.url), { code: 'image/unreachable' });
  await first.close();
  const server = keep(await rudeServerOn(Number(port), whole(good)));
  const again = await rig.restart();
  const report = await again.ensure(id, first.url);
  assert.is(report.sourceSha256, sourceHash);
  assert.match(server.requests[0]?.headers.range ?? '', /^bytes=[1-9]/);
  await again.close();
});

test('bytes that did not reach the disk before the machine crashed are not trusted', async () => {
  const id = next();
  const first = await start(...Array.from({ length: 9 }, () => brokenOffAt(good, MIB)));
  const port = Number(new URL(first.url).port);
  await rejects(rig.ensure(id, first.url), { code: 'image/unreachable' });
  await first.close();
  // As after a crash of the machine: another boot, and a tail that was never written.
  const notePath = `${partialSource()}.json`;
  const note = JSON.parse(readFileSync(notePath, 'utf8')) as Record<string, unknown>;
  const held = statSync(partialSource()).size;
  const garbled = Buffer.concat([
    readFileSync(partialSource()).subarray(0, held - 1000),
    Buffer.alloc(1000),
  ]);
  writeFileSync(partialSource(), garbled);
  writeFileSync(notePath, JSON.stringify({ ...note, bootId: 'before', syncedBytes: held - 1000 }));
  const server = keep(await rudeServerOn(port, whole(good)));
  const again = await rig.restart();
  assert.is((await again.ensure(id, first.url)).sourceSha256, sourceHash);
  assert.is(server.requests[0]?.headers.range, `bytes=${held - 1000}-`);
  await again.close();
});

test('the bytes of one URL are not continued from another', async () => {
  const id = next();
  const first = await start(...Array.from({ length: 9 }, () => brokenOffAt(good, MIB)));
  await rejects(rig.ensure(id, first.url), { code: 'image/unreachable' });
  const second = await rudeServer(whole(good));
  await rig.ensure(id, second.url);
  assert.is(second.requests[0]?.headers.range, undefined);
  await second.close();
});

test('called off in the middle it stops, keeps what came, and goes on when asked again', async () => {
  const id = next();
  const stop = new AbortController();
  const hanging: Script = (_request, response) => {
    response.writeHead(200, { ETag: '"v1"', 'Content-Length': body.length });
    response.write(body.subarray(0, MIB), () => setTimeout(() => stop.abort(), 50));
  };
  const { url, requests } = await start(hanging, whole(good));
  const by = wantedBy(`blob/${id}`, { signal: stop.signal });
  await rejects(rig.ensure(id, url, {}, by), { code: 'actor/stopped' });
  assert.ok(statSync(partialSource()).size > 0);
  const report = await rig.ensure(id, url);
  assert.is(report.sourceSha256, sourceHash);
  assert.match(requests[1]?.headers.range ?? '', /^bytes=[1-9]/);
});

test('a removal calls the download off', async () => {
  const id = next();
  let reached: () => void = () => undefined;
  const isReached = new Promise<void>((resolve) => (reached = resolve));
  const hanging: Script = (_request, response) => {
    response.writeHead(200, { 'Content-Length': body.length });
    response.write(body.subarray(0, MIB), () => reached());
  };
  const { url } = await start(hanging);
  const making = rejects(rig.ensure(id, url), { code: 'actor/stopped' });
  await isReached;
  await rig.driver.removeReplica(id, wantedBy(`blob/${id}`, { generation: 2 }));
  await making;
  assert.ok(isClean());
});

test('a removal also calls off the requests that still wait', async () => {
  const id = next();
  const { url, requests } = await start(whole(good));
  const asked = [rig.ensure(id, url), rig.ensure(id, url), rig.ensure(id, url)];
  const removed = rig.driver.removeReplica(id, wantedBy(`blob/${id}`, { generation: 1 }));
  for (const making of asked) await rejects(making, { code: 'actor/stopped' });
  await removed;
  assert.ok(requests.length <= 1);
  assert.not.ok((await rig.driver.replicas()).includes(id));
});

test.after(() => rig.close());
test.run();

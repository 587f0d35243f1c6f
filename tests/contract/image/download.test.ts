import { rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeRig, scratch, wantedBy } from './rig.ts';
import {
  brokenOffAt,
  rawServer,
  rudeServer,
  rudeServerOn,
  whole,
  type Content,
  type RudeServer,
  type Script,
} from './rude-server.ts';
import { MIB, makeSamples, sha } from './samples.ts';

const test = suite('image download');
const dir = scratch();
const samples = makeSamples(dir);
const source = samples.convert('source.qcow2', 'qcow2');
const body = readFileSync(source);
const good: Content = {
  body,
  etag: '"v1"',
  lastModified: 'Sun, 06 Nov 1994 08:49:37 GMT',
};
const rig = await makeRig(join(dir, 'driver'));
let server: RudeServer | undefined;
let blob = 0;

async function start(...scripts: Script[]): Promise<RudeServer> {
  server = await rudeServer(...scripts);
  return server;
}

const next = () => `blob-${++blob}`;
const current = () => `blob-${blob}`;
const partialSource = () => join(rig.driver.layout.partial(current()), 'source');
const isClean = () => !existsSync(rig.driver.layout.partial(current()));

test.after.each(async () => {
  await server?.close();
  server = undefined;
});

test('comes in once, with the validators of its source and the hash of what came', async () => {
  const { url, requests } = await start(whole(good));
  const report = await rig.ensure(next(), url);
  assert.is(report.sourceSha256, sha('sha256', source));
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
  assert.is(report.sourceSha256, sha('sha256', source));
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
  assert.is(report.sourceSha256, sha('sha256', source));
  assert.is(requests[1]?.headers['if-range'], content.lastModified);
});

test('without validators it starts over rather than joining what may not belong together', async () => {
  const { url, requests } = await start(brokenOffAt({ body }, MIB), whole({ body }));
  const report = await rig.ensure(next(), url);
  assert.is(report.sourceSha256, sha('sha256', source));
  assert.is(requests[1]?.headers.range, undefined);
});

test('a server that ignores ranges sends all of it again, and the result is right', async () => {
  const ignoring: Script = (_request, response) => {
    response.setHeader('ETag', '"v1"');
    response.end(body);
  };
  const { url } = await start(brokenOffAt(good, MIB), ignoring);
  assert.is((await rig.ensure(next(), url)).sourceSha256, sha('sha256', source));
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
    assert.is(report.sourceSha256, sha('sha256', source));
    await rude.close();
  }
});

test('a range that is not satisfiable leads to a fresh start', async () => {
  const refusing: Script = (_request, response) => {
    response.writeHead(416, { 'Content-Range': 'bytes */10' });
    response.end();
  };
  const { url } = await start(brokenOffAt(good, MIB), refusing, whole(good));
  assert.is((await rig.ensure(next(), url)).sourceSha256, sha('sha256', source));
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
  server = await rudeServerOn(Number(port), whole(good));
  const again = await rig.restart();
  const report = await again.ensure(id, first.url);
  assert.is(report.sourceSha256, sha('sha256', source));
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
  server = await rudeServerOn(port, whole(good));
  const again = await rig.restart();
  assert.is((await again.ensure(id, first.url)).sourceSha256, sha('sha256', source));
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
  assert.is(report.sourceSha256, sha('sha256', source));
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

test('a stall is broken off and gone on from', async () => {
  const stalling: Script = (_request, response) => {
    response.writeHead(200, { ETag: '"v1"', 'Content-Length': body.length });
    response.write(body.subarray(0, MIB));
  };
  const { url } = await start(stalling, whole(good));
  assert.is((await rig.ensure(next(), url)).sourceSha256, sha('sha256', source));
  assert.ok(rig.logged.some((line) => line.includes('stalled')));
});

test('a slow drip is a stall too, and it ends', async () => {
  const dripping: Script = (_request, response) => {
    response.writeHead(200, { 'Content-Length': body.length });
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  };
  const { url } = await start(dripping);
  await rejects(rig.ensure(next(), url), { code: 'image/unreachable', message: /stalled/ });
});

test('no answer at all has a deadline', async () => {
  const silent = await makeRig(join(dir, 'silent'), {
    timing: { answerTimeoutMs: 100, maxAttempts: 2, retryDelayMs: 5 },
  });
  const { url, requests } = await start(() => undefined);
  await rejects(silent.ensure(next(), url), { code: 'image/unreachable', message: /no answer/ });
  assert.is(requests.length, 2);
  await silent.close();
});

test('a body shorter than announced is not taken for the whole', async () => {
  server = await rawServer((socket) => {
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length + 10}\r\n\r\n`);
  });
  await rejects(rig.ensure(next(), server.url), { code: 'image/unreachable' });
  assert.ok(isClean());
});

test('bytes beyond the announced length are a fault, not part of the image', async () => {
  server = await rawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n');
    socket.end(Buffer.alloc(2000));
  });
  await rejects(rig.ensure(next(), server.url), { code: 'image/unreachable', message: /HPE_/ });
});

test('an answer that is not HTTP is named', async () => {
  server = await rawServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
  await rejects(rig.ensure(next(), server.url), {
    code: 'image/unreachable',
    message: /does not keep to HTTP/,
  });
});

test('a server that fails at first is asked again', async () => {
  const failing: Script = (_request, response) => {
    response.writeHead(503);
    response.end();
  };
  const { url } = await start(failing, whole(good));
  assert.is((await rig.ensure(next(), url)).sourceSha256, sha('sha256', source));
});

const FINAL: readonly (readonly [status: number, words: RegExp])[] = [
  [404, /answered 404; check the URL/],
  [403, /answered 403; it wants a login/],
  [204, /answered 204/],
];
for (const [status, message] of FINAL) {
  test(`${status} is final`, async () => {
    const { url, requests } = await start((_request, response) => {
      response.writeHead(status);
      response.end();
    });
    await rejects(rig.ensure(next(), url), { code: 'image/bad-url', message });
    assert.is(requests.length, 1);
    assert.ok(isClean());
  });
}

test('redirects are followed, and one that never ends is not', async () => {
  const redirect: Script = (_request, response) => {
    response.writeHead(302, { Location: '/elsewhere?token=hidden' });
    response.end();
  };
  const { url, requests } = await start(redirect, redirect, whole(good));
  assert.is((await rig.ensure(next(), url)).sourceSha256, sha('sha256', source));
  assert.is(requests[1]?.url, '/elsewhere?token=hidden');
  const loop = await rudeServer(redirect);
  await rejects(rig.ensure(next(), loop.url), { code: 'image/bad-url', message: /redirects more/ });
  assert.ok(loop.requests.length < 20);
  await loop.close();
});

test('a login in the URL goes to its own server only, and into no message', async () => {
  const target = await rudeServer(whole(good));
  const { url, requests } = await start((_request, response) => {
    response.writeHead(302, { Location: target.url });
    response.end();
  });
  await rig.ensure(next(), url.replace('://', '://user:s3cret@'));
  assert.is(
    requests[0]?.headers.authorization,
    `Basic ${Buffer.from('user:s3cret').toString('base64')}`,
  );
  assert.is(target.requests[0]?.headers.authorization, undefined);
  await target.close();

  const failing = await rudeServer((_request, response) => response.writeHead(500).end());
  const secretive = `${failing.url.replace('://', '://user:s3cret@')}?signature=hidden`;
  const error = await rig.ensure(next(), secretive).catch((thrown: unknown) => thrown);
  await failing.close();
  const seen = `${String(error)} ${rig.logged.join('\n')} ${notesOf(current())}`;
  assert.not.match(seen, /s3cret|hidden/);
});

test('a body without end is stopped at the limit', async () => {
  const endless: Script = (_request, response) => {
    const more = () => {
      while (response.write(Buffer.alloc(65_536))) continue;
    };
    response.on('drain', more);
    more();
  };
  const { url } = await start(endless);
  await rejects(rig.ensure(next(), url, { maxSizeBytes: 4 * MIB }), {
    code: 'image/refused',
    message: /at least \d+ bytes, and an image may have 4194304/,
  });
  assert.ok(isClean());
});

test('an announced size above the limit is refused before a byte of it is kept', async () => {
  const { url } = await start(whole(good));
  await rejects(rig.ensure(next(), url, { maxSizeBytes: MIB }), { code: 'image/refused' });
  assert.ok(isClean());
});

test('a web page instead of an image is named as that', async () => {
  const { url } = await start((_request, response) => response.end('<html>please log in</html>'));
  await rejects(rig.ensure(next(), url), { code: 'image/refused', message: /web page/ });
});

test('nothing listening, an unknown name and other schemes say what to do', async () => {
  const port = await freePort();
  await rejects(rig.ensure(next(), `http://127.0.0.1:${port}/x`), {
    code: 'image/unreachable',
    message: /refused the connection/,
  });
  await rejects(rig.ensure(next(), 'http://does-not-exist.invalid/x'), {
    code: 'image/unreachable',
    message: /host name/,
  });
  for (const url of ['ftp://host/x', 'file:///etc/passwd', 'debian:12']) {
    await rejects(rig.ensure(next(), url), { code: 'image/bad-url', message: /http:\/\// });
  }
  await rejects(rig.ensure(next(), 'no url'), { code: 'image/bad-url' });
  assert.equal(
    readdirSync(rig.driver.layout.partials).filter((name) => name === current()),
    [],
  );
});

test('the default policy keeps it from this machine, whichever way that is written', async () => {
  const closed = await makeRig(join(dir, 'closed'), {
    fetchPolicy: { refuse: ['127.0.0.0/8', '::1'], allow: [] },
  });
  const { url, requests } = await start(whole(good));
  const { port } = new URL(url);
  const ways = ['127.0.0.1', '2130706433', '0x7f.1', 'localhost', '[::ffff:127.0.0.1]', '[::1]'];
  for (const host of ways) {
    await rejects(closed.ensure(next(), `http://${host}:${port}/image`), {
      code: 'image/bad-url',
      message: /may not be fetched from/,
    });
  }
  assert.is(requests.length, 0);
  await closed.close();
});

test('a redirect into a refused range is refused', async () => {
  const closed = await makeRig(join(dir, 'half-closed'), {
    fetchPolicy: { refuse: ['127.0.0.0/8'], allow: ['127.0.0.1'] },
  });
  const { url } = await start((_request, response) => {
    response.writeHead(302, { Location: 'http://127.0.0.2:1/latest/meta-data' });
    response.end();
  });
  await rejects(closed.ensure(next(), url), { code: 'image/bad-url', message: /127\.0\.0\.2/ });
  await closed.close();
});

function notesOf(blobId: string): string {
  const path = `${join(rig.driver.layout.partial(blobId), 'source')}.json`;
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

test.after(() => rig.close());
test.run();

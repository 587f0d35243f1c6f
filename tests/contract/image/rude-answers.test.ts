import { rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createServer as createTLSServer } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { downloadRig } from './download-rig.ts';
import { makeRig, tool } from './rig.ts';
import { rawServer, rudeServer, whole, type Script } from './rude-server.ts';
import { MIB } from './samples.ts';

const test = suite('image download from rude servers');
const {
  body,
  closeServers,
  current,
  dir,
  good,
  isClean,
  keep,
  next,
  rig,
  samples,
  sourceHash,
  start,
} = await downloadRig();
test.after.each(closeServers);

test('a stall is broken off and gone on from', async () => {
  const stalling: Script = (_request, response) => {
    response.writeHead(200, { ETag: '"v1"', 'Content-Length': body.length });
    response.write(body.subarray(0, MIB));
  };
  const { url } = await start(stalling, whole(good));
  assert.is((await rig.ensure(next(), url)).sourceSha256, sourceHash);
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
  const server = await rawServer((socket) => {
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length + 10}\r\n\r\n`);
  });
  await rejects(rig.ensure(next(), keep(server).url), { code: 'image/unreachable' });
  assert.ok(isClean());
});

test('bytes beyond the announced length are a fault, not part of the image', async () => {
  const server = await rawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n');
    socket.end(Buffer.alloc(2000));
  });
  await rejects(rig.ensure(next(), keep(server).url), {
    code: 'image/unreachable',
    message: /HPE_/,
  });
});

test('a server that cannot prove who it is gets no image in', async () => {
  const [key, cert] = [samples.path('key.pem'), samples.path('cert.pem')];
  const subject = ['-nodes', '-subj', '/CN=localhost', '-keyout', key, '-out', cert];
  tool(
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    ...subject,
  );
  const tls = createTLSServer({ key: readFileSync(key), cert: readFileSync(cert) });
  await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
  const address = tls.address();
  const port = typeof address === 'object' ? address?.port : 0;
  await rejects(rig.ensure(next(), `https://localhost:${port}/image`), {
    code: 'image/unreachable',
    message: /could not prove who it is: self-signed certificate/,
  });
  await new Promise((resolve) => tls.close(resolve));
  assert.ok(isClean());
});

test('memory stays flat however large the image is', async () => {
  const piece = randomBytes(MIB);
  const sizeMiB = 192;
  const { url } = await start((_request, response) => {
    response.setHeader('Content-Length', sizeMiB * MIB);
    let sent = 0;
    const more = () => {
      while (sent < sizeMiB) {
        sent++;
        if (!response.write(piece)) return;
      }
      response.end();
    };
    response.on('drain', more);
    more();
  });
  const before = process.memoryUsage.rss();
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20);
  const report = await rig.ensure(next(), url);
  clearInterval(timer);
  assert.is(report.sourceSizeBytes, sizeMiB * MIB);
  assert.ok(peak - before < 128 * MIB, `grew by ${Math.round((peak - before) / MIB)} MiB`);
});

test('an answer that is not HTTP is named', async () => {
  const server = await rawServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
  await rejects(rig.ensure(next(), keep(server).url), {
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
  assert.is((await rig.ensure(next(), url)).sourceSha256, sourceHash);
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
  assert.is((await rig.ensure(next(), url)).sourceSha256, sourceHash);
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

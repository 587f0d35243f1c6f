// Images with http addresses through a proxy: a real one, that carries requests to a real server.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeRig, scratch } from './rig.ts';
import { makeSamples } from './samples.ts';

const test = suite('proxy');
const dir = scratch();
const bytes = readFileSync(makeSamples(dir).convert('image.qcow2', 'qcow2'));

const server = createServer((asked, response) => {
  if (asked.url === '/moved') return void response.writeHead(302, { Location: '/image' }).end();
  if (asked.url === '/inside')
    return void response.writeHead(302, { Location: 'http://169.254.169.254/x' }).end();
  response.end(bytes);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const origin = (server.address() as AddressInfo).port;

const carried: { url: string; headers: IncomingHttpHeaders }[] = [];
const proxy = createServer((asked, response) => {
  carried.push({ url: asked.url ?? '', headers: asked.headers });
  // It knows every name.
  const { pathname } = new URL(asked.url ?? '');
  const onward = request({ host: '127.0.0.1', port: origin, path: pathname }, (answer) => {
    response.writeHead(answer.statusCode ?? 0, answer.headers);
    answer.pipe(response);
  });
  onward.end();
});
proxy.listen(0, '127.0.0.1');
await once(proxy, 'listening');
const httpProxy = `http://us:secret@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
const rig = await makeRig(join(dir, 'driver'), {
  // The proxy's own address is closed to images, and open as a proxy.
  fetchPolicy: { refuse: ['127.0.0.0/8', '::1', '169.254.0.0/16'], allow: [], httpProxy },
});
test.before.each(() => void (carried.length = 0));
test.after(async () => {
  for (const one of [server, proxy]) {
    one.closeAllConnections();
    one.close();
  }
  await rig.close();
});

test('an image of a host that only the proxy knows is fetched, redirects included', async () => {
  const { sizeBytes } = await rig.ensure('named', 'http://user:word@images.invalid:8080/moved');
  assert.is(sizeBytes, bytes.length);
  assert.equal(
    carried.map(({ url }) => url),
    ['http://images.invalid:8080/moved', 'http://images.invalid:8080/image'],
  );
  const [{ headers } = { headers: {} as IncomingHttpHeaders }] = carried;
  assert.is(headers.host, 'images.invalid:8080');
  assert.is(headers.authorization, `Basic ${btoa('user:word')}`);
  assert.is(headers['proxy-authorization'], `Basic ${btoa('us:secret')}`);
});

test('what is closed is not asked of the proxy either: by address, by a name known here, by a redirect', async () => {
  const refused = (id: string, url: string) =>
    rejects(rig.ensure(id, url), { code: 'image/bad-url' });
  await refused('literal', 'http://169.254.169.254/image');
  await refused('name', `http://localhost:${origin}/image`);
  assert.is(carried.length, 0);
  await refused('redirect', 'http://images.invalid/inside');
  assert.is(carried.length, 1);
});

test('https goes without it', async () => {
  await rejects(rig.ensure('tls', 'https://images.invalid/image'), { code: 'image/unreachable' });
  assert.is(carried.length, 0);
});

test.run();

// What strangers and careless clients send: never a 5xx, never a hang, never somebody else's data.
import { connect, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';

const test = suite('api: hostile input');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld({ limits: { headersMs: 400, requestMs: 800 } });
});
test.after(() => world.close());

const MIB = 1024 * 1024;

/** Talks bytes: sends each part, resolves to all that came back when the other side has closed. */
function talk(...parts: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = '';
    const socket: Socket = connect(world.port, '127.0.0.1', () => {
      for (const part of parts) socket.write(part);
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error('neither answered nor closed')));
    socket.on('data', (chunk) => (heard += chunk.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(heard);
      else reject(error);
    });
    socket.on('close', () => resolve(heard));
  });
}

async function isAlive(): Promise<void> {
  assert.is((await world.call('GET', '/instances')).status, 200);
}

test('a body over 4 MiB is a 413, and the connection goes on', async () => {
  const reply = await world.call('POST', '/networks', { raw: Buffer.alloc(5 * MIB, 32) });
  assert.is(reply.status, 413);
  assert.equal(reply.json, { error: 'a request body has at most 4194304 bytes', status: 413 });
  await isAlive();
});

test('a huge body without a token is a 401', async () => {
  const reply = await world.call('POST', '/networks', { as: null, raw: Buffer.alloc(5 * MIB, 32) });
  assert.is(reply.status, 401);
  await isAlive();
});

test('a body without end is cut off', async () => {
  const head = `POST /networks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.token('lab')}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const chunk = `100000\r\n${'x'.repeat(MIB)}\r\n`;
  const heard = await talk(head, ...Array.from({ length: 80 }, () => chunk));
  assert.match(heard, /^HTTP\/1\.1 413 /);
  await isAlive();
});

test('what one object may not hold is a 413 from the store, not a breakdown', async () => {
  const body = {
    name: 'big',
    cpus: 1,
    memory: 1,
    disk: [{ size: 1 }],
    user_data: 'x'.repeat(2 * MIB),
  };
  const reply = await world.call('POST', '/instances', { body });
  assert.is(reply.status, 413, reply.text);
  const half = { ...body, user_data: 'x'.repeat(MIB / 4) };
  assert.is((await world.call('POST', '/instances', { body: half })).status, 200);
});

test('JSON nested 100,000 deep is a 400', async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  for (const raw of [
    `{"all":${deep}}`,
    `{"metadata":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
  ]) {
    const reply = await world.call('POST', '/instances', { raw });
    assert.equal(reply.json, {
      error: 'the request body nests deeper than 32 levels',
      status: 400,
    });
  }
  assert.is((await world.call('GET', '/instances', { raw: deep })).status, 400);
});

test('what the store could not keep as it is, is refused: numbers out of range, half characters', async () => {
  const bodies = [
    '{"netblock":"10.0.0.0/24","name":"\\ud800"}',
    '{"\\udc00":1}',
    '{"netblock":1e999}',
    '{"a":[-1e999]}',
  ];
  for (const raw of bodies) {
    const { status, json } = await world.call('POST', '/networks', { raw });
    assert.is(status, 400, raw);
    assert.match(String((json as View)['error']), /surrogates|too large/);
  }
});

test('names of prototypes are refused where they could be taken for one, and data elsewhere', async () => {
  const small = '"name":"proto","cpus":1,"memory":1';
  const poisoned = [
    `{${small},"disk":[{"size":1,"__proto__":{"base":"x"}}]}`,
    `{${small},"disk":[{"size":1}],"metadata":{"__proto__":{"tags":["x"]}}}`,
    `{${small},"disk":[{"size":1}],"video":{"model":"vga","memory":1,"__proto__":{}}}`,
    `{"__proto__":{"all":true}}`,
  ];
  for (const raw of poisoned) {
    const reply = await world.call('POST', '/instances', { raw });
    assert.equal(reply.json, { error: '__proto__ is no name for a member', status: 400 });
  }
  for (const name of ['constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']) {
    const unknown = await world.call('GET', '/instances', { body: { [name]: 1 } });
    assert.is(unknown.status, 400, name);
    const metadata = { [name]: { [name]: 1 }, tags: [{ toString: 1, valueOf: 2 }] };
    const disk = [{ size: 1, [name]: 'kept' }];
    const video = { model: 'vga', memory: 1, [name]: 'kept' };
    const view = await world.instance({ name: 'odd-members', metadata, disk, video });
    assert.is(JSON.stringify(view['metadata']), JSON.stringify(metadata));
    assert.is((view['disk_spec'] as View[])[0]?.[name], 'kept');
  }
  assert.is(({} as View)['all'], undefined);
});

test('objects that cannot be made text are no numbers', async () => {
  const trap = { toString: 1, valueOf: 1 };
  const asked = [
    { disk: [{ size: trap }] },
    { disk: [{ size: 1, bus: trap }] },
    { disk: [{ size: 1, base: trap }] },
    { video: { model: trap, memory: 1 } },
    { video: { model: 'vga', memory: trap } },
    { video: { model: 'vga', memory: 1, vdi: trap } },
    { metadata: { affinity: { a: trap } } },
    { network: [{ network_uuid: trap }] },
  ];
  for (const body of asked) {
    const reply = await world.call('POST', '/instances', {
      body: { name: 'trap', cpus: 1, memory: 1, disk: [{ size: 1 }], ...body },
    });
    assert.is(reply.status, 400, JSON.stringify(body));
  }
});

test('more disks and networks than a machine has slots are refused before anything is made', async () => {
  const disk = Array.from({ length: 10_000 }, (_, at) => ({ base: `http://images.test/${at}` }));
  const body = { name: 'greedy', cpus: 1, memory: 1, disk };
  assert.is((await world.call('POST', '/instances', { body })).status, 400);
  assert.equal(await world.ok('GET', '/artifacts'), []);
  const network = Array.from({ length: 10_000 }, () => ({ network_uuid: 'x' }));
  const many = { ...body, disk: [{ size: 1 }], network };
  assert.is((await world.call('POST', '/instances', { body: many })).status, 400);
});

test('paths that climb, lie or are too long lead nowhere', async () => {
  const paths = [
    '/../etc/passwd',
    '/instances/%2e%2e%2fetc',
    '/instances/..',
    '/instances/%00',
    '/instances/a%2Fevents',
    '/instances/%ff',
    '/%',
    `/instances/${'x'.repeat(8_000)}`,
    '/instances/;ls',
    '/networks/*',
    '/artifacts/%22',
    "/instances/'",
  ];
  for (const path of paths) assert.is((await world.call('GET', path)).status, 404, path);
});

test('HTML: no page repeats what was asked for, and none but the API browser runs anything', async () => {
  const script = encodeURIComponent('"><script>alert(1)</script>');
  const name = '<img src=x onerror=alert(1)>';
  await world.network({ name, netblock: '10.66.0.0/24' });
  const asked: [method: string, path: string][] = [
    ['GET', `/${script}`],
    ['GET', `/instances/a/b/${script}`],
    ['GET', `/?${script}`],
    ['GET', `/apidocs/?${script}`],
    ['GET', `/compat/0.4?${script}`],
    ['PUT', `/instances?${script}`],
  ];
  for (const [method, path] of asked) {
    const headers = { 'X-Request-ID': '<script>', Accept: 'text/html' };
    const { text } = await world.call(method, path, { headers });
    assert.not.match(text, /alert\(1\)|onerror/, path);
    const scripts = text.match(/<script[^>]*>/g) ?? [];
    assert.ok(
      scripts.every((one) => /src="browser\.js"/.test(one)),
      path,
    );
  }
  // What tenants chose comes as JSON, which no browser takes for a page.
  const list = await world.call('GET', '/networks', { headers: { Accept: 'text/html' } });
  assert.is(list.headers['content-type'], 'application/json');
  assert.ok(list.text.includes(JSON.stringify(name)));
  const unknown = await world.call('GET', `/networks/${script}`, {
    headers: { Accept: 'text/html' },
  });
  assert.is(unknown.headers['content-type'], 'application/json');
});

test('ids that do not exist are 404 on every route', async () => {
  const uuid = '00000000-0000-4000-8000-000000000000';
  const paths = ['instances', 'networks', 'artifacts'].flatMap((kind) => [
    `/${kind}/${uuid}`,
    `/${kind}/${uuid}/events`,
  ]);
  for (const path of [...paths, `/interfaces/${uuid}`])
    assert.is((await world.call('GET', path)).status, 404);
  for (const kind of ['instances', 'networks', 'artifacts']) {
    assert.is((await world.call('DELETE', `/${kind}/${uuid}`)).status, 404);
  }
});

test('one thing deleted by many at once is deleted, and gone for the rest of them', async () => {
  const network = await world.network({ name: 'fought-over', netblock: '10.67.0.0/24' });
  const guest = await world.instance({ name: 'fought-over' });
  const url = 'http://images.test/fought-over';
  const image = await world.ok('POST', '/artifacts', { body: { url } });
  const as = 'system';
  await world.ok('POST', '/auth/namespaces', { as, body: { namespace: 'fought-over' } });
  await world.ok('POST', '/auth/namespaces/lab/keys', { body: { key_name: 'fought', key: 'x' } });
  const paths = [
    `/networks/${String(network['uuid'])}`,
    `/instances/${String(guest['uuid'])}`,
    `/artifacts/${String(image['uuid'])}`,
    '/auth/namespaces/fought-over',
    '/auth/namespaces/lab/keys/fought',
  ];
  for (const path of paths) {
    const replies = await Promise.all(
      Array.from({ length: 12 }, () => world.call('DELETE', path, { as })),
    );
    const statuses = replies.map(({ status }) => status);
    assert.ok(statuses.includes(200), path);
    assert.ok(
      statuses.every((status) => [200, 404, 409].includes(status)),
      `${path}: ${statuses.join()}`,
    );
  }
});

test('a client that never finishes its headers is shown the door', async () => {
  const heard = await talk('GET /instances HTTP/1.1\r\nHost: x\r\nX-Slow: ');
  assert.match(heard, /^HTTP\/1\.1 408 Request Timeout\r\n/);
  assert.match(heard, /\r\nX-Request-ID: [0-9a-f-]{36}\r\n/);
  assert.match(heard, /\r\n\r\n\{"error":"Request Timeout","status":408\}$/);
});

test('a client that never finishes its body is shown the door', async () => {
  const head = `POST /networks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.token('lab')}\r\nContent-Length: 100\r\n\r\n{`;
  assert.match(await talk(head), /^HTTP\/1\.1 4\d\d /);
  await isAlive();
});

test('what is no HTTP gets a 400 with a request id, headers without end a 431', async () => {
  const heard = await talk('EHLO mail.test\r\n\r\n');
  assert.match(heard, /^HTTP\/1\.1 400 Bad Request\r\n/);
  assert.match(heard, /X-Request-ID: /);
  const big = await talk(`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(40_000)}\r\n\r\n`);
  assert.match(big, /^HTTP\/1\.1 431 /);
});

test('requests in a row on one connection are answered in order', async () => {
  const auth = `Host: x\r\nAuthorization: Bearer ${world.token('lab')}\r\n`;
  const heard = await talk(
    `GET /instances HTTP/1.1\r\n${auth}\r\nGET /nowhere HTTP/1.1\r\n${auth}\r\nGET / HTTP/1.1\r\n${auth}Connection: close\r\n\r\n`,
  );
  assert.equal(heard.match(/HTTP\/1\.1 (\d+)/g), ['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200']);
});

test('a client that hangs up early disturbs nobody, and is no error of ours', async () => {
  const logged = world.lines.length;
  const head = `POST /networks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.token('lab')}\r\nContent-Length: 100\r\n\r\n{`;
  await new Promise<void>((resolve) => {
    const socket = connect(world.port, '127.0.0.1', () =>
      socket.write(head, () => socket.resetAndDestroy()),
    );
    socket.on('close', () => resolve());
    socket.on('error', () => undefined);
  });
  await isAlive();
  assert.equal(
    world.lines.slice(logged).filter(({ level }) => level === 'error'),
    [],
  );
});

test.run();

// What every answer looks like, whatever the route (contract: conventions 1 to 5).
import { randomUUID } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';

const test = suite('api: the wire');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('JSON ends with a newline and is labelled as JSON', async () => {
  const reply = await world.call('GET', '/instances');
  assert.is(reply.status, 200);
  assert.is(reply.headers['content-type'], 'application/json');
  assert.is(reply.text, '[]\n');
});

test('an error has two members, a text and the status, and no newline', async () => {
  const reply = await world.call('GET', '/networks/nowhere');
  assert.is(reply.status, 404);
  assert.is(reply.headers['content-type'], 'application/json');
  assert.is(reply.text, '{"error":"network not found","status":404}');
});

test('an unknown path is a small HTML page, also with a slash at the end', async () => {
  for (const path of [
    '/images',
    '/instances/',
    '//instances',
    '/instances/a/b/c/d',
    '/%zz',
    '/a/../b',
  ]) {
    const reply = await world.call('GET', path);
    assert.is(reply.status, 404, path);
    assert.is(reply.headers['content-type'], 'text/html; charset=utf-8', path);
    assert.match(reply.text, /<h1>Not Found<\/h1>/);
  }
});

test('another method on a known path is a 405 that says which there are', async () => {
  const reply = await world.call('PUT', '/instances');
  assert.is(reply.status, 405);
  assert.equal(reply.json, { message: 'The method is not allowed for the requested URL.' });
  assert.is(reply.headers.allow, 'GET, POST, DELETE, HEAD, OPTIONS');
});

test('OPTIONS is answered 200 with Allow, without a token', async () => {
  const reply = await world.call('OPTIONS', '/auth', { as: null });
  assert.is(reply.status, 200);
  assert.is(reply.headers.allow, 'POST, OPTIONS');
  assert.is(reply.text, '');
});

test('HEAD is GET without the body', async () => {
  const [head, get] = [await world.call('HEAD', '/networks'), await world.call('GET', '/networks')];
  assert.is(head.status, 200);
  assert.is(head.text, '');
  assert.is(head.headers['content-length'], get.headers['content-length']);
  const missing = await world.call('HEAD', '/networks/nowhere');
  assert.is(missing.status, 404);
  assert.is(missing.text, '');
});

test('every answer carries a request id: the one that was sent, or a UUID', async () => {
  const asked = [
    ['GET', '/'],
    ['GET', '/instances'],
    ['GET', '/networks/nowhere'],
    ['GET', '/nowhere'],
    ['PUT', '/instances'],
    ['OPTIONS', '/instances'],
    ['POST', '/auth'],
  ] as const;
  for (const [method, path] of asked) {
    assert.match(String((await world.call(method, path)).headers['x-request-id']), UUID);
    const sent = await world.call(method, path, { headers: { 'X-Request-ID': 'mine-1' } });
    assert.is(sent.headers['x-request-id'], 'mine-1', path);
  }
});

test('a request id that could not be kept in rules and logs is replaced', async () => {
  for (const id of ['a b', 'x'.repeat(129), '"; drop', '']) {
    const reply = await world.call('GET', '/', { headers: { 'X-Request-ID': id } });
    assert.match(String(reply.headers['x-request-id']), UUID);
  }
});

test('the request id is in all events that follow from the request', async () => {
  const headers = { 'X-Request-ID': 'cause-7' };
  const body = { netblock: '10.7.0.0/24', name: 'traced' };
  const { uuid } = await world.ok<View>('POST', '/networks', { body, headers });
  await world.settled(`/networks/${String(uuid)}`, 'created');
  const events = await world.ok<View[]>('GET', `/networks/${String(uuid)}/events`);
  assert.ok(events.length >= 2, 'created, and ready');
  for (const { extra } of events) assert.is((extra as View)['request-id'], 'cause-7');
});

test('filters come as a JSON body on GET, whatever the content type; the query string is ignored', async () => {
  const { uuid } = await world.network({ name: 'gone' });
  await world.ok('DELETE', `/networks/${String(uuid)}`);
  await world.settled(`/networks/${String(uuid)}`, 'deleted');
  const names = async (path: string, options = {}) =>
    (await world.ok<View[]>('GET', path, options)).map((view) => view['name']);
  const headers = { 'Content-Type': 'text/plain' };
  assert.ok((await names('/networks', { body: { all: true }, headers })).includes('gone'));
  assert.not.ok((await names('/networks')).includes('gone'));
  assert.not.ok((await names('/networks?all=true')).includes('gone'));
});

test('an empty body, an empty value and what is no JSON mean no parameters', async () => {
  for (const raw of ['', '{', 'all=true', 'null', '""', '[]', '{}', '\uFEFF{}']) {
    assert.is((await world.call('GET', '/instances', { raw })).status, 200, raw);
  }
});

test('JSON that is no object is a 400', async () => {
  for (const raw of ['[1]', '"text"', '7', 'true', '[{"all":true}]']) {
    const reply = await world.call('GET', '/instances', { raw });
    assert.is(reply.status, 400, raw);
    assert.equal(reply.json, { error: 'the request body should be a JSON object', status: 400 });
  }
});

test('an unknown member is named', async () => {
  const reply = await world.call('GET', '/instances', { body: { xyz: 1 } });
  assert.is(reply.status, 400);
  assert.equal(reply.json, { error: "got an unexpected keyword argument 'xyz'", status: 400 });
  const uuid = await world.call('POST', '/networks', {
    body: { uuid: 'x', netblock: '10.0.0.0/24' },
  });
  assert.equal(uuid.json, { error: "got an unexpected keyword argument 'uuid'", status: 400 });
});

test('a member of the wrong type is a 400 that names it and shows what was found', async () => {
  const reply = await world.call('GET', '/instances', { body: { all: 'yes' } });
  assert.is(reply.status, 400);
  assert.match(String((reply.json as View)['error']), /^all must be boolean, found "yes"/);
});

test('null is as good as absent', async () => {
  assert.is((await world.call('GET', '/instances', { body: { all: null } })).status, 200);
});

test('a member may repeat the path variable, but not contradict it', async () => {
  const { uuid } = await world.network({ name: 'twice' });
  const path = `/networks/${String(uuid)}`;
  assert.is((await world.call('GET', path, { body: { network_ref: uuid } })).status, 200);
  const reply = await world.call('GET', path, { body: { network_ref: 'another' } });
  assert.is(reply.status, 400);
  assert.match(String((reply.json as View)['error']), /^network_ref in the body is not the one/);
});

test('nothing to return is the word null', async () => {
  const made = await world.instance({ name: 'nothing' });
  const reply = await world.call('DELETE', `/instances/${String(made['uuid'])}/consoledata`);
  assert.is(reply.text, 'null\n');
  assert.is(reply.headers['content-type'], 'application/json');
});

test('the front page answers without a token and lists capabilities that exist', async () => {
  const reply = await world.call('GET', '/', { as: null });
  assert.is(reply.status, 200);
  assert.is(reply.headers['content-type'], 'text/html; charset=utf-8');
  for (const word of [
    'events-by-type',
    'list-addresses',
    'get-instance-namespace',
    'provide-dns',
    'route-addresses',
    'extra-dns-entries',
  ]) {
    assert.ok(reply.text.includes(word), word);
  }
  assert.ok(reply.text.includes('instance-screenshot'));
  assert.not.ok(reply.text.includes('blob-data-limit'));
});

test('a daemon without its store says that reads may be stale', async () => {
  world.read.linkChanged(false);
  const [health, list] = [
    await world.call('GET', '/healthz', { as: null }),
    await world.call('GET', '/instances'),
  ];
  // What the copy does not show may be there: that is no reason to send a client away for good.
  const unsure = await world.call('DELETE', `/networks/${randomUUID()}`, { as: 'lab' });
  assert.is(unsure.status, 503);
  assert.match(unsure.text, 'its copy may be old');
  world.read.linkChanged(true);
  assert.is((health.json as View)['stale'], true);
  assert.is(list.status, 200);
  assert.is(list.headers['x-troupe-stale'], 'true');
  assert.is((await world.call('GET', '/instances')).headers['x-troupe-stale'], undefined);
});

test('a breakdown of ours is a 500 that says so, and is logged once with its trace', async () => {
  world.machine.consoleFailure = new TypeError('boom');
  const made = await world.instance({ name: 'broken' });
  const headers = { 'X-Request-ID': 'broken-1' };
  const reply = await world.call('GET', `/instances/${String(made['uuid'])}/consoledata`, {
    headers,
  });
  world.machine.consoleFailure = undefined;
  assert.is(reply.status, 500);
  assert.equal(reply.json, { error: 'server error: machine/n1 failed: boom', status: 500 });
  const logged = world.lines.filter(
    ({ fields }) => fields['trace'] === 'broken-1' && fields['error'] !== undefined,
  );
  assert.is(logged.length, 1);
});

test('an idempotency key makes the same wish one object, for each caller and route', async () => {
  const headers = { 'Idempotency-Key': 'once' };
  const body = { netblock: '10.50.0.0/24', name: 'once' };
  const first = await world.ok('POST', '/networks', { body, headers });
  assert.is((await world.ok('POST', '/networks', { body, headers }))['uuid'], first['uuid']);
  const theirs = await world.ok('POST', '/networks', { as: 'other', body, headers });
  assert.is.not(theirs['uuid'], first['uuid']);
  assert.is.not((await world.ok('POST', '/networks', { body }))['uuid'], first['uuid']);
  const upload = await world.ok('POST', '/upload', { headers });
  assert.is((await world.ok('POST', '/upload', { headers }))['uuid'], upload['uuid']);
  const odd = { 'Idempotency-Key': 'a b' };
  assert.is((await world.call('POST', '/upload', { headers: odd })).status, 400);
});

test('a POST that stands for a GET is one', async () => {
  const headers = { 'X-HTTP-Method-Override': 'GET' };
  const listed = await world.call('POST', '/instances', { headers, body: { all: true } });
  assert.is(listed.status, 200);
  assert.ok(Array.isArray(listed.json));
  const removal = { 'X-HTTP-Method-Override': 'DELETE' };
  assert.is((await world.call('POST', '/instances', { headers: removal })).status, 400);
});

test.run();

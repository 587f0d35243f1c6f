// Logging in, and what makes a token invalid (contract: auth 2 to 4).
import { createHmac } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { waitUntil } from '../../support/wait.ts';
import { openApiWorld, SECRETS, type ApiWorld, type View } from '../../support/api-world.ts';

const test = suite('api: authentication');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

async function login(body: unknown): Promise<[number, string]> {
  const { status, json } = await world.call('POST', '/auth', { as: null, body });
  return [status, String((json as View)['error'])];
}

function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString(
    'base64url',
  );
}

/** A token with these claims, signed by us unless told otherwise. */
function forge(
  claims: object | string,
  header: object = { alg: 'HS256', typ: 'JWT' },
  secret = world.services.tokenSecrets.signing(),
): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** Claims of a good token, changed. */
function claims(changed: View = {}): View {
  const now = Math.floor(world.clock.nowMs() / 1000);
  const nonce = world.read.namespaces.get('lab')?.state.keys['key']?.nonce;
  return {
    iat: now,
    nbf: now,
    exp: now + 900,
    type: 'access',
    sub: ['lab', 'key'],
    nonce,
    ...changed,
  };
}

async function withHeader(authorization: string, accept = '*/*') {
  const headers = { Accept: accept, Authorization: authorization };
  return world.call('GET', '/instances', { as: null, headers });
}

async function refused(authorization: string, text: string): Promise<void> {
  const { status, json } = await withHeader(authorization);
  assert.equal([status, json], [401, { error: text, status: 401 }]);
}

test('a login gives a token for 15 minutes, with the claims of the contract', async () => {
  const body = { namespace: 'lab', key: SECRETS.lab };
  const answer = await world.ok('POST', '/auth', { as: null, body });
  assert.equal(
    { ...answer, access_token: '' },
    { access_token: '', token_type: 'Bearer', expires_in: 900 },
  );
  const token = String(answer['access_token']);
  const [header, payload] = token
    .split('.', 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as View);
  assert.equal(header, { alg: 'HS256', typ: 'JWT' });
  const { sub, iss, iat, nbf, exp, type, fresh, nonce } = payload ?? {};
  assert.equal(
    [sub, iss, type, fresh, nbf, exp],
    [['lab', 'key'], 'troupe.test', 'access', false, iat, Number(iat) + 900],
  );
  assert.match(String(nonce), /^[A-Za-z0-9]{16}$/);
  assert.is((await withHeader(`Bearer ${token}`)).status, 200);
});

test('what a login lacks is told in the order of the contract', async () => {
  for (const body of [undefined, {}, { key: 'x' }]) {
    assert.equal(await login(body), [400, 'missing namespace in request']);
  }
  for (const namespace of ['nowhere', '', null, 7, ['lab'], '__proto__', 'constructor']) {
    assert.equal(await login({ namespace, key: SECRETS.lab }), [404, 'namespace not found']);
  }
  for (const key of [undefined, null, '']) {
    assert.equal(await login({ namespace: 'lab', key }), [400, 'missing key in request']);
  }
  for (const key of [7, true, ['x'], { a: 1 }]) {
    assert.equal(await login({ namespace: 'lab', key }), [400, 'key is not a string']);
  }
  assert.equal(await login({ namespace: 'lab', key: 'wrong' }), [401, 'unauthorized']);
  assert.equal(await login({ namespace: 'lab', key: SECRETS.other }), [401, 'unauthorized']);
  assert.equal(await login({ namespace: 'lab', key: 'x'.repeat(100_000) }), [401, 'unauthorized']);
});

test('a deleted namespace is not there to log in to, and its tokens are dead', async () => {
  const state = world.read.namespaces.get('other')?.state;
  const token = world.token('other');
  world.put('namespace', 'other', { ...state, phase: 'deleted' });
  assert.equal(await login({ namespace: 'other', key: SECRETS.other }), [
    404,
    'namespace not found',
  ]);
  await refused(`Bearer ${token}`, '');
  world.put('namespace', 'other', state);
  assert.is((await withHeader(`Bearer ${token}`)).status, 200);
});

test('rows 1 to 3: the header is there, says Bearer, and has one token', async () => {
  const missing = await world.call('GET', '/instances', { as: null });
  assert.equal(missing.json, { error: 'Missing Authorization Header', status: 401 });
  await refused('', 'Missing Authorization Header');
  const expected = "Expected 'Authorization: Bearer <JWT>'";
  const noBearer = `Missing 'Bearer' type in 'Authorization' header. ${expected}`;
  for (const header of ['Basic eA==', 'bearer x', world.token('lab')])
    await refused(header, noBearer);
  for (const header of ['Bearer', 'Bearer a b'])
    await refused(header, `Bad Authorization header. ${expected}`);
});

test('row 4: only our own signature, by our own algorithm', async () => {
  const text = 'invalid JWT in Authorization header';
  const good = world.token('lab');
  const [header, payload, signature] = good.split('.');
  const forged = [
    'x',
    'a.b.c',
    `${header}.${payload}.`,
    `${header}.${payload}`,
    `${good}.x`,
    `${header}.${encode(claims({ sub: ['system', 'key'] }))}.${signature}`,
    forge(claims(), { alg: 'HS256', typ: 'JWT' }, Buffer.from('another secret')),
    forge(claims(), { alg: 'HS512', typ: 'JWT' }),
    `${encode({ alg: 'none', typ: 'JWT' })}.${payload}.`,
    `${encode({ alg: 'none', typ: 'JWT' })}.${payload}.${signature}`,
    forge('not json'),
    'x'.repeat(10_000),
  ];
  for (const token of forged) await refused(`Bearer ${token}`, text);
});

test('row 5: a token dies by the clock', async () => {
  const token = world.token('lab');
  try {
    // It was made at some time of this run.
    world.clock.shiftMs = 780_000;
    assert.is((await withHeader(`Bearer ${token}`)).status, 200);
    world.clock.shiftMs = 901_000;
    await refused(`Bearer ${token}`, 'Signature has expired');
  } finally {
    world.clock.shiftMs = 0;
  }
  await refused(`Bearer ${forge(claims({ exp: 'soon' }))}`, 'Signature has expired');
});

test('rows 6 to 8: not before its time, not to refresh with, and somebody’s', async () => {
  const later = Math.floor(world.clock.nowMs() / 1000) + 60;
  await refused(`Bearer ${forge(claims({ nbf: later }))}`, 'The token is not yet valid (nbf)');
  await refused(`Bearer ${forge(claims({ iat: later }))}`, 'The token is not yet valid (iat)');
  await refused(
    `Bearer ${forge(claims({ type: 'refresh' }))}`,
    'Only non-refresh tokens are allowed',
  );
  for (const sub of [undefined, 'lab', [], [7, 'key']]) {
    await refused(`Bearer ${forge(claims({ sub }))}`, 'Missing claim: sub');
  }
});

test('rows 9 to 12: namespace, key and nonce are those of today', async () => {
  for (const sub of [
    ['nowhere', 'key'],
    ['lab', 'nokey'],
    ['lab', '__proto__'],
    ['constructor', 'key'],
  ]) {
    await refused(`Bearer ${forge(claims({ sub }))}`, '');
  }
  await refused(`Bearer ${forge(claims({ nonce: undefined }))}`, '');
  await refused(`Bearer ${forge(claims({ nonce: 'another' }))}`, '');
});

test('a key that is set anew kills the tokens made with it, and the old secret', async () => {
  const body = { namespace: 'other', key: SECRETS.other };
  const { access_token: token } = await world.ok('POST', '/auth', { as: null, body });
  assert.is((await withHeader(`Bearer ${String(token)}`)).status, 200);
  await world.setKey('other', 'new-secret');
  await refused(`Bearer ${String(token)}`, '');
  assert.equal(await login(body), [401, 'unauthorized']);
  const again = await world.ok('POST', '/auth', { as: null, body: { ...body, key: 'new-secret' } });
  assert.is((await withHeader(`Bearer ${String(again['access_token'])}`)).status, 200);
});

test('a worn-out token sends a browser to the front page, and everybody else a 401', async () => {
  for (const token of ['garbled', forge(claims({ exp: 1 }))]) {
    const browser = await withHeader(`Bearer ${token}`, 'text/html,application/xhtml+xml');
    assert.equal([browser.status, browser.headers.location], [302, '/']);
    for (const accept of ['*/*', 'application/json']) {
      assert.is((await withHeader(`Bearer ${token}`, accept)).status, 401);
    }
    const none = await world.call('GET', '/instances', {
      as: null,
      headers: { Authorization: `Bearer ${token}` },
    });
    assert.is(none.status, 401, 'no Accept at all');
  }
  const noKey = await withHeader(`Bearer ${forge(claims({ sub: ['lab', 'nokey'] }))}`, 'text/html');
  assert.is(noKey.status, 401, 'only a login helps there');
});

test('routes of the administrator refuse tenants with 401', async () => {
  for (const path of ['/stuck', '/actors/x']) {
    const { status, json } = await world.call('GET', path);
    assert.equal([status, json], [401, { error: 'unauthorized', status: 401 }], path);
  }
  assert.is((await world.call('POST', '/actors/instance/x/cancel')).status, 401);
  assert.equal(await world.ok('GET', '/stuck', { as: 'system' }), []);
});

test('a token is checked before the object, and before the body', async () => {
  const paths = [
    '/instances/nowhere',
    '/networks/nowhere',
    '/interfaces/nowhere',
    '/artifacts/nowhere',
  ];
  for (const path of paths) {
    assert.is((await world.call('GET', path, { as: null, raw: '[1]' })).status, 401, path);
    const reply = await world.call('GET', path, { body: { xyz: 1 } });
    assert.is(reply.status, 404, `${path}: the object before its body`);
  }
});

test('administrators see what an actor does, and call it off', async () => {
  const held = Promise.withResolvers<void>();
  world.machine.before = (resource) => (resource === 'domain' ? held.promise : undefined);
  const { uuid } = await world.instance({ name: 'slow' });
  await world.settled(`/instances/${String(uuid)}`, 'creating');
  const [actor] = await world.ok<View[]>('GET', '/actors/slow', { as: 'system' });
  assert.is(actor?.['address'], `instance/${String(uuid)}`);
  const { reason } = (actor?.['waitsFor'] ?? {}) as View;
  assert.type(reason, 'string');
  const cancelled = await world.call('POST', `/actors/instance/${String(uuid)}/cancel`, {
    as: 'system',
  });
  world.machine.before = () => undefined;
  held.resolve();
  assert.equal([cancelled.status, cancelled.text], [200, 'null\n']);
  await world.settled(`/instances/${String(uuid)}`, 'deleted');
  const again = await world.call('POST', `/actors/instance/${String(uuid)}/cancel`, {
    as: 'system',
  });
  assert.is(again.status, 409);
  const nobody = await world.call('POST', '/actors/instance/nobody/cancel', { as: 'system' });
  assert.equal(nobody.json, { error: 'instance/nobody not found', status: 404 });
});

test('a rotation of the secret ends no token; one at once ends all', async () => {
  const before = forge(claims());
  await world.ok('POST', '/admin/rotatetokensecret', { as: 'system' });
  assert.is((await withHeader(`Bearer ${before}`)).status, 200);
  const body = { at_once: true };
  const token = world.token('system');
  const headers = { Authorization: `Bearer ${token}` };
  await world.ok('POST', '/admin/rotatetokensecret', { as: null, headers, body });
  await refused(`Bearer ${before}`, 'invalid JWT in Authorization header');
  await refused(`Bearer ${token}`, 'invalid JWT in Authorization header');
  world.forgetTokens();
  assert.is((await world.call('POST', '/admin/rotatetokensecret')).status, 401);
  const [status] = await login({ namespace: 'lab', key: SECRETS.lab });
  assert.is(status, 200);
});

const events = async (namespace: string) =>
  (await world.ok<View[]>('GET', `/auth/namespaces/${namespace}/events`, { as: 'system' })).map(
    ({ message, extra }) => [String(message), extra as View] as const,
  );

test('a key with an end works until then, and is nowhere to be seen afterwards', async () => {
  const ends = Math.round(world.clock.nowMs() / 1000) + 3_600;
  const body = { key_name: 'ci', key: 'ci-secret', expires_at: ends };
  await world.ok('POST', '/auth/namespaces/lab/keys', { body });
  const answer = await world.ok('POST', '/auth', {
    as: null,
    body: { namespace: 'lab', key: 'ci-secret' },
  });
  const token = `Bearer ${String(answer['access_token'])}`;
  assert.is((await withHeader(token)).status, 200);
  assert.equal(await world.ok('GET', '/auth/namespaces/lab/keys'), ['ci', 'key']);
  const system = { as: 'system' } as const;
  world.clock.shiftMs += 3_601_000;
  try {
    world.forgetTokens();
    await refused(token, 'Signature has expired');
    await refused(`Bearer ${forge(claims({ sub: ['lab', 'ci'], nonce: nonceOf('ci') }))}`, '');
    assert.equal(await login({ namespace: 'lab', key: 'ci-secret' }), [401, 'unauthorized']);
    assert.equal(await world.ok('GET', '/auth/namespaces/lab/keys'), ['key']);
    const view = await world.ok('GET', '/auth/namespaces/lab', system);
    assert.equal(view['keys'], ['key']);
    const path = '/auth/namespaces/lab/keys/ci';
    assert.is((await world.call('DELETE', path)).status, 404);
    assert.is((await world.call('PUT', path, { body: { key: 'again' } })).status, 404);
  } finally {
    world.clock.shiftMs -= 3_601_000;
    world.forgetTokens();
  }
  for (const wrong of [1, 'soon', ends * 1_000_000_000, {}]) {
    const refusal = await world.call('POST', '/auth/namespaces/lab/keys', {
      body: { ...body, expires_at: wrong },
    });
    assert.is(refusal.status, 400, JSON.stringify(wrong));
  }
});

const nonceOf = (name: string) => world.read.namespaces.get('lab')?.state.keys[name]?.nonce;

test('logins, refused ones, and changes are events of the namespace, a window of them as one', async () => {
  const key = { namespace: 'other', key: 'new-secret' };
  for (let n = 0; n < 3; n++) await login(key);
  for (let n = 0; n < 2; n++) await login({ namespace: 'other', key: 'guess' });
  for (let n = 0; n < 2; n++) {
    const body = { key: 'owner', value: 'secret-value' };
    await world.ok('POST', '/auth/namespaces/other/metadata', { as: 'other', body });
  }
  const use = async (wanted: string) =>
    (await events('other')).filter(([message]) => message === wanted);
  await waitUntil('the last is there', async () => (await use('key used for changes')).length > 0);
  const fingerprint = world.read.namespaces.get('other')?.state.keys['key']?.nonce.slice(0, 8);
  const [login1, ...more] = await use('login');
  const { remote, 'request-id': _, ...extra } = login1?.[1] ?? {};
  assert.equal([extra, more.length], [{ key: 'key', fingerprint }, 1], 'that of an earlier key');
  assert.match(String(remote), '127.0.0.1');
  assert.equal(
    (await use('login refused')).map(([, one]) => one['key']),
    [undefined],
  );
  assert.is((await use('key used for changes')).length, 1);
  const all = JSON.stringify(await events('other'));
  for (const secret of ['new-secret', 'guess', 'secret-value'])
    assert.not.match(all, secret, 'never a secret');
});

test('the events of a namespace are for who may act on it', async () => {
  const path = '/auth/namespaces/other/events';
  assert.is((await world.call('GET', path)).status, 404);
  assert.is((await world.call('GET', path, { as: 'other' })).status, 200);
});

test.run();

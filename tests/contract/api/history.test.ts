// What objects were, what changed and why, through the API; and that it is told to nobody who may not know.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';

const test = suite('api: history');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

async function made(): Promise<string> {
  const { uuid } = await world.network({ name: 'front' });
  return String(uuid);
}
const setMetadata = (path: string, value: unknown, id: string) =>
  world.ok('POST', `${path}/metadata`, {
    body: { key: 'note', value },
    headers: { 'X-Request-ID': id },
  });
const stateOf = (view: View) => view['state'] as View;

test('an object is told as it is, as it was at a revision, and at a time', async () => {
  const uuid = await made();
  const path = `/history/network/${uuid}`;
  await setMetadata(`/networks/${uuid}`, 'old', 'r1');
  const before = await world.ok('GET', path);
  await setMetadata(`/networks/${uuid}`, 'new', 'r2');
  const now = await world.ok('GET', path);
  assert.equal(stateOf(now)['metadata'], { note: 'new' });
  assert.is(now['request-id'], 'r2');
  const revision = before['revision'];
  const past = await world.ok('GET', path, { body: { revision } });
  assert.equal(past, before);
  assert.equal(stateOf(past)['metadata'], { note: 'old' });
  const time = new Date(Number(before['time']) * 1000).toISOString();
  const dated = await world.ok('GET', path, { body: { time } });
  assert.ok(Number(dated['revision']) <= Number(now['revision']));
  assert.is((await world.call('GET', path, { body: { revision: 1 } })).status, 404);
  assert.is((await world.call('GET', path, { body: { time: 'yesterday' } })).status, 400);
  assert.is((await world.call('GET', path, { body: { revision, time } })).status, 400);
  await world.ok('GET', '/history/network/front');
});

test('the difference between two moments is told member by member', async () => {
  const uuid = await made();
  const path = `/history/network/${uuid}`;
  await setMetadata(`/networks/${uuid}`, 'old', 'r1');
  const { revision: from } = await world.ok('GET', path);
  await setMetadata(`/networks/${uuid}`, 'new', 'r2');
  const { changes } = await world.ok('GET', `${path}/diff`, { body: { from_revision: from } });
  assert.equal(changes, [{ path: 'metadata.note', before: 'old', after: 'new' }]);
  const same = { from_revision: from, to_revision: from };
  assert.equal((await world.ok('GET', `${path}/diff`, { body: same }))['changes'], []);
  assert.is((await world.call('GET', `${path}/diff`)).status, 400);
});

test('each member is traced to the request that gave it its value, with what followed', async () => {
  const uuid = await made();
  await setMetadata(`/networks/${uuid}`, 'new', 'r-why');
  const view = await world.ok('GET', `/history/network/${uuid}/why`);
  const [last, ...others] = view['causes'] as View[];
  assert.equal([last?.['request-id'], last?.['members']], ['r-why', ['metadata']]);
  const create = others.find((cause) => (cause['members'] as string[]).includes('phase'));
  const events = (create?.['events'] ?? []) as View[];
  assert.ok(events.length >= 2);
  for (const { id, extra } of events) {
    assert.is(id, uuid);
    assert.is((extra as View)['request-id'], create?.['request-id']);
  }
  assert.equal(view['older'], []);
});

test('another tenant learns nothing, in the words of a missing object', async () => {
  const uuid = await made();
  for (const tail of ['', '/diff', '/why']) {
    const body = tail === '/diff' ? { from_revision: 1 } : {};
    const theirs = await world.call('GET', `/history/network/${uuid}${tail}`, {
      as: 'other',
      body,
    });
    const missing = await world.call('GET', `/history/network/nowhere${tail}`, {
      as: 'other',
      body,
    });
    assert.equal([theirs.status, theirs.json], [404, missing.json]);
  }
  for (const path of ['/history/node/n1', '/history/namespace/lab'])
    assert.is((await world.call('GET', path, { as: 'other' })).status, 404, path);
  assert.is((await world.call('GET', '/history/toString/x')).status, 400);
  await world.ok('GET', `/history/network/${uuid}/why`, { as: 'system' });
});

test('what follows on the objects of others is not told', async () => {
  const uuid = await made();
  const shared = { headers: { 'X-Request-ID': 'shared-id' } };
  await world.ok('POST', `/networks/${uuid}/metadata`, { ...shared, body: { key: 'a', value: 1 } });
  const theirs = await world.network({ name: 'theirs' }, 'other');
  await world.ok('POST', `/networks/${String(theirs['uuid'])}/metadata`, {
    ...shared,
    as: 'other',
    body: { key: 'a', value: 1 },
  });
  const { causes } = await world.ok('GET', `/history/network/${uuid}/why`);
  const events = (causes as View[]).flatMap((cause) => cause['events'] as View[]);
  assert.equal([...new Set(events.map(({ id }) => id))], [uuid]);
});

test('keys are shown to nobody, not even as hashes; that they were changed is', async () => {
  const { revision: from, state } = await world.ok('GET', '/history/namespace/lab');
  assert.equal((state as View)['keys'], {
    key: { hash: '(hidden)', salt: '(hidden)', nonce: '(hidden)', expiresAtMs: null },
  });
  // Which ends the tenant's token.
  await world.setKey('lab', 'another');
  const body = { from_revision: from };
  const as = 'system' as const;
  const { changes } = await world.ok('GET', '/history/namespace/lab/diff', { body, as });
  const told = (changes as View[]).filter(({ path }) => String(path).startsWith('keys.key.'));
  assert.is(told.length, 3);
  for (const { before, after } of told) assert.equal([before, after], ['(hidden)', '(hidden)']);
});

test.run();

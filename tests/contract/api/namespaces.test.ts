// Namespaces, their keys and trusts (contract: auth 6).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, type ApiWorld, type Tenant, type View } from '../../support/api-world.ts';

const test = suite('api: namespaces');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
const AT = '/auth/namespaces';

async function told(
  method: Method,
  path: string,
  body: object = {},
  as: Tenant = 'system',
): Promise<[number, unknown]> {
  const { status, json } = await world.call(method, `${AT}${path}`, { body, as });
  return [status, status === 200 ? json : (json as View)['error']];
}

async function login(namespace: string, key: string): Promise<number> {
  return (await world.call('POST', '/auth', { as: null, body: { namespace, key } })).status;
}

test('one is made with its first key, shown, and logged in to', async () => {
  const [status, made] = await told('POST', '', { namespace: 'made', key_name: 'k', key: 's' });
  assert.is(status, 200);
  const view = {
    name: 'made',
    state: 'created',
    metadata: {},
    version: 5,
    keys: ['k'],
    trust: { full: ['system'] },
  };
  assert.equal(made, view);
  assert.equal(await told('GET', '/made'), [200, view]);
  assert.is(await login('made', 's'), 200);
});

test('what is wrong with a new one is told before anything is made', async () => {
  const rows: [object, number, string][] = [
    [{}, 400, 'no namespace specified'],
    [{ namespace: '' }, 400, 'no namespace specified'],
    [{ namespace: 'a/b' }, 400, 'a namespace is named by up to 63 letters'],
    // They become part of DNS names, which have no empty labels, and none that begin or end with a hyphen.
    [{ namespace: 'a..b' }, 400, 'a namespace is named by up to 63 letters'],
    [{ namespace: 'a.-b' }, 400, 'a namespace is named by up to 63 letters'],
    [{ namespace: 'a-.b' }, 400, 'a namespace is named by up to 63 letters'],
    [{ namespace: 'lab' }, 403, 'namespace exists'],
    [{ namespace: 'half', key_name: 'k' }, 400, 'no key specified'],
    [{ namespace: 'half', key_name: 'k', key: 7 }, 400, 'key is not a string'],
    [{ namespace: 'half', key_name: '_service_key1', key: 's' }, 403, 'illegal key name'],
  ];
  for (const [body, status, text] of rows) {
    const [found, error] = await told('POST', '', body);
    assert.is(found, status, JSON.stringify(body));
    assert.match(String(error), text);
  }
  assert.equal(await told('GET', '/half'), [404, 'namespace not found']);
  assert.equal(await told('POST', '', { namespace: 'x' }, 'lab'), [401, 'unauthorized']);
});

test('who asks sees its own and those that trust it; the others read like missing ones', async () => {
  const names = async (as: Tenant) =>
    (await world.ok<View[]>('GET', AT, { as })).map((view) => view['name']);
  assert.equal(await names('lab'), ['lab']);
  assert.ok((await names('system')).includes('other'));
  for (const path of ['/other', '/other/keys', '/other/metadata', '/nobody'])
    assert.equal(await told('GET', path, {}, 'lab'), [404, 'namespace not found'], path);
  const [status] = await told('POST', '/other/trust', { external_namespace: 'lab' }, 'other');
  assert.is(status, 200);
  assert.equal(await names('lab'), ['lab', 'other']);
  assert.is((await told('GET', '/other', {}, 'lab'))[0], 200);
  const [, without] = await told('DELETE', '/other/trust/lab', {}, 'other');
  assert.equal((without as View)['trust'], { full: ['system'] });
  assert.equal(await names('lab'), ['lab']);
});

test('trusting twice, no more trusting who is not, and the system, change nothing', async () => {
  const trusts = async (...[method, path, body]: [Method, string, object?]) => {
    const [status, view] = await told(method, path, body, 'lab');
    assert.is(status, 200);
    return ((view as View)['trust'] as View)['full'];
  };
  const twice = { external_namespace: 'nobody-yet' };
  await trusts('POST', '/lab/trust', twice);
  assert.equal(await trusts('POST', '/lab/trust', twice), ['system', 'nobody-yet']);
  assert.equal(await trusts('DELETE', '/lab/trust/system'), ['system', 'nobody-yet']);
  assert.equal(await trusts('DELETE', '/lab/trust/stranger'), ['system', 'nobody-yet']);
  assert.equal(await trusts('DELETE', '/lab/trust/nobody-yet'), ['system']);
  const none = await told('POST', '/lab/trust', {}, 'lab');
  assert.equal(none, [400, 'no external namespace specified']);
});

test('keys are added, replaced and removed; tokens of old ones die', async () => {
  const keys = '/made/keys';
  assert.equal(await told('POST', keys, { key_name: 'laptop', key: 'one' }), [200, 'laptop']);
  assert.equal(await told('GET', keys), [200, ['k', 'laptop']]);
  assert.is(await login('made', 'one'), 200);
  assert.equal(await told('PUT', `${keys}/laptop`, { key: 'two' }), [200, 'laptop']);
  assert.is(await login('made', 'one'), 401);
  assert.equal(await told('PUT', keys, { key_name: 'laptop', key: 'three' }), [200, 'laptop']);
  assert.is(await login('made', 'three'), 200);
  assert.equal(await told('DELETE', `${keys}/laptop`), [200, null]);
  assert.is(await login('made', 'three'), 401);
  const gone = [404, 'key name not found in namespace'];
  assert.equal(await told('DELETE', `${keys}/laptop`), gone);
  assert.equal(await told('PUT', `${keys}/laptop`, { key: 's' }), [404, 'key does not exist']);
  for (const [body, status, text] of [
    [{ key: 's' }, 400, 'no key name specified'],
    [{ key_name: 'x' }, 400, 'no key specified'],
    [{ key_name: '_service_key', key: 's' }, 403, 'illegal key name'],
    [{ key_name: 'x', key: ['s'] }, 400, 'key is not a string'],
  ] as const)
    assert.equal(await told('POST', keys, body), [status, text]);
});

test('one is deleted when nothing runs in it; its artifacts go with it, its name is free again', async () => {
  assert.equal(await told('DELETE', '/system'), [403, 'you cannot delete the system namespace']);
  assert.equal(await told('DELETE', '/made', {}, 'lab'), [401, 'unauthorized']);
  const as = 'system' as const;
  const network = { name: 'in-made', netblock: '10.90.0.0/24', namespace: 'made' };
  const { uuid } = await world.ok('POST', '/networks', { as, body: network });
  const inUse = [400, 'you cannot delete a namespace with networks'];
  assert.equal(await told('DELETE', '/made'), inUse);
  await world.ok('DELETE', `/networks/${String(uuid)}`, { as });
  const body = { url: 'http://images.test/made.qcow2', namespace: 'made' };
  const artifact = await world.ok('POST', '/artifacts', { as, body });
  await world.settled(`/artifacts/${String(artifact['uuid'])}`, 'created', as);
  assert.equal(await told('DELETE', '/made'), [200, null]);
  await world.settled(`/artifacts/${String(artifact['uuid'])}`, 'deleted', as);
  assert.equal(await told('GET', '/made'), [404, 'namespace not found']);
  assert.equal(await told('DELETE', '/made'), [404, 'namespace not found']);
  assert.is(await login('made', 's'), 404);
  const [, again] = await told('POST', '', { namespace: 'made' });
  assert.equal((again as View)['keys'], []);
});

test('its metadata is like that of other objects', async () => {
  const at = '/lab/metadata';
  assert.equal(await told('PUT', `${at}/owner`, { value: 'ops' }, 'lab'), [200, null]);
  assert.equal(await told('GET', at, {}, 'lab'), [200, { owner: 'ops' }]);
  assert.equal(await told('DELETE', `${at}/owner`, {}, 'lab'), [200, null]);
  assert.is((await told('PUT', `${at}/owner`, { value: 'ops' }, 'other'))[0], 404);
});

test.run();

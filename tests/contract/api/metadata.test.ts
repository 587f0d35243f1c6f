// Metadata of instances, networks, interfaces and nodes (contract: conventions 10).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NODE, openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';

const test = suite('api: metadata');
let world: ApiWorld;
const paths: string[] = [];
test.before(async () => {
  world = await openApiWorld();
  await world.network({ name: 'front', netblock: '10.20.0.0/24' });
  const made = await world.instance({ name: 'vm', network: [{ network_uuid: 'front' }] });
  const uuid = String(made['uuid']);
  const view = await world.settled(`/instances/${uuid}`, 'created');
  const [nic] = view['interfaces'] as View[];
  paths.push('/instances/vm', '/networks/front', `/interfaces/${String(nic?.['uuid'])}`);
});
test.after(() => world.close());

type Tenant = 'lab' | 'other' | 'system';
const of = (path: string) => `${path}/metadata`;
const read = (path: string, as: Tenant = 'lab') => world.call('GET', of(path), { as });

async function told(
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body: object = {},
  as: Tenant = 'lab',
): Promise<[number, unknown]> {
  const { status, json } = await world.call(method, path, { body, as });
  return [status, status === 200 ? json : (json as View)['error']];
}

test('a pair is set, overwritten and removed, and is of any JSON', async () => {
  for (const path of paths) {
    assert.equal((await read(path)).json, {}, path);
    assert.equal(await told('POST', of(path), { key: 'a', value: 'b' }), [200, null]);
    assert.equal(await told('PUT', `${of(path)}/a`, { value: { deep: [1, null] } }), [200, null]);
    const { text } = await read(path);
    assert.match(text, '"a":{"deep":[1,null]}');
    assert.equal(await told('DELETE', `${of(path)}/a`), [200, null]);
    assert.equal(await told('DELETE', `${of(path)}/a`), [200, null], 'not there any more');
    assert.equal((await read(path)).json, {}, path);
  }
});

test('a key and a value are needed, whatever passes for none', async () => {
  for (const path of paths) {
    for (const body of [{}, { key: '', value: 1 }, { key: null, value: 1 }])
      assert.equal(await told('POST', of(path), body), [400, 'no key specified']);
    for (const value of [undefined, null, '', 0, false, [], {}])
      assert.equal(await told('POST', of(path), { key: 'k', value }), [400, 'no value specified']);
    const odd = { key: '__proto__', value: 1 };
    assert.equal(await told('POST', of(path), odd), [400, '"__proto__" cannot be a key']);
  }
});

test('what scheduling reads of an instance has to make sense', async () => {
  const instance = of('/instances/vm');
  const rows = [
    ['tags', 'web', 'value for "tags" key should be a JSON list'],
    ['affinity', ['web'], 'value for "affinity" key should be a valid JSON dictionary'],
    ['affinity', { web: 'much' }, 'affinity dictionary values should be integers'],
  ] as const;
  for (const [key, value, error] of rows)
    assert.equal(await told('PUT', `${instance}/${key}`, { value }), [400, error]);
  assert.equal(await told('PUT', `${instance}/tags`, { value: ['web'] }), [200, null]);
  assert.equal(await told('PUT', `${instance}/affinity`, { value: { web: '-5' } }), [200, null]);
  assert.equal(await told('PUT', `${of('/networks/front')}/tags`, { value: 'web' }), [200, null]);
});

test('another tenant’s object reads like a missing one', async () => {
  for (const path of paths) {
    assert.is((await read(path, 'other')).status, 404, path);
    assert.is((await told('POST', of(path), { key: 'a', value: 'b' }, 'other'))[0], 404);
    assert.is((await told('DELETE', `${of(path)}/a`, {}, 'other'))[0], 404);
  }
  assert.is((await read('/instances/nobody')).status, 404);
});

test('a node’s is for the system namespace, and is looked up after key and value', async () => {
  const node = of(`/nodes/${NODE}`);
  assert.is((await world.call('GET', node, { as: 'lab' })).status, 401);
  assert.equal(await told('PUT', `${node}/rack`, { value: 'r1' }, 'system'), [200, null]);
  assert.equal((await world.call('GET', node, { as: 'system' })).json, { rack: 'r1' });
  const nobody = of('/nodes/nobody');
  assert.equal(await told('POST', nobody, { key: 'k' }, 'system'), [400, 'no value specified']);
  const missing = await told('POST', nobody, { key: 'k', value: 1 }, 'system');
  assert.equal(missing, [404, 'node not found']);
});

test('a deleted object keeps taking it, by its UUID', async () => {
  const uuid = String((await world.instance({ name: 'gone' }))['uuid']);
  await world.settled(`/instances/${uuid}`, 'created');
  await world.ok('DELETE', `/instances/${uuid}`);
  await world.settled(`/instances/${uuid}`, 'deleted');
  assert.equal(await told('PUT', `/instances/${uuid}/metadata/why`, { value: 'old' }), [200, null]);
  assert.equal((await read(`/instances/${uuid}`)).json, { why: 'old' });
});

test.run();

// DELETE /networks (contract: networks 2.5).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, type ApiWorld } from '../../support/api-world.ts';

const test = suite('api: delete all networks');
let world: ApiWorld;
test.before.each(async () => {
  world = await openApiWorld();
});
test.after.each(() => world.close());

const ALL = { confirm: true } as const;

async function network(name: string, as: 'lab' | 'other' = 'lab'): Promise<string> {
  return String((await world.network({ name }, as))['uuid']);
}

async function remove(body: object, as: 'lab' | 'system' = 'lab') {
  return world.call('DELETE', '/networks', { as, body });
}

test('the checks, in their order', async () => {
  const unconfirmed = { error: 'parameter confirm is not set true', status: 400 };
  for (const confirm of [undefined, null, false, 1, 'true'])
    assert.equal((await remove({ confirm, namespace: 'other' })).json, unconfirmed);
  const nowhere = { error: 'namespace not found', status: 404 };
  assert.equal((await remove({ ...ALL, namespace: 'nowhere' })).json, nowhere);
  const foreign = { error: 'you cannot delete other namespaces', status: 401 };
  for (const namespace of ['other', 'system'])
    assert.equal((await remove({ ...ALL, namespace })).json, foreign);
  const missing = { error: 'system user must specify parameter namespace', status: 400 };
  assert.equal((await remove(ALL, 'system')).json, missing);
});

test('deletes what is the caller’s, and lists it', async () => {
  const mine = await network('mine');
  const theirs = await network('theirs', 'other');
  assert.equal((await remove(ALL)).json, [mine]);
  await world.settled(`/networks/${mine}`, 'deleted');
  assert.is(world.read.networks.get(theirs)?.state.phase, 'created');
  assert.equal((await remove({ ...ALL, namespace: 'lab' })).json, [], 'deleted ones are not meant');
});

test('what is in use is left alone, and the answer says so', async () => {
  const unused = await network('unused');
  const used = await network('used');
  await world.instance({ name: 'user', network: [{ network_uuid: 'used' }] });
  const reply = await remove({ ...ALL, clean_wait: false });
  const error = { deleted: [unused], unable: [used] };
  assert.equal([reply.status, reply.json], [403, { error, status: 403 }]);
  assert.is(world.read.networks.get(used)?.state.phase, 'created');
  await world.settled(`/networks/${unused}`, 'deleted');
});

test('with clean_wait what is in use waits for its last interface', async () => {
  const used = await network('used');
  await world.instance({ name: 'user', network: [{ network_uuid: 'used' }] });
  assert.equal((await remove({ ...ALL, clean_wait: true })).json, [used]);
  await world.settled(`/networks/${used}`, 'delete-wait');
  await world.ok('DELETE', '/instances/user');
  await world.settled(`/networks/${used}`, 'deleted');
});

test('system names one namespace, or with its own name all of them', async () => {
  const mine = await network('mine');
  const theirs = await network('theirs', 'other');
  const one = await remove({ ...ALL, namespace: 'other' }, 'system');
  assert.equal(one.json, [theirs]);
  const again = await network('again', 'other');
  const all = await remove({ ...ALL, namespace: 'system' }, 'system');
  assert.equal((all.json as string[]).toSorted(), [mine, again].toSorted());
  assert.is(world.read.networks.get('floating')?.state.phase, 'initial', 'the pool stays');
});

test.run();

// Hot plug, the reboot of old, and deleting everything of a namespace (contract: instances 7.4, 8.2; clients 8).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  openApiWorld,
  refusedByMachine,
  type ApiWorld,
  type View,
} from '../../support/api-world.ts';

const test = suite('api: hot plug, delete all');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
  await world.network({ name: 'front', netblock: '10.20.0.0/24' });
  await world.network({ name: 'small', netblock: '10.30.0.0/29' });
});
test.after(() => world.close());

async function made(body: View = {}, as: 'lab' | 'other' = 'lab'): Promise<string> {
  const { uuid } = await world.instance(body, as);
  await world.settled(`/instances/${String(uuid)}`, 'created', as);
  return String(uuid);
}
const plug = (uuid: string, network: unknown) =>
  world.call('POST', `/instances/${uuid}/interfaces`, { body: { network } });
const nicsOf = async (uuid: string) =>
  (await world.ok(`GET`, `/instances/${uuid}`))['interfaces'] as View[];

test('an instance gets one more interface, address and order decided, which gets to `created`', async () => {
  const uuid = await made({ network: [{ network_uuid: 'front' }] });
  const { status, json } = await plug(uuid, { network_uuid: 'front', address: '10.20.0.99' });
  const view = json as View;
  assert.is(status, 200);
  assert.equal([view['order'], view['ipv4'], view['instance_uuid']], [1, '10.20.0.99', uuid]);
  assert.match(String(view['macaddr']), /^02:00:00(:[0-9a-f]{2}){3}$/);
  await world.settled(`/interfaces/${String(view['uuid'])}`, 'created');
  assert.equal(
    (await nicsOf(uuid)).map((nic) => nic['order']),
    [0, 1],
  );
  const events = await world.ok<View[]>('GET', `/instances/${uuid}/events`);
  assert.ok(events.some((event) => event['message'] === 'hot plugged interface'));
});

test('a plugged interface that is to float has its floating address', async () => {
  const uuid = await made();
  const { status, json } = await plug(uuid, { network_uuid: 'front', float: true });
  assert.is(status, 200);
  const view = await world.settled(`/interfaces/${String((json as View)['uuid'])}`, 'created');
  assert.match(String(view['floating']), /^192\.0\.2\.\d+$/);
  await world.ok('DELETE', `/instances/${uuid}`);
  await world.settled(`/instances/${uuid}`, 'deleted');
});

test('the machine is told of the domain with it', async () => {
  const uuid = await made();
  const told: number[] = [];
  world.machine.before = (resource, spec) => {
    if (resource === 'domain') told.push((spec?.['nics'] as unknown[] | undefined)?.length ?? -1);
  };
  const { json } = await plug(uuid, { network_uuid: 'front' });
  await world.settled(`/interfaces/${String((json as View)['uuid'])}`, 'created');
  world.machine.before = () => undefined;
  assert.is(told.at(-1), 1);
});

const REFUSED: readonly (readonly [string, unknown, number, RegExp])[] = [
  ['null', null, 400, /network specification should contain JSON objects/],
  ['a list', [], 400, /network specification should contain JSON objects/],
  ['no network', {}, 400, /network specification is missing network_uuid/],
  ['an unknown network', { network_uuid: 'nowhere' }, 404, /network nowhere not found/],
  ['an address outside', { network_uuid: 'front', address: '10.99.0.1' }, 400, /outside the range/],
  [
    'a taken address',
    { network_uuid: 'front', address: '10.20.0.1' },
    409,
    /address 10.20.0.1 in use/,
  ],
];
for (const [what, network, status, text] of REFUSED) {
  test(`${what} is refused with ${status}, and leaves the instance as it was`, async () => {
    const uuid = await made();
    const reply = await plug(uuid, network);
    assert.is(reply.status, status);
    assert.match(String((reply.json as View)['error']), text);
    assert.equal(await nicsOf(uuid), []);
    assert.is((await world.ok('GET', `/instances/${uuid}`))['state'], 'created');
  });
}

test('a full network is 507, and leaves no half interface behind', async () => {
  const uuid = await made();
  for (let count = 0; count < 5; count++) {
    assert.is((await plug(uuid, { network_uuid: 'small' })).status, 200);
  }
  const reply = await plug(uuid, { network_uuid: 'small' });
  assert.is(reply.status, 507);
  assert.is((await nicsOf(uuid)).length, 5);
  assert.is((await world.ok<View[]>('GET', '/networks/small/interfaces')).length, 5);
});

test('another tenant’s network reads like a missing one, another’s instance too', async () => {
  const theirs = await world.network({ name: 'theirs', netblock: '10.40.0.0/24' }, 'other');
  const uuid = await made();
  assert.is((await plug(uuid, { network_uuid: theirs['uuid'] })).status, 404);
  const foreign = await made({}, 'other');
  assert.is((await plug(foreign, { network_uuid: 'front' })).status, 404);
});

test('an instance that is not created is 406, which clients wait for', async () => {
  world.machine.before = (resource) => {
    if (resource === 'domain') throw refusedByMachine('no');
  };
  const { uuid } = await world.instance();
  const reply = await plug(String(uuid), { network_uuid: 'front' });
  world.machine.before = () => undefined;
  assert.is(reply.status, 406);
  assert.match(String((reply.json as View)['error']), 'instance in invalid state for hot plug');
});

test('POST .../reboot asks the guest, with `hard` resets it', async () => {
  const uuid = await made();
  const counts: unknown[] = [];
  world.machine.before = (resource, spec) => {
    if (resource === 'domain') counts.push([spec?.['softReboots'], spec?.['hardReboots']]);
  };
  assert.is((await world.call('POST', `/instances/${uuid}/reboot`)).text, 'null\n');
  assert.is(
    (await world.call('POST', `/instances/${uuid}/reboot`, { body: { hard: true } })).status,
    200,
  );
  world.machine.before = () => undefined;
  assert.equal(counts, [
    [1, 0],
    [1, 1],
  ]);
});

const DELETE_ALL: readonly (readonly ['lab' | 'system', object, number, string])[] = [
  ['lab', {}, 400, 'parameter confirm is not set true'],
  ['lab', { confirm: 1 }, 400, 'parameter confirm is not set true'],
  ['lab', { confirm: true, namespace: 'other' }, 401, 'you cannot delete other namespaces'],
  ['lab', { confirm: true, namespace: 'nowhere' }, 404, 'namespace not found'],
  ['system', { confirm: true }, 400, 'system user must specify parameter namespace'],
];
for (const [as, body, status, error] of DELETE_ALL) {
  test(`delete all by ${as} with ${JSON.stringify(body)} is ${status}`, async () => {
    assert.equal((await world.call('DELETE', '/instances', { as, body })).json, { error, status });
  });
}

test('delete all takes the namespace’s own, each readable until it is deleted; `system` is everybody’s', async () => {
  const mine = await made();
  const theirs = await made({}, 'other');
  const ids = await world.ok<string[]>('DELETE', '/instances', { body: { confirm: true } });
  assert.ok(ids.includes(mine));
  assert.not(ids.includes(theirs));
  for (const id of ids) await world.settled(`/instances/${id}`, 'deleted');
  assert.equal(
    await world.ok('DELETE', '/instances', { body: { confirm: true, namespace: 'lab' } }),
    [],
  );
  const body = { confirm: true, namespace: 'system' };
  const rest = await world.ok<string[]>('DELETE', '/instances', { as: 'system', body });
  assert.ok(rest.includes(theirs) && !rest.includes(mine));
  await world.settled(`/instances/${theirs}`, 'deleted', 'other');
});

test.run();

// Network routes (contract: networks 1 and 2, conventions 7).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';

const test = suite('api: networks');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

async function refused(body: object, status: number, error: string | RegExp): Promise<void> {
  const reply = await world.call('POST', '/networks', { body });
  const text = String((reply.json as View)['error']);
  assert.is(reply.status, status, `${JSON.stringify(body)}: ${text}`);
  if (typeof error === 'string') assert.is(text, error);
  else assert.match(text, error);
}

test('the view has all members of the contract, and no others', async () => {
  const body = { name: 'front', netblock: '10.20.0.0/24', provide_dns: true };
  const view = await world.ok('POST', '/networks', { body });
  const { uuid, vxlan_id: vni } = view;
  assert.ok(Number.isInteger(vni) && Number(vni) >= 1 && Number(vni) < 2 ** 24);
  const expected = {
    uuid,
    name: 'front',
    namespace: 'lab',
    netblock: '10.20.0.0/24',
    provide_dhcp: true,
    provide_nat: true,
    provide_dns: true,
    floating_gateway: null,
    vxlan_id: vni,
    state: 'initial',
    metadata: {},
    version: 6,
  };
  assert.equal(view, expected);
  const ready = await world.settled(`/networks/${String(uuid)}`, 'created');
  assert.match(String(ready['floating_gateway']), /^192\.0\.2\.\d+$/);
  assert.equal({ ...ready, floating_gateway: null, state: 'initial' }, expected);
});

test('services can be switched off, and null means the default', async () => {
  const off = await world.network({ provide_dhcp: false, provide_nat: false, provide_dns: null });
  assert.equal(
    [off['provide_dhcp'], off['provide_nat'], off['provide_dns']],
    [false, false, false],
  );
  assert.is(off['floating_gateway'], null);
  const defaults = await world.network({ provide_dhcp: null, provide_nat: null });
  assert.equal([defaults['provide_dhcp'], defaults['provide_nat']], [true, true]);
});

test('a name is optional, free text, and comes back as it was', async () => {
  const names = [
    '',
    'a/b',
    'o\'hara "q"',
    'line\nbreak',
    '\u0000',
    'ünïcødé ☃',
    '../..',
    '__proto__',
    'constructor',
  ];
  for (const name of names) assert.is((await world.network({ name }))['name'], name);
  assert.is((await world.network())['name'], null);
  for (const name of names.slice(1)) {
    const found = await world.ok('GET', `/networks/${encodeURIComponent(name)}`);
    assert.is(found['name'], name);
  }
});

test('the checks of a create, in their order', async () => {
  await refused({ netblock: '10.0.0.0/24', namespace: 'nowhere' }, 404, 'namespace not found');
  await refused({ namespace: 'nowhere' }, 404, 'namespace not found');
  for (const netblock of [
    undefined,
    null,
    7,
    [],
    {},
    '',
    'ten',
    '10.0.0.1/24',
    '10.0.0.0/33',
    'fd00::/64',
    '10.0.0.0/024',
  ]) {
    await refused({ netblock, namespace: 'other' }, 400, /^cannot parse netblock: /);
  }
  await refused(
    { netblock: '10.0.0.0/30', namespace: 'other' },
    400,
    'network is below minimum size of /29',
  );
  await refused(
    { netblock: '10.0.0.0', namespace: 'other' },
    400,
    'network is below minimum size of /29',
  );
  const foreign = 'only admins can create resources in a different namespace';
  await refused({ netblock: '10.0.0.0/24', namespace: 'other' }, 401, foreign);
  const theirs = await world.network({ namespace: 'other' }, 'system');
  assert.is(theirs['namespace'], 'other');
});

test('is found by UUID and by name; another tenant’s reads like a missing one', async () => {
  const made = await world.network({ name: 'findable' });
  assert.equal(await world.ok('GET', '/networks/findable'), made);
  const notFound = { error: 'network not found', status: 404 };
  for (const path of ['', '/interfaces', '/addresses', '/events', '/metadata']) {
    const reply = await world.call('GET', `/networks/${String(made['uuid'])}${path}`, {
      as: 'other',
    });
    assert.equal(reply.json, notFound, path);
  }
  const reply = await world.call('DELETE', `/networks/${String(made['uuid'])}`, { as: 'other' });
  assert.equal(reply.json, notFound);
});

test('an ambiguous name is a 400', async () => {
  await Promise.all([world.network({ name: 'twin' }), world.network({ name: 'twin' })]);
  const error = 'multiple networks have the name "twin" in namespace "lab"';
  assert.equal((await world.call('GET', '/networks/twin')).json, { error, status: 400 });
});

test('a name with a slash is not another namespace’s', async () => {
  world.put('namespace', 'a', world.read.namespaces.get('other')?.state);
  world.put('namespace', 'a/b', world.read.namespaces.get('other')?.state);
  await world.ok('POST', '/networks', {
    as: 'system',
    body: { netblock: '10.0.0.0/24', namespace: 'a/b', name: 'c' },
  });
  assert.equal(world.read.networks.named('b/c', 'a'), []);
  assert.is(world.read.networks.named('c', 'a/b').length, 1);
});

test('lists show one’s own active networks, never the floating pool', async () => {
  const ours = await world.network({ name: 'ours' });
  const theirs = await world.network({ name: 'theirs' }, 'other');
  const uuids = async (as: 'lab' | 'system', body: object = {}) =>
    (await world.ok<View[]>('GET', '/networks', { as, body })).map((view) => view['uuid']);
  assert.ok((await uuids('lab')).includes(ours['uuid']));
  assert.not.ok((await uuids('lab', { all: true })).includes(theirs['uuid']));
  const all = await uuids('system', { all: true });
  assert.ok(all.includes(theirs['uuid']));
  assert.not.ok(all.includes('floating'));
});

test('an unused network goes at once, and is readable by UUID afterwards', async () => {
  const { uuid } = await world.network({ name: 'unused' });
  const view = await world.ok('DELETE', '/networks/unused');
  assert.is(view['uuid'], uuid);
  const gone = await world.settled(`/networks/${String(uuid)}`, 'deleted');
  assert.is(gone['floating_gateway'], null);
  assert.is((await world.call('GET', '/networks/unused')).status, 404);
  const again = await world.call('DELETE', `/networks/${String(uuid)}`);
  assert.equal([again.status, again.text], [200, 'null\n']);
});

test('a network in use waits in delete-wait for its last interface', async () => {
  const { uuid } = await world.network({ name: 'used' });
  const path = `/networks/${String(uuid)}`;
  const instance = await world.instance({ name: 'user', network: [{ network_uuid: 'used' }] });
  assert.is((await world.ok('DELETE', path))['state'], 'delete-wait');
  assert.is((await world.ok('DELETE', path))['state'], 'delete-wait', 'again, harmlessly');
  assert.is((await world.ok('GET', '/networks/used'))['state'], 'delete-wait');
  await world.ok('DELETE', `/instances/${String(instance['uuid'])}`);
  await world.settled(path, 'deleted');
});

test('the namespace of a delete is a safety check', async () => {
  const { uuid } = await world.network({ name: 'safe' });
  const error = async (namespace: string, as: 'lab' | 'system') =>
    (await world.call('DELETE', `/networks/${String(uuid)}`, { as, body: { namespace } })).json;
  assert.equal(await error('nowhere', 'lab'), { error: 'namespace not found', status: 404 });
  assert.equal(await error('other', 'system'), { error: 'network not in namespace', status: 404 });
});

test('the floating pool is system’s to look at, and nobody’s to delete', async () => {
  const pool = await world.ok('GET', '/networks/floating', { as: 'system' });
  const {
    uuid,
    name,
    namespace,
    vxlan_id: vni,
    state,
    provide_dhcp: dhcp,
    provide_nat: nat,
  } = pool;
  assert.equal(
    [uuid, name, namespace, vni, state, dhcp, nat],
    ['floating', 'floating', null, 0, 'initial', false, false],
  );
  assert.is((await world.call('GET', '/networks/floating')).status, 404);
  const refused = await world.call('DELETE', '/networks/floating', { as: 'system' });
  assert.equal(refused.json, { error: 'you cannot delete the floating network', status: 403 });
  assert.is((await world.call('DELETE', '/networks/floating')).status, 404);
  const tenants = await world.network({ name: 'floating' });
  assert.is((await world.ok('GET', '/networks/floating'))['uuid'], tenants['uuid']);
  assert.is((await world.ok('GET', '/networks/floating', { as: 'system' }))['uuid'], 'floating');
});

test('interfaces are those that are on it now', async () => {
  const { uuid } = await world.network({ name: 'busy' });
  const instance = await world.instance({ name: 'guest', network: [{ network_uuid: 'busy' }] });
  const path = `/networks/${String(uuid)}/interfaces`;
  const [nic, ...others] = await world.ok<View[]>('GET', path);
  assert.is(others.length, 0);
  assert.is(nic?.['instance_uuid'], instance['uuid']);
  await world.ok('DELETE', `/instances/${String(instance['uuid'])}`);
  await world.settled(`/instances/${String(instance['uuid'])}`, 'deleted');
  assert.equal(await world.ok('GET', path), []);
});

test('addresses are listed by text, with who holds them, also in the halo', async () => {
  const { uuid } = await world.network({ name: 'addressed', netblock: '10.60.0.0/24' });
  const ask = (address: string) => ({ network: [{ network_uuid: 'addressed', address }] });
  const ten = await world.instance({ name: 'ten', ...ask('10.60.0.10') });
  const nine = await world.instance({ name: 'nine', ...ask('10.60.0.9') });
  await world.ok('DELETE', `/instances/${String(nine['uuid'])}`);
  await world.settled(`/instances/${String(nine['uuid'])}`, 'deleted');
  const addresses = await world.ok<View[]>('GET', `/networks/${String(uuid)}/addresses`);
  const rows = addresses.map(({ address, user, type, comment }) => [address, user, type, comment]);
  assert.equal(rows, [
    ['10.60.0.0', ['network', uuid], 'network', ''],
    ['10.60.0.1', ['network', uuid], 'gateway', ''],
    ['10.60.0.10', ['instance', ten['uuid']], 'instance', ''],
    ['10.60.0.255', ['network', uuid], 'broadcast', ''],
    ['10.60.0.9', null, 'deletion-halo', ''],
  ]);
  for (const { when } of addresses) assert.ok(Math.abs(Number(when) * 1000 - Date.now()) < 60_000);
});

test('metadata of a network can be read: the client does so after each create', async () => {
  const { uuid } = await world.network({ name: 'labelled' });
  assert.equal(await world.ok('GET', `/networks/${String(uuid)}/metadata`), {});
});

test('events of a network can be read', async () => {
  const { uuid } = await world.network({ name: 'eventful' });
  const events = await world.ok<View[]>('GET', `/networks/${String(uuid)}/events`, {
    body: { limit: 1 },
  });
  assert.equal(
    events.map((event) => event['message']),
    ['ready'],
  );
});

test.run();

// Network routes (contract: networks 1 and 2, conventions 7).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { waitUntil } from '../../support/wait.ts';
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

test('system deletes by name what several namespaces have, when it names one of them', async () => {
  const name = 'everywhere';
  await world.network({ name, netblock: '10.90.0.0/24' });
  const others = await world.network({ name, netblock: '10.91.0.0/24' }, 'other');
  const as = 'system';
  assert.is((await world.call('DELETE', `/networks/${name}`, { as })).status, 400);
  for (const namespace of ['system', 'nowhere']) {
    const reply = await world.call('DELETE', `/networks/${name}`, { as, body: { namespace } });
    assert.is(reply.status, 400);
  }
  const gone = await world.ok('DELETE', `/networks/${name}`, { as, body: { namespace: 'other' } });
  assert.is(gone['uuid'], others['uuid']);
  await world.settled(`/networks/${String(others['uuid'])}`, 'deleted', 'other');
  assert.is((await world.ok('GET', `/networks/${name}`))['namespace'], 'lab');
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

const addresses = (as: 'system' | 'lab', network: unknown) =>
  world.ok<View[]>('GET', `/networks/${String(network)}/addresses`, { as });

test('a routed address is answered, held in the pool, and given back once', async () => {
  const { uuid } = await world.network({ name: 'routing' });
  const address = await world.ok<unknown>('POST', '/networks/routing/route');
  assert.match(String(address), /^192\.0\.2\.\d+$/);
  const held = async () =>
    (await addresses('system', 'floating')).find((one) => one['address'] === address);
  const { type, user } = (await held()) ?? {};
  assert.equal([type, user], ['routed', ['network', uuid]]);
  const path = `/networks/routing/route/${String(address)}`;
  const reply = await world.call('DELETE', path);
  assert.equal([reply.status, reply.text], [200, 'null\n']);
  assert.is((await held())?.['type'], 'deletion-halo');
  const notRouted = { error: 'address not routed', status: 404 };
  assert.equal((await world.call('DELETE', path)).json, notRouted);
});

test('what is not routed by this network is not unrouted by it', async () => {
  const gateway = String((await world.network({ name: 'one' }))['floating_gateway']);
  await world.network({ name: 'two' });
  const other = String(await world.ok<unknown>('POST', '/networks/two/route'));
  const unroute = async (address: string) =>
    (await world.call('DELETE', `/networks/one/route/${encodeURIComponent(address)}`)).json;
  const foreign = { error: 'address not routed by this network', status: 403 };
  assert.equal(await unroute(other), foreign);
  assert.equal(await unroute(gateway), foreign);
  for (const address of ['203.0.113.77', 'nonsense', '__proto__', '../one'])
    assert.is(((await unroute(address)) as View)['status'], 404, address);
  await world.ok('DELETE', '/networks/two');
  await world.settled(`/networks/${await idOf('two')}`, 'deleted');
  const left = await addresses('system', 'floating');
  assert.is(left.find((one) => one['address'] === other)?.['type'], 'deletion-halo');
});

async function idOf(name: string): Promise<string> {
  const all = [...world.read.networks.all()].filter(({ state }) => state.name === name);
  return all.at(-1)?.id ?? '';
}

test('DNS entries are added, replaced and removed, and reach the segment', async () => {
  const specs: View[] = [];
  world.machine.before = (resource, spec) => {
    if (resource === 'segment' && spec !== null) specs.push(spec);
  };
  await world.network({ name: 'named', provide_dns: true });
  await world.instance({ name: 'speaker', network: [{ network_uuid: 'named' }] });
  const post = (body: object) => world.call('POST', '/networks/named/dns', { body });
  assert.equal((await post({ name: 'WWW', value: '10.0.0.7' })).text, 'null\n');
  await post({ name: 'www', value: '10.0.0.8' });
  await post({ name: 'db.example', value: '10.0.0.9' });
  const remove = { name: 'db.example' };
  for (const _ of [1, 2])
    assert.is((await world.call('DELETE', '/networks/named/dns', { body: remove })).text, 'null\n');
  const wanted = JSON.stringify([{ name: 'www', address: '10.0.0.8' }]);
  const isThere = () => JSON.stringify(specs.at(-1)?.['dnsEntries']) === wanted;
  await waitUntil('the segment has the entry', isThere, 10_000);
  world.machine.before = () => undefined;
});

test('what is no name, no address, or has no DNS is refused', async () => {
  await world.network({ name: 'strict', provide_dns: true });
  await world.network({ name: 'dumb' });
  const error = async (network: string, body: object) => {
    const { json } = await world.call('POST', `/networks/${network}/dns`, { body });
    return json;
  };
  const badName = { error: 'invalid DNS name', status: 400 };
  const names = ['', 'a b', 'a\n10.0.0.1 x', '10.0.0.1', 'a:53', '-x', 'a/b', 'ä', 'a;b', '#'];
  for (const name of [...names, undefined, null])
    assert.equal(await error('strict', { name, value: '10.0.0.1' }), badName, String(name));
  for (const value of ['', 'x', '10.0.0.1\naddress=/#/6.6.6.6', '::1', undefined])
    assert.is(((await error('strict', { name: 'a', value })) as View)['status'], 400);
  const noDNS = { error: 'network does not provide DNS', status: 400 };
  assert.equal(await error('dumb', { name: 'a', value: '10.0.0.1' }), noDNS);
});

test('ping answers what was printed, line by line', async () => {
  await world.network({ name: 'pinged' });
  const ping = (address: string) => world.call('GET', `/networks/pinged/ping/${address}`);
  const nobody = (await ping('10.0.0.9')).json as { stdout: string[]; stderr: string[] };
  assert.equal([nobody.stdout, nobody.stderr.length], [[''], 1], 'on no machine yet');
  await world.instance({ name: 'answering', network: [{ network_uuid: 'pinged' }] });
  await waitUntil('the network is on a machine', async () => {
    const { stdout } = (await ping('10.0.0.9')).json as { stdout: string[] };
    return stdout.includes('10 packets transmitted, 10 received, 0% packet loss');
  });
  const invalid = { error: 'invalid address', status: 400 };
  for (const address of ['x', '10.0.0', '10.0.0.9;id', '-f', '%2e%2e'])
    assert.equal((await ping(encodeURIComponent(address))).json, invalid, address);
  const outside = { error: 'ping request for address outside network block', status: 400 };
  assert.equal((await ping('10.9.0.9')).json, outside);
});

test('a network that is waiting for its end, and the pool, are not ready for any of it', async () => {
  const { uuid } = await world.network({ name: 'waiting', provide_dns: true });
  await world.instance({ name: 'last', network: [{ network_uuid: 'waiting' }] });
  await world.ok('DELETE', '/networks/waiting');
  const calls = [
    ['POST', 'route', {}],
    ['DELETE', 'route/192.0.2.1', {}],
    ['POST', 'dns', { name: 'a', value: '10.0.0.1' }],
    ['DELETE', 'dns', { name: 'a' }],
    ['GET', 'ping/10.0.0.1', {}],
  ] as const;
  for (const [method, path, body] of calls) {
    const waiting = await world.call(method, `/networks/waiting/${path}`, { body });
    const error = `network ${String(uuid)} is not ready (delete-wait)`;
    assert.equal(waiting.json, { error, status: 406 }, path);
    const pool = await world.call(method, `/networks/floating/${path}`, { body, as: 'system' });
    const poolError = 'network floating is not ready (initial)';
    assert.equal(pool.json, { error: poolError, status: 406 }, path);
    const hidden = await world.call(method, `/networks/floating/${path}`, { body, as: 'other' });
    assert.is(hidden.status, 404, path);
  }
});

test('a network in error can be deleted', async () => {
  const { uuid } = await world.network({ name: 'broken' });
  const state = world.read.networks.get(String(uuid))?.state;
  const small = { ...state, phase: 'initial', vni: null, vniTries: 31 };
  world.put('network', 'b0000000-0000-4000-8000-000000000000', { ...small, phase: 'error' });
  const path = '/networks/b0000000-0000-4000-8000-000000000000';
  assert.is((await world.ok('GET', path))['state'], 'error');
  await world.ok('DELETE', path);
  await world.settled(path, 'deleted');
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

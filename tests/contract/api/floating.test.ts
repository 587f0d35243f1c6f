// Floating addresses of interfaces (contract: networks 3.4, 3.5, 4 and 7; instances 3.2).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FLOATING } from '../../../actors/network/state.ts';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('api: floating addresses');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

/** The interface of a new instance on a new network, once it is there. */
async function guest(name: string, spec: View = {}, network: View = {}): Promise<string> {
  await world.network({ name, ...network });
  const view = await world.instance({ name, network: [{ network_uuid: name, ...spec }] });
  const [nic] = view['interfaces'] as View[];
  return `/interfaces/${String(nic?.['uuid'])}`;
}

async function floatingOf(path: string): Promise<unknown> {
  return (await world.ok('GET', path))['floating'];
}

async function inPool(address: unknown): Promise<View | undefined> {
  const all = await world.ok<View[]>('GET', '/networks/floating/addresses', { as: 'system' });
  return all.find((one) => one['address'] === address);
}

test('is there as soon as the float is answered, and the pool says whose it is', async () => {
  const path = await guest('prompt');
  const reply = await world.call('POST', `${path}/float`);
  assert.equal([reply.status, reply.text], [200, 'null\n']);
  const address = await floatingOf(path);
  assert.match(String(address), /^192\.0\.2\.\d+$/);
  const { type, user, comment } = (await inPool(address)) ?? {};
  const uuid = path.split('/')[2];
  assert.equal([type, user, comment], ['floating', ['networkinterface', uuid], '']);
});

test('a second float is a conflict; after a defloat it is another address', async () => {
  const path = await guest('twice');
  await world.ok('POST', `${path}/float`);
  const first = await floatingOf(path);
  const again = await world.call('POST', `${path}/float`);
  assert.equal([again.status, await floatingOf(path)], [409, first]);
  for (const _ of [1, 2]) assert.is((await world.call('POST', `${path}/defloat`)).text, 'null\n');
  assert.is(await floatingOf(path), null);
  assert.equal((await inPool(first))?.['type'], 'deletion-halo');
  await world.ok('POST', `${path}/float`);
  assert.is.not(await floatingOf(path), first);
});

test('reaches the segment, and leaves it', async () => {
  const seen: unknown[] = [];
  world.machine.before = (resource, spec) => {
    if (resource !== 'segment') return;
    const ports = (spec?.['ports'] ?? []) as View[];
    seen.push(ports[0]?.['floating']);
  };
  const path = await guest('seen');
  await world.settled(path, 'created');
  await world.ok('POST', `${path}/float`);
  const address = await floatingOf(path);
  await waitUntil('the segment has it', () => seen.at(-1) === address, 10_000);
  await world.ok('POST', `${path}/defloat`);
  await waitUntil('the segment has it no more', () => seen.at(-1) === null, 10_000);
  world.machine.before = () => undefined;
});

test('a spec that wants one has it in the answer to the create', async () => {
  const path = await guest('born', { float: true });
  const address = await floatingOf(path);
  assert.match(String(address), /^192\.0\.2\.\d+$/);
  assert.is((await inPool(address))?.['type'], 'floating');
});

test('a hot plugged interface that wants one is answered with it', async () => {
  await guest('growing');
  await world.settled('/instances/growing', 'created');
  const network = { network_uuid: 'growing', float: true };
  const nic = await world.ok('POST', '/instances/growing/interfaces', { body: { network } });
  assert.is((await inPool(nic['floating']))?.['type'], 'floating');
});

test('goes back to the pool with its interface', async () => {
  const path = await guest('mortal', { float: true });
  const address = await floatingOf(path);
  await world.ok('DELETE', '/instances/mortal');
  await world.settled(path, 'deleted');
  assert.equal(
    [(await inPool(address))?.['type'], await floatingOf(path)],
    ['deletion-halo', null],
  );
});

test('needs neither NAT nor a guest that runs', async () => {
  const path = await guest('plain', {}, { provide_nat: false });
  await world.settled('/instances/plain', 'created');
  await world.ok('POST', '/instances/plain/poweroff');
  await world.ok('POST', `${path}/float`);
});

test('an interface without an address cannot float', async () => {
  const path = await guest('bare', { address: 'none' });
  assert.is((await world.call('POST', `${path}/float`)).status, 400);
  const spec = { network_uuid: 'bare', address: 'none', float: true };
  const refused = await world.call('POST', '/instances', {
    body: { name: 'x', cpus: 1, memory: 128, disk: [{ size: 1 }], network: [spec] },
  });
  assert.is(refused.status, 400);
});

test('on a network that waits for its end floats are refused, defloats are not', async () => {
  const path = await guest('ending', { float: true });
  await world.ok('DELETE', '/networks/ending');
  const refused = await world.call('POST', `${path}/float`);
  assert.is(refused.status, 406);
  await world.ok('POST', `${path}/defloat`);
  assert.is(await floatingOf(path), null);
});

test('another tenant’s interface, and none at all, read alike', async () => {
  const path = await guest('mine');
  const notFound = { error: 'interface not found', status: 404 };
  for (const verb of ['float', 'defloat']) {
    const foreign = await world.call('POST', `${path}/${verb}`, { as: 'other' });
    assert.equal(foreign.json, notFound);
    const absent = await world.call('POST', `/interfaces/nowhere/${verb}`);
    assert.equal(absent.json, notFound);
  }
});

test('an empty pool is a 507, leaves nothing behind, and fails a create that needs one', async () => {
  const small = await openApiWorld({ floatingBlock: '198.51.100.0/29' });
  try {
    await small.network({ name: 'poor', provide_nat: false });
    const nics: string[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const view = await small.instance({ name, network: [{ network_uuid: 'poor' }] });
      nics.push(String((view['interfaces'] as View[])[0]?.['uuid']));
    }
    for (const id of nics.slice(0, 5)) await small.ok('POST', `/interfaces/${id}/float`);
    const last = nics[5] ?? '';
    const refused = await small.call('POST', `/interfaces/${last}/float`);
    assert.equal(refused.json, { error: 'No free addresses on network', status: 507 });
    const given = () => small.read.interfaces.get(last)?.state.float ?? null;
    await waitUntil('nothing is left of it', () => given() === null, 10_000);
    const spec = { network_uuid: 'poor', float: true };
    const create = { name: 'g', cpus: 1, memory: 128, disk: [{ size: 1 }], network: [spec] };
    const failed = await small.call('POST', '/instances', { body: create });
    assert.equal(failed.json, { error: 'No free addresses on network', status: 507 });
    const route = await small.call('POST', '/networks/poor/route');
    assert.equal(route.json, { error: 'No free addresses on network', status: 507 });
    const pool = small.read.networks.get(FLOATING)?.state.reservations ?? {};
    const holders = Object.values(pool).filter(({ type }) => type === 'floating');
    assert.is(holders.length, 5);
  } finally {
    await small.close();
  }
});

test.run();

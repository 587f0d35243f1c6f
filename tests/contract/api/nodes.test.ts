// Machines of the cluster: what is shown of them, and taking one out.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { node as nodeKind, initial } from '../../../actors/node/node.ts';
import { nodeRef } from '../../../actors/node/state.ts';
import { MACHINE } from '../../support/machine-facts.ts';
import { NODE, openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('api: nodes');
let world: ApiWorld;

test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

/** One that is not there. */
function lostNode(name: string): void {
  const state = { ...initial, phase: 'created', machine: MACHINE, bootId: 'b', sinceMs: 1 };
  world.put('node', name, state, nodeKind.snapshot.schema);
}

const system = { as: 'system' } as const;

test('a node that will not return is deleted, stays in the list, and a second time is harmless', async () => {
  lostNode('n7');
  assert.is((await world.ok('GET', '/nodes/n7', system))['state'], 'missing');
  assert.is((await world.ok('DELETE', '/nodes/n7', system))['state'], 'deleted');
  assert.is((await world.ok('DELETE', '/nodes/n7', system))['state'], 'deleted');
  const listed = await world.ok<View[]>('GET', '/nodes', system);
  assert.equal(
    listed.map(({ name, state }) => [name, state]),
    [
      [NODE, 'created'],
      ['n7', 'deleted'],
    ],
  );
});

test("the key of its own administrator goes with it, others' stay", async () => {
  lostNode('n8');
  for (const name of ['n8', 'n9']) {
    const body = { key_name: `bootstrap-${name}`, key: 'secret' };
    await world.ok('POST', '/auth/namespaces/system/keys', { ...system, body });
  }
  await world.ok('DELETE', '/nodes/n8', system);
  assert.equal(await world.ok('GET', '/auth/namespaces/system/keys', system), [
    'bootstrap-n9',
    'key',
  ]);
});

test('one whose daemon is there is not deleted', async () => {
  const reply = await world.call('DELETE', `/nodes/${NODE}`, system);
  assert.is(reply.status, 409);
  assert.is((await world.ok('GET', `/nodes/${NODE}`, system))['state'], 'created');
});

test('nobody else may, and what is not there is not found', async () => {
  assert.is((await world.call('DELETE', `/nodes/${NODE}`)).status, 401);
  const reply = await world.call('DELETE', '/nodes/nobody', system);
  assert.equal([reply.status, (reply.json as View)['error']], [404, 'node not found']);
});

test('locks: who decides for what, and what they do, as clients read it', async () => {
  const locks = await world.ok<Record<string, View>>('GET', '/admin/locks', system);
  const { id, ...cluster } = locks['/sflocks/sf/cluster/'] ?? {};
  assert.equal(cluster, {
    node: NODE,
    pid: 4_211,
    operation: 'Cluster maintenance',
    line: 'maintenance',
  });
  assert.match(String(id), /^[\w-]{16}$/);
  assert.is(locks['/sflocks/sf/shard/7']?.['node'], NODE);
  for (const { pid } of Object.values(locks)) assert.ok(Number.isInteger(pid));
});

test('an actor that is at work, and who waits for it, is among the locks', async () => {
  let letGo = () => {};
  const held = new Promise<void>((go) => (letGo = go));
  world.machine.before = (resource) => (resource === 'domain' ? held : undefined);
  const made = await world.instance({ name: 'slow' });
  const path = `/sflocks/sf/instance/${String(made['uuid'])}`;
  const lock = async () =>
    (await world.ok<Record<string, View>>('GET', '/admin/locks', system))[path];
  await waitUntil('it is built', async () =>
    String((await lock())?.['operation']).startsWith('sync-domain'),
  );
  assert.match(String((await lock())?.['operation']), /the node builds|domain/);
  letGo();
  world.machine.before = () => undefined;
  await world.settled(`/instances/${String(made['uuid'])}`, 'created');
});

test('resources: as the scheduler counts, and in sum', async () => {
  const found = await world.ok('GET', '/admin/resources', system);
  const node = (found['per_node'] as Record<string, View>)[NODE] ?? {};
  const { total } = found as { total: View };
  assert.is(total['cpu_available'], node['cpu_available']);
  assert.is(node['cpu_load_15'], 0.125);
  assert.is(node['ram_max'], 3 * 1_048_576);
  assert.is(Number(node['ram_max']) - Number(node['ram_available']), 128, 'one instance');
  assert.is(Number(node['cpu_available']), 64 * 16 - 1);
  assert.is(node['instances_total'], 1);
});

test('the processor time of processes; none of a machine that is away', async () => {
  const path = (name: string) => `/nodes/${name}/processmetrics`;
  assert.equal(await world.ok('GET', path(NODE), system), { process_age_troupe: 90 });
  lostNode('n6');
  assert.equal(await world.ok('GET', path('n6'), system), {});
  assert.is((await world.call('GET', path('nobody'), system)).status, 404);
});

test('the node records its resources as an event that clients find', async () => {
  const message = { kind: 'resources', resources: { cpu_max: 64 }, hogs: { etcd: 0.5 } } as const;
  await world.tell(nodeRef(NODE), message);
  const events = (type: string) =>
    world.ok<View[]>('GET', `/nodes/${NODE}/events`, { ...system, body: { event_type: type } });
  const [newest] = await events('resources');
  assert.is(newest?.['message'], 'updated node resources and package versions');
  assert.equal({ ...(newest?.['extra'] as View | undefined) }['cpu_max'], 64);
  assert.is((await events('status'))[0]?.['message'], 'processes use much CPU');
});

test('admin routes are for the system namespace', async () => {
  for (const path of ['/admin/locks', '/admin/resources', `/nodes/${NODE}/processmetrics`])
    assert.is((await world.call('GET', path)).status, 401, path);
});

test.run();

// Nodes through the API: views, events, draining; for the system namespace.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nodeRef } from '../../../actors/node/state.ts';
import { NODE, openApiWorld, type ApiWorld } from '../../support/api-world.ts';

const test = suite('api: nodes');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

type View = Record<string, unknown>;
const call = (method: 'GET' | 'POST', path: string, as: 'system' | 'lab' = 'system') =>
  world.call(method, path, { as });

test('a node is listed and shown with the members that clients know', async () => {
  const { json } = await call('GET', '/nodes');
  const [first] = json as View[];
  assert.is(first?.['name'], NODE);
  assert.is(first?.['uuid'], NODE);
  assert.is(first?.['state'], 'created');
  assert.is(first?.['version'], 7);
  assert.is(first?.['is_hypervisor'], true);
  assert.is(first?.['is_cluster_maintainer'], true);
  assert.type(first?.['lastseen'], 'number');
  assert.is((await call('GET', `/nodes/${NODE}`)).status, 200);
});

test('unknown names are 404, but for their events; tenants are refused', async () => {
  for (const [method, path] of [
    ['GET', '/nodes/nobody'],
    ['POST', '/nodes/nobody/drain'],
  ] as const) {
    const { status, json } = await call(method, path);
    assert.is(status, 404);
    assert.match(JSON.stringify(json), 'node not found');
  }
  assert.equal((await call('GET', '/nodes/nobody/events')).json, []);
  for (const path of ['/nodes', `/nodes/${NODE}`, `/nodes/${NODE}/events`]) {
    assert.is((await call('GET', path, 'lab')).status, 401, path);
  }
});

test('a drained node takes no instance until it is called off; it says so in its events', async () => {
  const drained = await call('POST', `/nodes/${NODE}/drain`);
  assert.is((drained.json as View)['is_draining'], true);
  const body = { name: 'vm', cpus: 1, memory: 128, disk: [{ size: 1 }] };
  const refused = await world.call('POST', '/instances', { as: 'lab', body });
  assert.is(refused.status, 507);
  const again = await call('POST', `/nodes/${NODE}/undrain`);
  assert.is((again.json as View)['is_draining'], false);
  assert.is((await world.call('POST', '/instances', { as: 'lab', body })).status, 200);
  const events = (await call('GET', `/nodes/${NODE}/events`)).json as View[];
  const messages = events.map((event) => event['message']);
  assert.equal(messages.slice(0, 2), ['takes work again', 'draining: takes nothing more']);
});

test('an image is fetched by a node that keeps images, and by nobody where none does', async () => {
  const cache = (url: string) => world.call('POST', '/artifacts', { as: 'system', body: { url } });
  assert.is((await cache('http://images.test/a.qcow2')).status, 200);
  const registered = world.read.nodes.get(NODE)?.state;
  assert.ok(registered?.machine);
  const machine = { ...registered.machine, roles: ['hypervisor', 'api'] } as const;
  const message = {
    kind: 'register',
    bootId: 'again',
    machine,
    gauges: registered.gauges,
  } as const;
  const reply = await world.services.router.ask(nodeRef(NODE), message as never, { trace: 't' });
  await world.read.reached(reply.revision);
  const refused = await cache('http://images.test/b.qcow2');
  assert.is(refused.status, 507);
  assert.match(JSON.stringify(refused.json), 'role storage');
});

test.run();

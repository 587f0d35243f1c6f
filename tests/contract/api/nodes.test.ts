// Machines of the cluster: what is shown of them, and taking one out.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { node as nodeKind, initial } from '../../../actors/node/node.ts';
import { MACHINE } from '../../support/machine-facts.ts';
import { NODE, openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';

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

test.run();

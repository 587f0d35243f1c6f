// Power operations (contract: instances 9).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, type ApiWorld } from '../../support/api-world.ts';

const test = suite('api: power');
let world: ApiWorld;
let uuid = '';
test.before(async () => {
  world = await openApiWorld();
  uuid = String((await world.instance({ name: 'vm' }))['uuid']);
  await world.settled(`/instances/${uuid}`, 'created');
});
test.after(() => world.close());

async function power(action: string, status = 200): Promise<unknown> {
  const reply = await world.call('POST', `/instances/${uuid}/${action}`);
  assert.is(reply.status, status, `${action}: ${reply.text}`);
  return reply.json;
}
const shown = async () => (await world.ok('GET', `/instances/${uuid}`))['power_state'];

test('each is answered with null once it has been carried out', async () => {
  assert.is(await power('poweroff'), null);
  assert.is(await shown(), 'off');
  assert.is(await power('poweron'), null);
  assert.is(await shown(), 'on');
  assert.is(await power('pause'), null);
  assert.is(await shown(), 'paused');
  assert.is(await power('unpause'), null);
  assert.is(await shown(), 'on');
  for (const action of ['reboothard', 'rebootsoft']) assert.is(await power(action), null);
  assert.is(await shown(), 'on');
});

test('on when on and off when off are no fault; pausing what is paused is', async () => {
  await power('poweron');
  const unpaused = await power('unpause', 409);
  assert.match(
    JSON.stringify(unpaused),
    'Invalid lifecycle state: unpause failed after 3 attempts',
  );
  await power('pause');
  const paused = await power('pause', 409);
  assert.match(JSON.stringify(paused), 'Invalid lifecycle state: pause failed after 3 attempts');
  await power('poweroff');
  await power('poweroff');
  for (const [action, verb] of [
    ['reboothard', 'reboot'],
    ['rebootsoft', 'reboot'],
    ['pause', 'pause'],
    ['unpause', 'unpause'],
  ] as const) {
    const text = `Invalid lifecycle state: you cannot ${verb} a powered off instance`;
    assert.match(JSON.stringify(await power(action, 409)), text);
  }
  await power('poweron');
});

test('an instance that is missing, another\u2019s or not ready yet', async () => {
  const path = `/instances/${uuid}/poweroff`;
  assert.is((await world.call('POST', path, { as: 'other' })).status, 404);
  assert.is((await world.call('POST', '/instances/nobody/poweron')).status, 404);
  const gone = String((await world.instance({ name: 'gone' }))['uuid']);
  await world.settled(`/instances/${gone}`, 'created');
  await world.ok('DELETE', `/instances/${gone}`);
  await world.settled(`/instances/${gone}`, 'deleted');
  const late = await world.call('POST', `/instances/${gone}/poweron`);
  assert.is(late.status, 406);
  assert.match(JSON.stringify(late.json), `instance ${gone} is not ready (deleted)`);
});

test.run();

// An image, a network and an instance on one simulated node, made and deleted without any disturbance.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertCreated, assertGone, create, remove } from './main-path.ts';
import { World } from './world.ts';

const test = suite('main path');

test('what is asked for is there, once, and after delete nothing is left', async () => {
  const world = new World(1);
  await create(world);
  assertCreated(world, 'created');
  await remove(world);
  await assertGone(world, 'deleted');
  const problems = world.kept.lines.filter(({ level }) => level === 'error');
  assert.equal(problems, []);
});

test('a stop in order and a start leave the machine as it is', async () => {
  const world = new World(2);
  await create(world);
  const before = world.machine.calls.length;
  await world.stop();
  await world.boot();
  await world.clock.advance(10_000);
  assertCreated(world, 'after the restart');
  const changes = world.machine.calls
    .slice(before)
    .filter((call) => /start|destroy|remove/.test(call));
  assert.equal(changes, []);
});

test.run();

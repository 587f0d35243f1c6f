// Copies of a blob on four machines that go out of reach, come back, fill up, lose their disks.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SimMachine } from '../support/sim-machine.ts';
import { ARTIFACT, AWAY_MS, CopiesWorld, NAMES } from './copies-world.ts';

const test = suite('copies of a blob on several machines');

test('one machine keeps its only copy, and nothing waits', async () => {
  const world = new CopiesWorld(['n1']);
  await world.make();
  assert.equal(world.holders, ['n1']);
  assert.equal(world.runtime.stuck(world.clock.nowMs()), []);
  assert.is(world.state.setback, null);
});

test('of several machines two hold it, with the same content', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  assert.is(world.holders.length, 2);
  assert.equal(world.holders, world.verified);
  const [first, second] = world.holders.map((node) =>
    world.machines.get(node)?.images.replicas.get('b'),
  );
  assert.equal(first, second);
});

test('a machine that stays away is replaced; when it is back its copy counts again', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  const [, lost = ''] = world.holders;
  await world.see(lost);
  await world.rest(AWAY_MS - 60_000);
  assert.is(world.holders.length, 2, 'it may be back soon');
  await world.rest(120_000);
  assert.is(world.holders.length, 3);
  assert.is(world.verified.length, 2);
  await world.see();
  await world.rest();
  assert.is(world.verified.length, 3);
  world.traits.set(lost, { sheds: true });
  await world.see();
  await world.rest();
  assert.is(world.holders.length, 2, 'and goes when room is wanted there');
  assert.equal(world.holders, world.verified);
  assert.not.ok(world.holders.includes(lost));
});

test('one that was only restarted is asked, and keeps its copy', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  const before = world.holders;
  await world.see(before[1] ?? '');
  await world.rest(60_000);
  await world.see();
  await world.rest();
  assert.equal(world.verified, before);
});

test('one that comes back without its disk gets a new copy', async () => {
  const world = new CopiesWorld(['n1', 'n2']);
  await world.make();
  await world.see('n2');
  world.machines.get('n2')?.images.replicas.clear();
  await world.see();
  await world.rest();
  assert.equal(world.holders, ['n1', 'n2']);
  assert.equal(world.verified, ['n1', 'n2']);
});

test('a machine that is gone for good is replaced at once', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  const [, lost = ''] = world.holders;
  world.machines.delete(lost);
  await world.tell({ kind: 'node-gone', node: lost });
  await world.rest();
  assert.is(world.holders.length, 2);
  assert.equal(world.holders, world.verified);
});

test('a machine that somebody needs it on gets it, and it is told after that', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  const target = NAMES.find((node) => !world.holders.includes(node)) ?? '';
  await world.tell({ kind: 'need', user: 'artifact/a', node: target });
  await world.until('there', () => world.verified.includes(target));
  await world.rest();
  assert.ok(world.holders.includes(target));
  assert.is(world.holders.length, 3, 'the others stay, as a cache');
});

test('a machine that is low on disk gives up its own once another has one more', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  const [low = '', other = ''] = world.holders;
  const target = world.machine(NAMES.find((node) => !world.holders.includes(node)) ?? '');
  target.stepMs = 20_000;
  world.traits.set(low, { untilLowBytes: -1 });
  await world.shed(low);
  await world.see();
  await world.rest(5_000);
  assert.is(world.verified.length, 2, 'it is still on its way');
  await world.rest(300_000);
  assert.is(world.verified.length, 3);
  await world.shed(low);
  await world.rest();
  assert.is(world.holders.length, 2);
  assert.equal(world.holders, world.verified);
  assert.ok(world.holders.includes(other) && !world.holders.includes(low));
});

test('one that is not low any more keeps its own, and the one that is half made elsewhere goes', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  const before = world.holders;
  for (const machine of world.machines.values()) machine.stepMs = 20_000;
  world.traits.set('n1', { untilLowBytes: 0 });
  await world.shed('n1');
  await world.rest(5_000);
  assert.is(Object.keys(world.state.replicas).length, 3);
  world.traits.delete('n1');
  await world.see();
  await world.rest(300_000);
  assert.equal(world.holders, before);
  assert.equal(Object.keys(world.state.replicas).toSorted(), before);
});

test('a machine without room fails nobody else: another gets the copy', async () => {
  const world = new CopiesWorld(['n1', 'n2', 'n3']);
  for (const node of ['n2', 'n3']) {
    const images = world.machines.get(node)?.images;
    if (images !== undefined) images.isDiskFull = true;
  }
  await world.make();
  const [target = ''] = Object.keys(world.state.replicas).filter((node) => node !== 'n1');
  await world.until('given up', () => world.state.replicas[target]?.phase === 'failed');
  const other = target === 'n2' ? 'n3' : 'n2';
  const images = world.machines.get(other)?.images;
  if (images !== undefined) images.isDiskFull = false;
  await world.until('elsewhere', () => world.verified.includes(other), 1_200_000);
  await world.rest();
  assert.equal(world.holders, ['n1', other]);
});

/** Of four, which the node that fetches has when its machine dies. */
for (const pieces of [1, 2, 3]) {
  const begin = async (world: CopiesWorld) => {
    const machine = world.machine('n1');
    machine.stepMs = 5_000;
    const made = world.make();
    await world.until('begun', () => machine.images.partials.get('b') === pieces);
    await world.kill('n1');
    return { made, machine };
  };
  const back = async (world: CopiesWorld, machine: SimMachine) => {
    machine.stepMs = 5;
    machine.calls.length = 0;
    await world.start('n1');
  };

  test(`a node that dies with ${pieces} of 4 pieces, and comes back, fetches only the rest`, async () => {
    const world = new CopiesWorld(NAMES);
    const { made, machine } = await begin(world);
    await world.rest(40_000);
    assert.is(world.state.phase, 'initial');
    assert.is(machine.images.partials.get('b'), pieces, 'nothing is thrown away');
    await back(world, machine);
    await made;
    assert.is(machine.calls.filter((call) => call === 'image.download').length, 4 - pieces);
    assert.ok(world.holders.includes('n1'));
    assert.equal(world.holders, world.verified);
  });

  test(`one that dies with ${pieces} of 4 pieces, and stays away, is replaced within minutes`, async () => {
    const world = new CopiesWorld(NAMES);
    const { made, machine } = await begin(world);
    await world.until('fetched elsewhere', () => world.state.phase === 'created', 180_000);
    await made;
    assert.not.ok(world.verified.includes('n1'));
    assert.is(world.verified.length, 2);
    await back(world, machine);
    await world.rest();
    assert.equal(world.holders, world.verified, 'what it had is gone, or is a copy that counts');
    assert.is(machine.images.partials.size, 0);
  });
}

test('a member that cannot be reached for a minute is left out, another gets the copy', async () => {
  const world = new CopiesWorld(['n1', 'n2', 'n3']);
  const cut = new Set(['n2', 'n3']);
  for (const node of cut) world.executors.delete(node);
  await world.make();
  const [target = ''] = Object.keys(world.state.replicas).filter((node) => node !== 'n1');
  await world.until('given up', () => world.state.replicas[target]?.phase === 'failed', 300_000);
  const phases = Object.keys(world.state.replicas).toSorted();
  assert.equal(phases, ['n1', 'n2', 'n3'], 'the other one is tried at once');
});

test('a daemon that dies while copies are made changes nothing', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  for (let round = 0; round < 10; round++) {
    await world.see(NAMES[1 + (round % 3)] ?? '');
    await world.rest(2_000);
    const runtime = world.boot();
    await runtime.resume(() => world.journal.read());
    await world.see();
  }
  await world.rest(AWAY_MS);
  assert.is(world.holders.length, 2);
  assert.equal(world.holders, world.verified);
});

test('when nothing uses it any more it is removed everywhere, also where it is only half made', async () => {
  const world = new CopiesWorld(NAMES);
  await world.make();
  await world.see('n2');
  await world.rest(AWAY_MS + 60_000);
  void world.runtime.ask(ARTIFACT, { kind: 'delete' }, { trace: 't' });
  await world.rest();
  await world.see();
  await world.until('deleted', () => world.state.phase === 'deleted');
  assert.equal(world.holders, []);
  for (const [name, machine] of world.machines) assert.equal(machine.leftovers(), [], name);
});

test.run();

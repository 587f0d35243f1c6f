// Many instances at once, on few nodes: as many get a place as there is room for, and no node is over its limit,
// whatever dies on the way. Nothing that was reserved is forgotten.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { holdsPlace } from '../../actors/instance/place.ts';
import { nodeRef } from '../../actors/node/state.ts';
import { MEMORY_MIB, PlacementWorld } from './placement-world.ts';

const test = suite('placement');
const ROOMS = { n1: 12, n2: 10, n3: 8 };
const RAM = 'No nodes with enough idle RAM';
/** Any audit of reservations has run by then, twice. */
const AUDITED_MS = 120_000;

async function world(rooms: Readonly<Record<string, number>> = ROOMS): Promise<PlacementWorld> {
  const made = new PlacementWorld(rooms);
  await made.bootAll();
  return made;
}

const ids = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `i${from + index}`);

/** What each node has reserved is what is placed there, and no more than there is room for. */
function assertFits(one: PlacementWorld, rooms: Readonly<Record<string, number>> = ROOMS): void {
  const placed = Object.fromEntries(one.names.map((name) => [name, [] as string[]]));
  for (const state of one.instances()) {
    if (holdsPlace(state)) placed[state.node ?? '']?.push(state.name);
  }
  const reserved = one.reservations();
  for (const name of one.names) {
    assert.equal(reserved[name], placed[name]?.toSorted(), name);
    assert.ok((reserved[name]?.length ?? 0) <= (rooms[name] ?? 0), `${name} is over its limit`);
  }
}

function phases(one: PlacementWorld): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { phase } of one.instances()) counts[phase] = (counts[phase] ?? 0) + 1;
  return counts;
}

test('of 100 at once, 30 fit: 70 end in error with the reason, and no node is over its limit', async () => {
  const one = await world();
  await Promise.all(ids(100).map((id) => one.create(id)));
  await one.pass(20_000);
  assert.equal(phases(one), { created: 30, error: 70 });
  const reasons = new Set(one.instances().map((state) => state.failure?.reason));
  assert.equal([...reasons].filter(Boolean), [RAM]);
  assert.equal(
    one.names.map((name) => one.reservations()[name]?.length),
    [12, 10, 8],
  );
  assertFits(one);
  await one.pass(AUDITED_MS);
  assertFits(one);
});

test('what is given back is given again, to as many', async () => {
  const one = await world();
  await Promise.all(ids(40).map((id) => one.create(id)));
  await one.pass(20_000);
  const up = one.instances().filter((state) => state.phase === 'created');
  await Promise.all(up.slice(0, 7).map((state) => one.remove(state.name)));
  await one.pass(20_000);
  assertFits(one);
  await Promise.all(ids(20, 40).map((id) => one.create(id)));
  await one.pass(20_000);
  assert.equal(phases(one), { created: 30, error: 23, deleted: 7 });
  assertFits(one);
});

test('each says why, for every node, also what a node said that knew better than the copy', async () => {
  const one = await world({ n1: 1, n2: 1 });
  await Promise.all(ids(3).map((id) => one.create(id)));
  await one.pass(1_000);
  const [loser, ...others] = one.instances().filter((state) => state.failure !== null);
  assert.is(others.length, 0);
  const events = one.journal.events.get(`instance/${loser?.name}`) ?? [];
  const [last] = events.filter(({ message }) => message === 'schedule by idle RAM').slice(-1);
  const says = `says: needs ${MEMORY_MIB} MiB, 0 MiB available of 16384 (3072 free, 2048 kept for the machine), reserved 1024 by guests that do not run`;
  assert.equal(last?.extra, { candidates: [], dropped: { n1: says, n2: says } });
});

test('the limit of overcommit counts guests that are off, and such that have not started', async () => {
  const one = await world({ n1: 1_000 });
  const big = { memoryMiB: 12_288 };
  await Promise.all(ids(6).map((id) => one.create(id, big)));
  await one.pass(10_000);
  assert.equal(phases(one), { created: 4, error: 2 });
});

test('the node asked for is taken, or the instance fails', async () => {
  const one = await world({ n1: 5, n2: 1 });
  await Promise.all(ids(3).map((id) => one.create(id, { requestedNode: 'n2' })));
  await one.create('i9', { requestedNode: 'n7' });
  await one.pass(10_000);
  assert.equal(one.reservations()['n1'], []);
  assert.is(one.reservations()['n2']?.length, 1);
  assert.is(one.instance('i9').failure?.reason, 'node not found: n7');
  assert.is(one.instance('i9').failure?.code, 'object/not-found');
});

test('an owner that dies around the reservation places its instance once, and leaks nothing', async () => {
  const points = ['place/before', 'place/performed', 'turn/before-write', 'turn/written'];
  for (const point of points) {
    for (let at = 0; at < 6; at++) {
      const one = await world();
      const where = `killed at ${point} ${at}`;
      const owner = one.ownerOf('i4');
      let seen = 0;
      one.killsAt = (name, on) => name === `instance/${point}` && on === owner && seen++ === at;
      await Promise.all(ids(9).map((id) => one.create(id)));
      await one.pass(3_000);
      if (!one.isUp(owner)) await one.boot(owner);
      await one.pass(AUDITED_MS);
      assertFits(one);
      const others = one.instances().filter((state) => state.phase !== 'created');
      assert.equal(others, [], where);
    }
  }
});

test('an instance deleted while its owner was dead gives its reservation back', async () => {
  const one = await world();
  one.killsAt = (at, on) => at === 'instance/place/performed' && on === one.ownerOf('i4');
  await one.create('i4');
  await one.pass(1_000);
  assert.is(Object.values(one.reservations()).flat().join(), 'i4', 'reserved, and not recorded');
  one.killsAt = () => false;
  // Deleted as the first thing that its new owner hears of it.
  const owner = one.ownerOf('i4');
  one.journal.put({ kind: 'instance', id: 'i4' }, 1, {
    ...one.instance('i4'),
    phase: 'delete-wait',
  });
  await one.boot(owner);
  await one.pass(AUDITED_MS);
  assert.is(one.instance('i4').phase, 'deleted');
  assert.equal(Object.values(one.reservations()).flat(), []);
});

test('a grant whose answer was lost is given back at once, or used', async () => {
  const one = await world();
  let lost = 0;
  one.losesAnswer = (to, message) => to.kind === 'node' && message.kind === 'reserve' && lost++ < 2;
  await one.create('i1');
  await one.pass(5_000);
  assert.is(one.instance('i1').phase, 'created');
  assert.ok(lost >= 2);
  assertFits(one);
});

test('a node whose daemon dies in the turn that grants neither forgets a guest nor invents one', async () => {
  for (const stage of ['before-write', 'written']) {
    const one = await world({ n1: 3, n2: 3 });
    let kills = 0;
    one.killsAt = (at, on) => at === `node/turn/${stage}` && on === 'n1' && kills++ === 2;
    // Owned by n2, so that the owners live.
    const asked = ['i1', 'i3', 'i5', 'i7', 'i9', 'i11', 'i13', 'i15'];
    await Promise.all(asked.map((id) => one.create(id)));
    await one.pass(10_000);
    assert.is(one.isUp('n1'), false);
    await one.boot('n1');
    await one.pass(AUDITED_MS);
    const { created = 0 } = phases(one);
    assert.ok(created >= 3 && created <= 6, `${stage}: ${created}`);
    assertFits(one, { n1: 3, n2: 3 });
  }
});

test('a node of before reservations takes in the guests that it has', async () => {
  const one = await world();
  await Promise.all(ids(9).map((id) => one.create(id)));
  await one.pass(10_000);
  const before = one.reservations();
  for (const name of one.names) one.kill(name);
  for (const name of one.names) {
    const state = one.journal.stateOf(nodeRef(name)) as object;
    one.journal.put(nodeRef(name), 2, { ...state, reservations: {} });
  }
  await one.bootAll();
  await one.pass(AUDITED_MS);
  assert.equal(one.reservations(), before);
});

test('a node whose daemon is dead delays nobody, and is named as away', async () => {
  for (const knowsOfDeath of [true, false]) {
    const one = await world({ n1: 4, n2: 9, n3: 2 });
    one.kill('n2');
    one.knowsOfDeath = knowsOfDeath;
    // Those whose actors n2 does not run.
    const asked = ['i0', 'i2', 'i3', 'i5', 'i6', 'i8', 'i9'];
    await Promise.all(asked.map((id) => one.create(id)));
    await one.pass(10_000);
    assert.equal(phases(one), { created: 6, error: 1 }, `${knowsOfDeath}`);
    const failed = one.instances().find((state) => state.phase === 'error');
    assert.is(failed?.failure?.reason, RAM);
    const events = one.journal.events.get(`instance/${failed?.name}`) ?? [];
    const [first] = events.filter(({ message }) => message === 'schedule by hypervisors');
    const dropped = JSON.stringify(first?.extra?.['dropped']);
    assert.match(dropped, knowsOfDeath ? /^{"n2":"its daemon is away"}$/ : /^{"n2":"no answer: /);
  }
});

test('nodes at rest write nothing, however long', async () => {
  const one = await world();
  await Promise.all(ids(9).map((id) => one.create(id)));
  await one.pass(60_000);
  const { length } = one.journal.writes;
  await one.pass(600_000);
  assert.is(one.journal.writes.length, length);
});

test.run();

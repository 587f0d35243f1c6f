// The daemon dies at every boundary of the main path, one run each, and a new one goes on. Whatever it was
// in the middle of, in the end everything asked for is there once, or gone.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom } from '../support/kernel.ts';
import {
  assertClean,
  assertCreated,
  assertGone,
  assertOutside,
  create,
  makePool,
  remove,
  withdraw,
} from './main-path.ts';
import { ARTIFACT, INSTANCE, NETWORK } from './main-path.ts';
import { World } from './world.ts';

const test = suite('crash at every boundary');
const SEED = 7;

/** Boundaries up to the end of create, and from there to the end of remove. */
async function pathOf(seed: number): Promise<{ creating: string[]; removing: string[] }> {
  const world = new World(seed);
  await create(world);
  const { length } = world.boundaries;
  await remove(world);
  return {
    creating: world.boundaries.slice(0, length),
    removing: world.boundaries.slice(length),
  };
}

/** Boundaries from the end of create to the end of withdraw. */
async function withdrawalOf(seed: number): Promise<{ before: number; withdrawing: string[] }> {
  const world = new World(seed);
  await create(world);
  const before = world.boundaries.length;
  await withdraw(world);
  return { before, withdrawing: world.boundaries.slice(before) };
}

const sorted = (names: Iterable<string | undefined>) => [...names].map(String).toSorted(compare);
const compare = (a: string, b: string) => (a < b ? -1 : 1);

test('the path has every effect of every kind, and all four stages', async () => {
  const { creating, removing } = await pathOf(SEED);
  const { withdrawing } = await withdrawalOf(SEED);
  const all = [...creating, ...withdrawing, ...removing];
  const effects = new Set(all.map((name) => name.split('/')[1]));
  const expected =
    `announce attach claim-vni create-interfaces delete-interfaces drop-float fetch fetch-version find-origin find-twin join-float place
    place-copies place-interfaces release release-blobs release-images release-route remove-domain remove-replicas request-images
    reserve reserve-egress reserve-float reserve-route start-preflight sync-domain sync-segments tear-down tell-instance tell-progress tell-users
    tell-waiters turn`.split(/\s+/);
  assert.equal(sorted(effects), expected);
  const stages = new Set(creating.map((name) => name.split('/')[2]));
  assert.equal(sorted(stages), ['before', 'before-write', 'performed', 'written']);
});

test('killed at any boundary on the way up, the instance ends up running', async () => {
  const { creating } = await pathOf(SEED);
  for (const [at, name] of creating.entries()) {
    const where = `killed at ${at} ${name}`;
    const world = new World(SEED);
    world.killsAt = (_, index) => index === at && world.epoch === 1;
    await create(world);
    assert.is(world.epoch, 2, where);
    assertCreated(world, where);
  }
});

test('killed at any boundary on the way down, nothing is left', async () => {
  const { creating, removing } = await pathOf(SEED);
  for (const [offset, name] of removing.entries()) {
    const where = `killed at ${name}, ${offset} after delete`;
    const world = new World(SEED);
    const at = creating.length + offset;
    world.killsAt = (_, index) => index === at && world.epoch === 1;
    await create(world);
    await remove(world);
    assert.is(world.epoch, 2, where);
    await assertGone(world, where);
  }
});

test('killed at any boundary of giving addresses back, none is held and none is lost', async () => {
  const { before, withdrawing } = await withdrawalOf(SEED);
  for (const [offset, name] of withdrawing.entries()) {
    const where = `killed at ${name}, ${offset} after defloat`;
    const world = new World(SEED);
    world.killsAt = (_, index) => index === before + offset && world.epoch === 1;
    await create(world);
    await withdraw(world);
    assert.is(world.epoch, 2, where);
    assertOutside(world, where);
    assertClean(world, where);
    await remove(world);
    await assertGone(world, where);
  }
});

test('killed on the way up and then deleted, nothing is left', async () => {
  const { creating } = await pathOf(SEED);
  for (const [at, name] of creating.entries()) {
    const where = `killed at ${at} ${name}, then deleted`;
    const world = new World(SEED);
    world.killsAt = (_, index) => index === at;
    world.isAbandoned = true;
    await world.boot();
    await rejects(create(world), /nobody starts it again/);
    world.isAbandoned = false;
    world.killsAt = () => false;
    await makePool(world);
    await remove(world);
    await assertGone(world, where);
  }
});

test('deleted at any boundary on the way up, nothing is left', async () => {
  const { creating } = await pathOf(SEED);
  const first = creating.indexOf('instance/turn/written');
  for (const [at, name] of creating.entries()) {
    if (at < first) continue;
    const where = `deleted at ${at} ${name}`;
    const world = new World(SEED);
    world.killsAt = (_, index) => {
      if (index === at) {
        for (const address of [INSTANCE, NETWORK, ARTIFACT])
          world.runtime.tell(address, { kind: 'delete' }, { trace: 'delete' });
      }
      return false;
    };
    await create(world).catch(() => undefined);
    await remove(world);
    await assertGone(world, where);
  }
});

test('killed again and again, it gets there all the same', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const world = new World(seed);
    let left = 8;
    world.killsAt = () => left > 0 && random.number() < 0.05 && left-- > 0;
    await create(world);
    assertCreated(world, `seed ${seed}`);
    left = 8;
    await remove(world);
    left = 0;
    await assertGone(world, `seed ${seed}`);
  }
});

test.run();

// An object parked after crashes of its own logic, at any moment of the main path: it disturbs nothing that
// runs, and a delete gives everything back.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifact } from '../../actors/artifact/artifact.ts';
import { blob } from '../../actors/blob/blob.ts';
import { instance } from '../../actors/instance/instance.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import type { Address, Kind } from '../../actors/kernel/kind.ts';
import { network } from '../../actors/network/network.ts';
import {
  ARTIFACT,
  assertGone,
  BLOB,
  create,
  INSTANCE,
  INTERFACE,
  makePool,
  NETWORK,
  remove,
} from './main-path.ts';
import { World } from './world.ts';

const test = suite('parked objects');
const REASON = 'crashed: a bug';

/** Parks an object behind the back of a daemon that is down, as its supervisor would have. */
function park<S>(
  world: World,
  address: Address,
  kind: Pick<Kind<S, never, never>, 'parked' | 'snapshot'>,
) {
  const stored = world.journal.stateOf(address);
  if (stored === undefined) return;
  const state = kind.parked(kind.snapshot.decode(stored), REASON, world.clock.nowMs());
  world.journal.put(address, kind.snapshot.schema, state);
}

const PARKS: readonly (readonly [Address, (world: World) => void])[] = [
  [ARTIFACT, (world) => park(world, ARTIFACT, artifact)],
  [BLOB, (world) => park(world, BLOB, blob)],
  [NETWORK, (world) => park(world, NETWORK, network)],
  [INTERFACE, (world) => park(world, INTERFACE, interfaceKind)],
  [INSTANCE, (world) => park(world, INSTANCE, instance)],
];

test('whichever is parked, the guest runs on', async () => {
  for (const [address, parkIt] of PARKS) {
    const world = new World(1);
    await create(world);
    const before = world.machine.calls.length;
    await world.stop();
    parkIt(world);
    await world.boot();
    await world.clock.advance(3_600_000);
    assert.is(world.phaseOf(address), 'error', address.kind);
    const harm = world.machine.calls
      .slice(before)
      .filter((call) => /destroy|remove|undefine/.test(call));
    assert.equal(harm, [], address.kind);
    assert.is(world.machine.hypervisor.domain(INSTANCE.id).observed.power, 'on', address.kind);
    assert.equal(world.stuck(), [], address.kind);
    await remove(world);
    await assertGone(world, address.kind);
  }
});

test('whichever is parked on the way up or down, a delete leaves nothing', async () => {
  const path = new World(2);
  await create(path);
  await remove(path);
  for (const [address, parkIt] of PARKS) {
    for (let at = 3; at < path.boundaries.length; at += 7) {
      const where = `${address.kind} parked at ${at} ${path.boundaries[at]}`;
      const world = new World(2);
      world.killsAt = (_, index) => index === at;
      world.isAbandoned = true;
      await world.boot();
      await rejects(
        create(world).then(() => remove(world)),
        /nobody starts it again/,
      );
      parkIt(world);
      world.isAbandoned = false;
      world.killsAt = () => false;
      await makePool(world);
      await world.clock.advance(1_000);
      await remove(world);
      await assertGone(world, where);
    }
  }
});

test.run();

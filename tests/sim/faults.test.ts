// Drivers that fail, once or for ever, at each call of the main path: once is got over; for ever ends in an
// object in error with the reason, and everything given back.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ArtifactState } from '../../actors/artifact/state.ts';
import type { InstanceState } from '../../actors/instance/state.ts';
import { TroupeError, type ErrorCode } from '../../actors/kernel/errors.ts';
import type { NetworkState } from '../../actors/network/state.ts';
import {
  ARTIFACT,
  assertClean,
  assertCreated,
  assertGone,
  BLOB,
  create,
  INSTANCE,
  makePool,
  NETWORK,
  remove,
  requestArtifact,
  requestInstance,
  requestNetwork,
  untilPhase,
} from './main-path.ts';
import { World } from './world.ts';

const test = suite('driver faults');

/** A fault that passes, one that lasts as far as its code says, and a bug. */
const FAULTS: readonly (readonly [string, () => Error])[] = [
  ['host/tool-failed', () => new TroupeError('host/tool-failed', 'the tool said no')],
  ['host/disk-full', () => new TroupeError('host/disk-full', 'no space is left on the disk')],
  ['hypervisor/refused', () => new TroupeError('hypervisor/refused', 'operation not supported')],
  ['a bug', () => new TypeError('cannot read properties of undefined')],
];

/** Calls that the drivers get on the way up, and those of the way down. */
async function callsOf(): Promise<{ building: string[]; removing: string[] }> {
  const world = new World(1);
  await create(world);
  const building = [...new Set(world.machine.calls)];
  const { length } = world.machine.calls;
  await remove(world);
  return { building, removing: [...new Set(world.machine.calls.slice(length))] };
}

function failTimes(world: World, call: string, times: number, error: () => Error): void {
  let left = times;
  world.machine.fault = (made) => (made === call && left-- > 0 ? error() : null);
}

test('the main path makes every call that a driver has', async () => {
  const { building, removing } = await callsOf();
  assert.equal(building, [
    'image.download',
    'image.keepReplica',
    'network.ensureSegment',
    'network.ensureTap',
    'image.ensureDisk',
    'image.ensureConfigDrive',
    'hypervisor.define',
    'hypervisor.start',
  ]);
  assert.equal(removing, [
    'hypervisor.destroy',
    'hypervisor.undefine',
    'network.removeTaps',
    'image.removeDisks',
    'network.removeSegment',
    'image.removeReplica',
  ]);
});

test('a call that fails a few times and may be tried again is got over', async () => {
  const { building } = await callsOf();
  for (const call of building) {
    const world = new World(3);
    const error = () => new TroupeError('host/tool-failed', 'the tool said no');
    failTimes(world, call, 3, error);
    await create(world);
    assertCreated(world, call);
    await remove(world);
    await assertGone(world, call);
  }
});

test('whatever a removal fails with, it is tried until it is done', async () => {
  const { removing } = await callsOf();
  for (const call of removing) {
    for (const [name, error] of FAULTS) {
      const where = `${call}: ${name}`;
      const world = new World(4);
      await create(world);
      failTimes(world, call, 5, error);
      await remove(world);
      await assertGone(world, where);
    }
  }
});

test('a building call that fails for ever ends in error, with the reason, holding nothing', async () => {
  const { building } = await callsOf();
  for (const call of building) {
    for (const [name, error] of FAULTS) {
      const where = `${call}: ${name}`;
      const world = new World(5);
      failTimes(world, call, Infinity, error);
      await makePool(world);
      await requestArtifact(world);
      await requestNetwork(world);
      await untilPhase(world, NETWORK, 'created');
      await requestInstance(world);
      await untilPhase(world, INSTANCE, 'error');
      const { failure } = world.journal.stateOf(INSTANCE) as InstanceState;
      const expected = call === 'network.ensureSegment' ? /segment of network/ : error().message;
      assert.match(failure?.reason ?? '', expected, where);
      const events = world.journal.messagesOf(INSTANCE);
      assert.ok(events.includes('instance failed'), where);
      assert.equal([...world.machine.hypervisor.domains.keys()], [], where);
      assert.equal([...world.machine.net.taps.keys()], [], where);
      assert.equal([...world.machine.images.disks.keys()], [], where);
      await world.clock.advance(60_000);
      assertClean(world, where);
      if (call.startsWith('image.download') || call.startsWith('image.keep'))
        assertImageFailed(world, where);
      await remove(world);
      await assertGone(world, where);
    }
  }
});

/** The artifact says why, and the half-made replica is gone. */
function assertImageFailed(world: World, where: string): void {
  const { failure } = world.journal.stateOf(ARTIFACT) as ArtifactState;
  assert.is(world.phaseOf(ARTIFACT), 'error', where);
  assert.is(world.phaseOf(BLOB), 'error', where);
  assert.is.not(failure, null, where);
  assert.equal(world.machine.images.list(), [], where);
}

test('a removal that fails for ever is listed as stuck with its reason, told now and then, and goes on', async () => {
  const { removing } = await callsOf();
  for (const call of removing) {
    const world = new World(6);
    await create(world);
    failTimes(world, call, Infinity, () => new TroupeError('hypervisor/refused', 'device is busy'));
    await world.request(INSTANCE, { kind: 'delete' });
    await world.request(NETWORK, { kind: 'delete' });
    await world.request(ARTIFACT, { kind: 'delete' });
    await world.clock.advance(24 * 3_600_000);
    const [stuck, ...others] = world.stuck();
    assert.match(stuck?.reason ?? '', /\(device is busy\)$/, call);
    assert.equal(others, [], call);
    const told = [...world.journal.events.values()].flat();
    const setbacks = told.filter(({ message }) => message.includes('trying again later'));
    assert.ok(setbacks.length >= 4 && setbacks.length <= 10, `${call}: ${setbacks.length} events`);
    world.machine.fault = () => null;
    await world.clock.advance(700_000);
    await remove(world);
    await assertGone(world, call);
  }
});

test('a running instance whose domain cannot be synced for a day records a few events, then recovers', async () => {
  for (const [name, error] of FAULTS) {
    const world = new World(7);
    await create(world);
    await world.request(INSTANCE, { kind: 'set-power', action: 'poweroff' });
    await world.clock.advance(5_000);
    failTimes(world, 'hypervisor.start', Infinity, error);
    await world.request(INSTANCE, { kind: 'set-power', action: 'poweron' });
    const [{ writes: before }, calls] = [world.runtime.stats(), world.machine.calls.length];
    await world.clock.advance(24 * 3_600_000);
    const writes = world.runtime.stats().writes - before;
    assert.ok(writes < 450, `${name}: ${writes} writes in a day`);
    // It tries for four minutes, every ten seconds, and pauses for ten.
    assert.ok(world.machine.calls.length - calls < 40_000, `${name}: calls`);
    const setbacks = world.journal
      .messagesOf(INSTANCE)
      .filter((message) => message === 'sync-domain failed, trying again later');
    assert.ok(setbacks.length >= 4 && setbacks.length <= 10, `${name}: ${setbacks.length} events`);
    assert.is(world.phaseOf(INSTANCE), 'created', name);
    assertClean(world, name);
    world.machine.fault = () => null;
    await world.clock.advance(700_000);
    assertCreated(world, name);
  }
});

test('libvirt away for minutes in the middle, through a restart, only delays', async () => {
  for (const call of ['hypervisor.define', 'hypervisor.start', 'hypervisor.destroy']) {
    const world = new World(8);
    const { hypervisor } = world.machine;
    world.machine.fault = (made) => {
      if (made !== call || world.epoch > 1) return null;
      hypervisor.loseControl();
      world.clock.after(200_000, () => hypervisor.returnControl());
      world.kill();
      return null;
    };
    await create(world);
    if (world.epoch > 1) assert.ok(world.clock.monoMs() >= 200_000, call);
    assertCreated(world, call);
    await remove(world);
    await assertGone(world, call);
    assert.is(world.epoch, 2, call);
  }
});

test('an image that cannot be had fails the artifact with a sentence, and the instance with it', async () => {
  const refusal = 'the image names the backing file /etc/shadow; flatten it with qemu-img convert';
  const image = { sizeBytes: 1_000, virtualSizeBytes: 1_000, format: 'qcow2', refusal } as const;
  const cases: readonly (readonly [string, ErrorCode, RegExp])[] = [
    ['http://images.test/hostile', 'image/refused', /flatten it/],
    ['http://images.test/missing', 'image/not-fetched', /missing cannot be reached; tried 5 times/],
  ];
  for (const [url, code, reason] of cases) {
    const world = new World(9);
    world.machine.images.web.set('http://images.test/hostile', image);
    await makePool(world);
    await requestArtifact(world, url);
    await requestNetwork(world);
    await untilPhase(world, NETWORK, 'created');
    await requestInstance(world);
    await world.clock.advance(1_900_000);
    const { failure } = world.journal.stateOf(ARTIFACT) as ArtifactState;
    assert.is(failure?.code, code);
    assert.match(failure?.reason ?? '', reason);
    await untilPhase(world, INSTANCE, 'error');
    const vm = world.journal.stateOf(INSTANCE) as InstanceState;
    assert.match(vm.failure?.reason ?? '', /^Image fetch failed: /);
    assert.match(vm.failure?.reason ?? '', reason);
    assert.equal(world.machine.leftovers(), []);
    await remove(world);
    await assertGone(world, url);
  }
});

test('an artifact deleted while it is fetched calls the fetch off; the instance that waits says why it fails', async () => {
  const world = new World(10);
  world.machine.fault = (call) =>
    call === 'image.keepReplica' ? new TroupeError('image/unreachable', 'slow') : null;
  await makePool(world);
  await requestArtifact(world);
  await requestNetwork(world);
  await untilPhase(world, NETWORK, 'created');
  await requestInstance(world);
  await untilPhase(world, INSTANCE, 'preflight');
  await world.clock.advance(5_000);
  await world.request(ARTIFACT, { kind: 'delete' });
  await world.clock.advance(5_000);
  assert.is(world.phaseOf(ARTIFACT), 'deleted');
  assert.is(world.phaseOf(BLOB), 'deleted');
  assert.equal(world.machine.images.list(), []);
  const { failure, phase } = world.journal.stateOf(INSTANCE) as InstanceState;
  assert.is(phase, 'error');
  assert.is(
    failure?.reason,
    'Image fetch failed: the artifact was deleted; ask for the image again',
  );
  await remove(world);
  await assertGone(world, 'deleted while fetching');
});

test('no VNI, no MAC, no external address: the object fails with the reason and holds nothing', async () => {
  const world = new World(11);
  await makePool(world);
  await requestArtifact(world);
  await requestNetwork(world);
  await untilPhase(world, NETWORK, 'created');
  world.claims.isExhausted = true;
  await requestInstance(world);
  await untilPhase(world, INSTANCE, 'error');
  const vm = world.journal.stateOf(INSTANCE) as InstanceState;
  assert.is(vm.failure?.reason, 'no free MAC address was found in 32 random tries');
  await remove(world);
  await assertGone(world, 'no MAC');

  const other = new World(12);
  await makePool(other);
  other.claims.isExhausted = true;
  await requestNetwork(other);
  await untilPhase(other, NETWORK, 'error');
  const net = other.journal.stateOf(NETWORK) as NetworkState;
  assert.is(net.failure?.reason, 'no free VNI was found in 32 random tries');
  await remove(other);
  await assertGone(other, 'no VNI');
});

test.run();

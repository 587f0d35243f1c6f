// Snapshots of disks while the daemon dies at every boundary of theirs, and while what they need fails: each becomes a version
// of its artifact, or the artifact says why not, and nothing is left on the machine.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactRef, type ArtifactState } from '../../actors/artifact/state.ts';
import { blobRef } from '../../actors/blob/state.ts';
import { diskSnapshotRef, type DiskSnapshotState } from '../../actors/disk-snapshot/state.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import {
  assertClean,
  assertGone,
  INSTANCE,
  instanceMessage,
  makePool,
  NETWORK,
  remove,
  requestArtifact,
  requestNetwork,
  untilPhase,
} from './main-path.ts';
import { NODE, World } from './world.ts';

const test = suite('disk snapshots, crash at every boundary');
const SEED = 7;
const PATIENCE_MS = 12_000_000;
const KEPT = artifactRef('snapshots-of-vda');
const COPY = blobRef('copy-1');
const SNAPSHOT = diskSnapshotRef('snapshot-1');

/** A running instance. */
async function prepare(): Promise<World> {
  const world = new World(SEED);
  await makePool(world);
  await requestArtifact(world);
  await requestNetwork(world);
  await untilPhase(world, NETWORK, 'created');
  await world.request(INSTANCE, instanceMessage());
  await untilPhase(world, INSTANCE, 'created');
  await world.clock.advance(5_000);
  return world;
}

async function ask(world: World): Promise<void> {
  const disks = [{ device: 'vda', blobId: COPY.id, artifactId: KEPT.id }];
  const about = { namespace: 'ns', instanceId: INSTANCE.id, maxVersions: 3, disks };
  await world.request(SNAPSHOT, { kind: 'create', ...about });
}

const snapshotOf = (world: World) => world.journal.stateOf(SNAPSHOT) as DiskSnapshotState;
const artifactOf = (world: World) => world.journal.stateOf(KEPT) as ArtifactState;

/** Until it is over and told of, and the artifact has decided. */
async function over(world: World): Promise<void> {
  const isOver = () =>
    world.phaseOf(SNAPSHOT) === 'deleted' && artifactOf(world).adding.length === 0;
  await world.untilUp('the snapshot is over', isOver, PATIENCE_MS);
  await world.clock.advance(10_000);
}

async function take(world: World): Promise<void> {
  await ask(world);
  await over(world);
}

function versionsOf(world: World): unknown[] {
  return artifactOf(world).versions.map(({ index, blobId }) => [index, blobId]);
}

function assertTaken(world: World, where: string): void {
  assert.is(snapshotOf(world).failure, null, where);
  assert.equal(versionsOf(world), [[1, COPY.id]], where);
  assert.ok(world.machine.images.replicas.has(COPY.id), where);
  assertNothingLeft(world, where);
}

function assertFailed(world: World, reason: RegExp): void {
  assert.match(snapshotOf(world).failure?.reason ?? '', reason);
  const { phase, addFailure, versions } = artifactOf(world);
  assert.equal([phase, versions], ['error', []]);
  assert.is(addFailure?.blobId, COPY.id);
  assert.match(addFailure?.reason ?? '', reason);
  assertNothingLeft(world, String(reason));
}

function assertNothingLeft({ machine }: World, where: string): void {
  assert.equal([...machine.images.spooled.keys()], [], where);
  assert.equal([...machine.hypervisor.copied], [], where);
}

async function everythingGoes(world: World, where: string): Promise<void> {
  await world.request(KEPT, { kind: 'delete' });
  await remove(world);
  await untilPhase(world, KEPT, 'deleted');
  await untilPhase(world, COPY, 'deleted');
  await world.clock.advance(60_000);
  await assertGone(world, where);
}

test('killed at any boundary, it is taken all the same, once, and goes with its artifact', async () => {
  const undisturbed = await prepare();
  const before = undisturbed.boundaries.length;
  await take(undisturbed);
  assertTaken(undisturbed, 'undisturbed');
  const names = undisturbed.boundaries.slice(before);
  assert.ok(names.length > 20, String(names.length));
  for (const part of ['disksnapshot/copy', 'disksnapshot/keep', 'artifact/add-version']) {
    assert.ok(
      names.some((name) => name.startsWith(part)),
      part,
    );
  }
  for (const [offset, name] of names.entries()) {
    const where = `killed at ${name}, ${offset} after the first`;
    const world = await prepare();
    world.killsAt = (_, index) => index === before + offset && world.epoch === 1;
    await take(world);
    assert.is(world.epoch, 2, where);
    world.machine.hypervisor.copied.clear(); // What a killed daemon staged goes when the next one starts (disk-copier.ts).
    assertTaken(world, where);
    assertClean(world, where);
    if (offset % 5 === 0) await everythingGoes(world, where);
  }
});

test('a guest that goes off meanwhile is copied as it is then', async () => {
  const world = await prepare();
  world.machine.stepMs = 5_000;
  await ask(world);
  await world.untilUp(
    'it is copied',
    () => world.machine.calls.includes('hypervisor.copy'),
    60_000,
  );
  world.machine.hypervisor.guestPowersOff(INSTANCE.id);
  await over(world);
  assert.ok(world.machine.calls.includes('image.copyDisk'));
  assertTaken(world, 'off');
});

test('a full disk ends it with the reason; the next one of that disk has the same artifact', async () => {
  const world = await prepare();
  world.machine.fault = (call) =>
    call === 'image.flatten' ? new TroupeError('host/disk-full', 'no space is left') : null;
  await take(world);
  assertFailed(world, /no space is left/);
  world.machine.fault = () => null;
  const addition = { blobId: 'b2', source: { kind: 'spool', id: 'b2' }, node: NODE } as const;
  world.machine.images.spooled.set('b2', { sizeBytes: 1, virtualSizeBytes: 1, format: 'qcow2' });
  await world.request(KEPT, { kind: 'add-version', addition });
  await untilPhase(world, KEPT, 'created');
  assert.equal(versionsOf(world), [[1, 'b2']]);
});

test('libvirt that stays away ends it with the reason', async () => {
  const world = await prepare();
  world.machine.hypervisor.loseControl();
  await take(world);
  assertFailed(world, /does not answer/);
  world.machine.hypervisor.returnControl();
});

test('deleted with its instance while it is copied: the artifact hears why, and nothing is left', async () => {
  const world = await prepare();
  world.machine.stepMs = 2_000;
  await ask(world);
  await world.untilUp(
    'it is copied',
    () => world.machine.calls.includes('hypervisor.copy'),
    60_000,
  );
  await remove(world);
  await over(world);
  assertFailed(world, /called off|no such domain/);
  await everythingGoes(world, 'with its instance');
});

test('an instance that is gone, or off to be, takes none in', async () => {
  const world = await prepare();
  await remove(world);
  await take(world);
  assertFailed(world, /is not ready|not found/);
});

test.run();

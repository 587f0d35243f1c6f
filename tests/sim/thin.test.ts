// A thin snapshot while the daemon dies at every boundary of its life: taken, its instance and image deleted, another instance
// started from it, everything deleted. Whatever is read through a blob keeps it; in the end nothing is left.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactRef, type ArtifactState } from '../../actors/artifact/state.ts';
import { blobRef, type BlobState } from '../../actors/blob/state.ts';
import { diskSnapshotRef } from '../../actors/disk-snapshot/state.ts';
import { instanceRef, type InstanceState } from '../../actors/instance/state.ts';
import { unlessGone } from '../../actors/kernel/errors.ts';
import {
  ARTIFACT,
  assertClean,
  assertGone,
  BLOB,
  INSTANCE,
  instanceMessage,
  makePool,
  NETWORK,
  requestArtifact,
  requestNetwork,
  untilPhase,
} from './main-path.ts';
import { World } from './world.ts';

const test = suite('thin snapshots, crash at every boundary');
const KEPT = artifactRef('snapshots-of-vda');
const CHILD = blobRef('child-1');
const SNAPSHOT = diskSnapshotRef('snapshot-1');
const SECOND = instanceRef('instance-2');
const PATIENCE_MS = 12_000_000;

/** A running instance, and an artifact without a version. */
async function prepare(): Promise<World> {
  const world = new World(11);
  await makePool(world);
  await requestArtifact(world);
  await requestNetwork(world);
  await untilPhase(world, NETWORK, 'created');
  await world.request(INSTANCE, instanceMessage());
  await untilPhase(world, INSTANCE, 'created');
  const named = { type: 'snapshot', name: 'vm/vda', namespace: 'ns', shared: false } as const;
  const sourceUrl = `sf://instance/${INSTANCE.id}/vda`;
  await world.request(KEPT, { kind: 'found', ...named, sourceUrl, maxVersions: 3 });
  await world.clock.advance(5_000);
  return world;
}

const blobOf = (world: World, { id }: { id: string }) =>
  world.journal.stateOf(blobRef(id)) as BlobState;

async function take(world: World): Promise<void> {
  const disk = { device: 'vda', blobId: CHILD.id, artifactId: KEPT.id, baseBlobId: BLOB.id };
  const about = { namespace: 'ns', instanceId: INSTANCE.id, maxVersions: 3, disks: [disk] };
  await world.request(SNAPSHOT, { kind: 'create', ...about });
  const isTaken = () => (world.journal.stateOf(KEPT) as ArtifactState).versions.length === 1;
  await world.untilUp('the artifact has it', isTaken, PATIENCE_MS);
}

/** What it was taken of goes, and the image: the blob below is used by the snapshot alone. */
async function dropTheFirst(world: World, where: string): Promise<void> {
  for (const ref of [INSTANCE, ARTIFACT]) {
    await unlessGone(world.request<{ kind: 'delete' }>(ref, { kind: 'delete' }));
    await untilPhase(world, ref, 'deleted');
  }
  await world.clock.advance(5_000);
  const { phase, users } = blobOf(world, BLOB);
  assert.equal([phase, users], ['created', [`blob/${CHILD.id}`]], where);
  assert.ok(world.machine.images.replicas.has(BLOB.id), where);
}

async function startTheSecond(world: World, where: string): Promise<void> {
  const message = instanceMessage();
  const disks = message.disks.map((disk) => ({ ...disk, artifactId: null, blobId: CHILD.id }));
  await world.request(SECOND, { ...message, disks, nics: [] });
  await untilPhase(world, SECOND, 'created');
  const { below } = world.journal.stateOf(SECOND) as InstanceState;
  assert.equal(below, [{ blobId: BLOB.id, isReady: true }], where);
  assert.is(world.machine.images.disks.get(`${SECOND.id}/vda`)?.baseBlobId, CHILD.id, where);
  assert.equal(
    blobOf(world, BLOB).users.toSorted(),
    [`blob/${CHILD.id}`, `instance/${SECOND.id}`],
    where,
  );
}

async function dropTheRest(world: World, where: string): Promise<void> {
  await unlessGone(world.request(KEPT, { kind: 'delete' }));
  await untilPhase(world, KEPT, 'deleted');
  await world.clock.advance(5_000);
  for (const ref of [CHILD, BLOB]) assert.is(blobOf(world, ref).phase, 'created', where);
  await unlessGone(world.request(SECOND, { kind: 'delete' }));
  await unlessGone(world.request(NETWORK, { kind: 'delete' }));
  for (const ref of [SECOND, CHILD, BLOB, NETWORK]) await untilPhase(world, ref, 'deleted');
  await world.clock.advance(60_000);
}

async function live(world: World, where: string): Promise<void> {
  await take(world);
  await dropTheFirst(world, where);
  await startTheSecond(world, where);
  await dropTheRest(world, where);
}

test('killed at any boundary nothing is deleted that is read, and nothing is left', async () => {
  const undisturbed = await prepare();
  const before = undisturbed.boundaries.length;
  await live(undisturbed, 'undisturbed');
  const names = undisturbed.boundaries.slice(before);
  for (const part of ['blob/hold-parent', 'blob/remove-replicas', 'instance/request-images']) {
    assert.ok(
      names.some((name) => name.startsWith(part)),
      part,
    );
  }
  for (const [offset, name] of names.entries()) {
    const where = `killed at ${name}, ${offset} after the first`;
    const world = await prepare();
    world.killsAt = (_, index) => index === before + offset && world.epoch === 1;
    await live(world, where);
    assert.is(world.epoch, 2, where);
    world.machine.hypervisor.copied.clear(); // What a killed daemon staged goes when the next one starts (disk-copier.ts).
    assertClean(world, where);
    if (offset % 10 === 0) await assertGone(world, where);
  }
});

test('one whose base is gone before it is kept says so', async () => {
  const world = await prepare();
  const named = { type: 'other', name: 'x', namespace: 'ns', shared: false } as const;
  await world.request(artifactRef('x'), {
    kind: 'found',
    ...named,
    sourceUrl: 'x',
    maxVersions: 3,
  });
  const source = { kind: 'spool', id: CHILD.id, dependsOn: 'never-was' } as const;
  const addition = { blobId: CHILD.id, source, node: 'n1' };
  await world.request(artifactRef('x'), { kind: 'add-version', addition });
  await untilPhase(world, CHILD, 'deleted');
  const { failure } = blobOf(world, CHILD);
  assert.match(failure?.reason ?? '', /never-was.* is gone: take a full snapshot/);
});

test.run();

// Two namespaces fetch the same address, at the same time and one after the other, while the daemon dies at every boundary: one
// download, one blob, given back by each.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactRef, type ArtifactState } from '../../actors/artifact/state.ts';
import { blobRef, type BlobState } from '../../actors/blob/state.ts';
import { unlessGone } from '../../actors/kernel/errors.ts';
import { ORIGIN, originOf } from '../../actors/blob/origin.ts';
import { ARTIFACT, BLOB, requestArtifact, untilPhase, URL } from './main-path.ts';
import { NODE, World } from './world.ts';

const test = suite('the same address, crash at every boundary');
const OTHER = artifactRef('artifact-2');
const OTHERS_BLOB = 'blob-2';
const PATIENCE_MS = 2_400_000;

type Artifact = typeof OTHER;

async function requestOther(world: World): Promise<void> {
  const source = { kind: 'url', url: URL } as const;
  const named = { type: 'image', name: 'other', namespace: 'ns2', sourceUrl: URL, source } as const;
  const blob = { blobId: OTHERS_BLOB, node: NODE };
  await world.request(OTHER, { kind: 'create', ...named, shared: false, maxVersions: 3, ...blob });
}

const stateOf = (world: World, ref: Artifact) => world.journal.stateOf(ref) as ArtifactState;
const blobOf = (world: World, id: string) =>
  world.journal.stateOf(blobRef(id)) as BlobState | undefined;
const usersOf = (world: World, id: string) => (blobOf(world, id)?.users ?? []).toSorted().join();

/** Both have one blob, which was downloaded once. Answers which. */
async function assertOne(world: World, where: string): Promise<string> {
  for (const ref of [ARTIFACT, OTHER]) await untilPhase(world, ref, 'created');
  const ids = [ARTIFACT, OTHER].flatMap((ref) =>
    stateOf(world, ref).versions.map(({ blobId }) => blobId),
  );
  const [kept = ''] = ids;
  assert.equal(ids, [kept, kept], where);
  const both = `artifact/${ARTIFACT.id},artifact/${OTHER.id}`;
  await world.untilUp('both use it', () => usersOf(world, kept) === both, PATIENCE_MS);
  assert.equal([...world.machine.images.replicas.keys()], [kept], where);
  assert.equal(world.machine.images.downloads, [URL], where);
  assert.equal([...world.claims.held.values()], [`blob/${kept}`, `blob/${kept}`], where);
  return kept;
}

async function drop(world: World, ref: Artifact): Promise<void> {
  await unlessGone(world.request(ref, { kind: 'delete' }));
  await untilPhase(world, ref, 'deleted');
  await world.clock.advance(5_000);
}

/** Nothing is left of it, on the machine or in the store. */
async function assertGone(world: World, id: string, where: string): Promise<void> {
  await untilPhase(world, blobRef(id), 'deleted');
  await world.clock.advance(5_000);
  await world.untilUp('up', () => true, PATIENCE_MS);
  assert.equal(world.machine.leftovers(), [], where);
  assert.equal([...world.claims.held], [], where);
}

async function live(world: World, isTogether: boolean, where: string): Promise<void> {
  await requestArtifact(world);
  if (!isTogether) await untilPhase(world, ARTIFACT, 'created');
  await requestOther(world);
  const kept = await assertOne(world, where);
  await drop(world, isTogether ? ARTIFACT : OTHER);
  assert.is(blobOf(world, kept)?.phase, 'created', where);
  await drop(world, isTogether ? OTHER : ARTIFACT);
  await assertGone(world, kept, where);
}

/** The first one is deleted while the download goes on. */
async function leave(world: World, where: string): Promise<void> {
  await requestArtifact(world);
  await requestOther(world);
  await drop(world, ARTIFACT);
  await untilPhase(world, OTHER, 'created');
  const [version] = stateOf(world, OTHER).versions;
  const kept = version?.blobId ?? '';
  assert.equal([...world.machine.images.replicas.keys()], [kept], where);
  await drop(world, OTHER);
  await assertGone(world, kept, where);
}

const LIVES = [
  ['one after the other', (world: World, where: string) => live(world, false, where)],
  ['at the same time', (world: World, where: string) => live(world, true, where)],
  ['the first one deleted meanwhile', leave],
] as const;

for (const [how, act] of LIVES) {
  test(`asked for by two namespaces, ${how}, killed at any boundary`, async () => {
    const undisturbed = new World(5);
    await act(undisturbed, 'undisturbed');
    const names = undisturbed.boundaries;
    assert.ok(names.some((name) => name.startsWith('artifact/find-origin')));
    for (const [at, name] of names.entries()) {
      const where = `killed at ${at} ${name}`;
      const world = new World(5);
      world.killsAt = (_, index) => index === at && world.epoch === 1;
      await act(world, where);
      assert.is(world.epoch, 2, where);
    }
  });
}

test('a claim for a blob that was never made: whoever comes next makes it', async () => {
  const world = new World(5);
  const origin = originOf({ kind: 'url', url: URL }) ?? '';
  await world.claims.claim(ORIGIN, origin, blobRef('promised'));
  await requestOther(world);
  await untilPhase(world, OTHER, 'created');
  assert.is(stateOf(world, OTHER).versions[0]?.blobId, 'promised');
  await drop(world, OTHER);
  await assertGone(world, 'promised', 'promised');
});

test('a claim of a blob that is being deleted hinders nobody', async () => {
  const world = new World(5);
  await requestArtifact(world);
  await untilPhase(world, ARTIFACT, 'created');
  world.machine.fault = (call) =>
    call === 'image.removeReplica' ? new Error('the disk does not answer') : null;
  await world.request(ARTIFACT, { kind: 'delete' });
  await world.clock.advance(5_000);
  assert.is(world.phaseOf(BLOB), 'delete-wait');
  await requestOther(world);
  await untilPhase(world, OTHER, 'created');
  const [version] = stateOf(world, OTHER).versions;
  assert.not.equal(version?.blobId, BLOB.id);
  assert.equal(world.machine.images.downloads, [URL, URL]);
  world.machine.fault = () => null;
  await untilPhase(world, BLOB, 'deleted');
  await drop(world, OTHER);
  await assertGone(world, version?.blobId ?? '', 'the second');
});

test.run();

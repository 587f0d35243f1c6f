// Identical content is kept once, while the daemon dies at every boundary: two artifacts of the same bytes, one after the other
// and at the same time, each deleted first.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactRef, type ArtifactState } from '../../actors/artifact/state.ts';
import { blobRef, type BlobState } from '../../actors/blob/state.ts';
import { unlessGone } from '../../actors/kernel/errors.ts';
import { ARTIFACT, BLOB, requestArtifact, untilPhase, URL } from './main-path.ts';
import { NODE, World } from './world.ts';

const test = suite('identical content, crash at every boundary');
const OTHER = artifactRef('artifact-2');
const COME = blobRef('blob-2');
const PATIENCE_MS = 2_400_000;
/** Gives the same bytes. */
const MIRROR = 'http://mirror.test/guest';

function worldOf(seed: number): World {
  const world = new World(seed);
  const { web } = world.machine.images;
  const image = web.get(URL);
  if (image !== undefined) web.set(MIRROR, { ...image, content: URL });
  return world;
}

async function requestOther(world: World): Promise<void> {
  const source = { kind: 'url', url: MIRROR } as const;
  const about = { name: 'other', namespace: 'ns2', sourceUrl: MIRROR, source };
  const named = { type: 'image', ...about } as const;
  const blob = { blobId: COME.id, node: NODE };
  await world.request(OTHER, { kind: 'create', ...named, shared: false, maxVersions: 3, ...blob });
}

const versionsOf = (world: World, { id }: { id: string }) =>
  (world.journal.stateOf(artifactRef(id)) as ArtifactState).versions.map(({ blobId }) => blobId);
const blobOf = (world: World, { id }: { id: string }) =>
  world.journal.stateOf(blobRef(id)) as BlobState | undefined;

/** One of the two blobs is the version of both, used by both; the other one goes. Answers which stays. */
async function assertOne(world: World, where: string): Promise<string> {
  for (const ref of [ARTIFACT, OTHER]) await untilPhase(world, ref, 'created');
  const [kept = ''] = versionsOf(world, ARTIFACT);
  const gone = blobRef(kept === BLOB.id ? COME.id : BLOB.id);
  await untilPhase(world, gone, 'deleted');
  assert.equal([versionsOf(world, ARTIFACT), versionsOf(world, OTHER)], [[kept], [kept]], where);
  const users = () => (blobOf(world, { id: kept })?.users ?? []).toSorted().join();
  const both = `artifact/${ARTIFACT.id},artifact/${OTHER.id}`;
  await world.untilUp('both use it', () => users() === both, PATIENCE_MS);
  assert.equal([...world.machine.images.replicas.keys()], [kept], where);
  const claimed = [...world.claims.held.values()];
  assert.equal(claimed, [`blob/${kept}`, `blob/${kept}`], `${where}: its content and its address`);
  return kept;
}

async function drop(world: World, ref: { kind: 'artifact'; id: string }): Promise<void> {
  await unlessGone(world.request(artifactRef(ref.id), { kind: 'delete' }));
  await untilPhase(world, artifactRef(ref.id), 'deleted');
  await world.clock.advance(5_000);
}

const first = { kind: 'artifact', id: ARTIFACT.id } as const;
const second = { kind: 'artifact', id: OTHER.id } as const;

/** What one deletes the other keeps; with both it goes, and the claim on it. */
async function end(world: World, isFirstFirst: boolean, kept: string, where: string) {
  const order = isFirstFirst ? [first, second] : [second, first];
  const [one = first, two = second] = order;
  await drop(world, one);
  assert.is(blobOf(world, { id: kept })?.phase, 'created', where);
  assert.ok(world.machine.images.replicas.has(kept), where);
  await drop(world, two);
  await untilPhase(world, blobRef(kept), 'deleted');
  assert.equal([...world.machine.images.replicas.keys()], [], where);
  await world.clock.advance(5_000);
  assert.equal([...world.claims.held], [], where);
}

async function live(world: World, isTogether: boolean, where: string): Promise<void> {
  await requestArtifact(world);
  if (!isTogether) await untilPhase(world, ARTIFACT, 'created');
  await requestOther(world);
  const kept = await assertOne(world, where);
  await end(world, isTogether, kept, where);
}

for (const isTogether of [false, true]) {
  const how = isTogether ? 'at the same time' : 'one after the other';
  test(`fetched ${how}, killed at any boundary, it is one blob, and nothing is left`, async () => {
    const undisturbed = worldOf(5);
    await live(undisturbed, isTogether, 'undisturbed');
    const names = undisturbed.boundaries;
    for (const part of ['artifact/find-twin', 'artifact/hold-twin', 'artifact/release-version']) {
      assert.ok(
        names.some((name) => name.startsWith(part)),
        part,
      );
    }
    for (const [at, name] of names.entries()) {
      const where = `killed at ${at} ${name}`;
      const world = worldOf(5);
      world.killsAt = (_, index) => index === at && world.epoch === 1;
      await live(world, isTogether, where);
      assert.is(world.epoch, 2, where);
    }
  });
}

test('while the blob that was there is being deleted, the bytes that came are the version', async () => {
  const world = worldOf(5);
  await requestArtifact(world);
  await untilPhase(world, ARTIFACT, 'created');
  world.machine.fault = (call) =>
    call === 'image.removeReplica' ? new Error('the disk does not answer') : null;
  await world.request(ARTIFACT, { kind: 'delete' });
  await world.clock.advance(5_000);
  assert.is(world.phaseOf(BLOB), 'delete-wait');
  await requestOther(world);
  await untilPhase(world, OTHER, 'created');
  assert.equal(versionsOf(world, OTHER), [COME.id]);
  world.machine.fault = () => null;
  await untilPhase(world, BLOB, 'deleted');
  await world.clock.advance(5_000);
  assert.is(blobOf(world, COME)?.phase, 'created');
  assert.ok(world.machine.images.replicas.has(COME.id));
});

test('a claim of a blob that is no more hinders nobody for long', async () => {
  const world = worldOf(5);
  await world.claims.claim('content', `sha512 of ${URL}`, blobRef('long-gone'));
  await requestOther(world);
  await untilPhase(world, OTHER, 'created');
  assert.equal(versionsOf(world, OTHER), [COME.id]);
  assert.not([...world.claims.held.keys()].some((key) => key.startsWith('content')));
});

test.run();

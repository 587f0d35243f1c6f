// Copies of a blob whose bytes rot, whose files vanish, whose machines are drained or come new: what is left in the end.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AWAY_MS, BLOB, CopiesWorld, NAMES } from './copies-world.ts';

const test = suite('damaged and moved copies of a blob');

const CHECKSUM = 'blob failed checksum validation';
const NO_GOOD = 'no good copy is left';

/** Of two that hold it. */
async function made(names = NAMES): Promise<{ world: CopiesWorld; a: string; b: string }> {
  const world = new CopiesWorld(names);
  await world.make();
  const [a = '', b = ''] = world.holders;
  return { world, a, b };
}

function phaseOn(world: CopiesWorld, node: string): string | undefined {
  return world.state.replicas[node]?.phase;
}

test('a byte that has flipped on a disk is found, and the copy made again from the other', async () => {
  const { world, a } = await made();
  const before = world.holders;
  world.imagesOf(a).rotten.add(BLOB.id);
  await world.scrub();
  await world.rest();
  assert.ok(world.events.includes(CHECKSUM));
  assert.not.ok(world.imagesOf(a).rotten.has(BLOB.id));
  assert.equal(world.verified, before, 'the same machines hold it, no other has got one');
  assert.equal(world.holders, before);
  await world.scrub();
  await world.rest();
  assert.is(world.events.filter((text) => text === CHECKSUM).length, 1, 'once');
});

test('a file that has vanished likewise', async () => {
  const { world, a } = await made();
  const before = world.holders;
  world.imagesOf(a).replicas.delete(BLOB.id);
  await world.scrub();
  await world.rest();
  assert.ok(world.events.includes('the file of a copy is missing'));
  assert.equal(world.holders, before);
  assert.equal(world.verified, before);
});

test('a damaged copy is never copied from', async () => {
  const { world, a, b } = await made(['n1', 'n2', 'n3']);
  world.imagesOf(a).rotten.add(BLOB.id);
  await world.tell({ kind: 'need', user: 'artifact/a', node: 'n3' });
  await world.until('there', () => phaseOn(world, 'n3') === 'verified');
  assert.not.ok(world.imagesOf('n3').rotten.has(BLOB.id));
  assert.equal([phaseOn(world, a), phaseOn(world, b)], ['verified', 'verified'], 'not found yet');
});

test('the last copy is kept, damaged as it is, and that is said; it is made again when the other is back', async () => {
  const { world, a, b } = await made(['n1', 'n2']);
  await world.see(b);
  world.imagesOf(a).rotten.add(BLOB.id);
  await world.scrub();
  await world.rest();
  assert.is(phaseOn(world, a), 'damaged');
  assert.ok(world.holders.includes(a), 'not removed');
  assert.ok(world.events.includes(NO_GOOD));
  assert.match(world.state.replicas[a]?.failure?.reason ?? '', new RegExp(`bring back ${b}`));
  await world.rest(AWAY_MS);
  assert.ok(world.holders.includes(a), 'nor after a long time');
  await world.see();
  await world.rest();
  assert.equal(world.verified, [a, b].toSorted());
  assert.not.ok(world.imagesOf(a).rotten.has(BLOB.id));
});

test('two machines whose copies rot at once are told apart from one: nothing is removed', async () => {
  const { world, a, b } = await made();
  for (const node of [a, b]) world.imagesOf(node).rotten.add(BLOB.id);
  await world.scrub();
  await world.rest(60_000);
  assert.ok(world.events.includes(NO_GOOD));
  assert.equal(
    world.holders.filter((node) => [a, b].includes(node)),
    [a, b],
  );
  assert.equal(world.verified, []);
  // Somebody puts the file of one right.
  world.imagesOf(b).rotten.delete(BLOB.id);
  await world.scrub();
  await world.until('two good ones', () => world.verified.length === 2, 7_200_000);
  assert.ok(world.events.includes('a damaged copy is good again'));
  for (const node of world.verified) assert.not.ok(world.imagesOf(node).rotten.has(BLOB.id), node);
});

test('two of three machines lose their copies at once: both are made again from the third', async () => {
  const world = new CopiesWorld(NAMES, 3);
  await world.make();
  const before = world.holders;
  assert.is(before.length, 3);
  world.imagesOf(before[0] ?? '').replicas.delete(BLOB.id);
  world.imagesOf(before[2] ?? '').replicas.delete(BLOB.id);
  await world.scrub();
  await world.rest();
  assert.equal(world.verified, before);
  assert.equal(world.holders, before);
});

test('a damaged copy whose machine has no room is made elsewhere, and then removed', async () => {
  const { world, a } = await made();
  world.imagesOf(a).rotten.add(BLOB.id);
  world.imagesOf(a).isDiskFull = true;
  await world.scrub();
  await world.until('elsewhere', () => world.verified.length === 2, 3_600_000);
  await world.rest();
  assert.not.ok(world.holders.includes(a));
  assert.equal(world.holders, world.verified);
});

test('a damaged copy that a disk is based on is made good under it', async () => {
  const { world, a } = await made();
  const { images } = world.machines.get(a) ?? {};
  images?.disks.set('vm/vda', { baseBlobId: BLOB.id, sizeBytes: 1 });
  world.imagesOf(a).rotten.add(BLOB.id);
  await world.scrub();
  assert.ok(world.holders.includes(a), 'there all the time');
  await world.rest();
  assert.ok(world.verified.includes(a));
  assert.not.ok(world.imagesOf(a).rotten.has(BLOB.id));
});

test('a machine that is drained is emptied, once its copies are elsewhere', async () => {
  const { world, a } = await made();
  world.traits.set(a, { takesMore: false, sheds: true });
  await world.see();
  await world.rest();
  assert.is(world.holders.length, 2);
  assert.not.ok(world.holders.includes(a));
  assert.equal(world.holders, world.verified);
});

test('of a cluster too small to empty it the drained machine keeps its copy', async () => {
  const { world, a } = await made(['n1', 'n2']);
  world.traits.set(a, { takesMore: false, sheds: true });
  await world.see();
  await world.rest();
  assert.equal(world.holders, ['n1', 'n2']);
});

test('a machine in another failure domain gets a copy when it comes', async () => {
  const { world, a, b } = await made(['n1', 'n2', 'n3']);
  const other = ['n1', 'n2', 'n3'].find((node) => node !== a && node !== b) ?? '';
  for (const node of [a, b]) world.traits.set(node, { failureDomain: 'rack-1' });
  world.traits.set(other, { failureDomain: 'rack-2' });
  await world.see();
  await world.rest();
  assert.ok(world.verified.includes(other));
});

test('a blob that wants more copies than there are machines gets one when a machine comes, and when more are wanted', async () => {
  const { world } = await made();
  world.copies = 3;
  await world.see();
  await world.rest();
  assert.is(world.verified.length, 3);
  world.copies = 2;
  await world.see();
  await world.rest();
  assert.is(world.verified.length, 3, 'the third is a spare one');
});

test.run();

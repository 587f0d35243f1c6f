// Archives of several nodes over one store: what they record, what they give each other, and what the outbox may forget.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HistoryWorld, keys, told } from '../../support/history-world.ts';

const test = suite('archives');
let world: HistoryWorld;

test.before.each(() => {
  world = new HistoryWorld();
});
test.after.each(() => world.close());

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const messages = (
  items: Awaited<ReturnType<Awaited<ReturnType<HistoryWorld['start']>>['replay']>>,
) => items.map((item) => (item.what === 'event' ? item.event.message : told(item)));

test('an event that every archive has is taken out of the outbox, and can still be read', async () => {
  const one = await world.start('n1');
  const two = await world.start('n2');
  await one.write('a', { phase: 'creating' });
  await one.write('a');
  assert.is(await one.outbox(), 2);
  await world.clock.advance(MINUTE_MS);
  assert.is(await one.outbox(), 0);
  for (const node of [one, two])
    assert.equal(await node.events('a'), ['a is created', 'a is creating']);
  assert.equal(messages(await two.replay()), ['a is creating', 'a is created']);
});

test('events are read at once, before any archive has said that it has them', async () => {
  const one = await world.start('n1');
  await one.write('a', { type: 'audit', phase: 'creating' });
  await one.write('a');
  assert.equal(await one.events('a'), ['a is created', 'a is creating']);
  assert.equal(await one.events('a', 1), ['a is created']);
  assert.equal(await one.events('a', 0), []);
  assert.equal(await one.events('a', -1, 'audit'), ['a is creating']);
});

test('the outbox waits for an archive that is away, for an hour', async () => {
  const one = await world.start('n1');
  const two = await world.start('n2');
  await world.clock.advance(MINUTE_MS);
  await world.settled(two.stop());
  await one.write('a');
  await world.clock.advance(MINUTE_MS);
  assert.is(await one.outbox(), 1, 'n2 does not have it');
  await world.clock.advance(HOUR_MS);
  await one.write('b');
  await world.clock.advance(MINUTE_MS);
  assert.is(await one.outbox(), 0, 'n2 is not waited for any more');
});

test('an archive that was away follows the store from where it was', async () => {
  const one = await world.start('n1');
  await world.settled((await world.start('n2')).stop());
  for (let number = 0; number < 30; number++) await one.write(`i${number}`);
  await world.clock.advance(MINUTE_MS);
  const again = await world.start('n2');
  await world.clock.advance(MINUTE_MS);
  assert.equal((await again.replay()).map(told), (await one.replay()).map(told));
  assert.is((await again.replay()).length, 30);
  assert.is(await one.outbox(), 0);
});

test('one that was away for longer than the store remembers asks another', async () => {
  const one = await world.start('n1');
  await one.write('before');
  await world.settled((await world.start('n2')).stop());
  for (let number = 0; number < 30; number++) await one.write(`i${number % 3}`);
  await world.clock.advance(2 * HOUR_MS);
  world.server.compact(world.server.revision);
  assert.is(await one.outbox(), 0, 'or the listing would have been enough');
  const again = await world.start('n2');
  assert.equal((await again.replay()).map(told), (await one.replay()).map(told));
  assert.is((await again.replay()).length, 31);
});

test('what no archive has is a gap, and is mended when the one that has it can be asked', async () => {
  const one = await world.start('n1');
  await world.settled((await world.start('n2')).stop());
  const first = await one.write('a', { phase: 'creating' });
  await world.clock.advance(2 * HOUR_MS);
  await one.write('b');
  await world.clock.advance(MINUTE_MS);
  world.server.compact(world.server.revision);
  world.cut.add('n1');
  const again = await world.start('n2');
  const [gap] = await again.replay();
  if (gap?.what !== 'gap') throw new Error('no gap');
  assert.is(
    gap.reason,
    ('before-archive' satisfies string) === gap.reason ? gap.reason : 'compacted',
  );
  assert.ok(gap.from <= first && gap.to >= first, told(gap));
  assert.is(gap.count, null);
  world.cut.delete('n1');
  await world.clock.advance(MINUTE_MS);
  assert.equal((await again.replay()).map(told), (await one.replay()).map(told));
  assert.equal(messages(await again.replay()), ['a is creating', 'b is created']);
});

for (const harm of ['loseFile', 'damageFile'] as const)
  test(`an archive whose file is gone or damaged is filled again from another (${harm})`, async () => {
    const one = await world.start('n1');
    const two = await world.start('n2');
    for (let number = 0; number < 40; number++) await one.write(`i${number % 5}`);
    await world.clock.advance(MINUTE_MS);
    await world.settled(two.stop());
    world[harm]('n2');
    world.server.compact(world.server.revision);
    const again = await world.start('n2');
    assert.equal((await again.replay()).map(told), (await one.replay()).map(told));
    assert.is((await again.replay()).length, 40);
    const asides = again.lines.filter(({ message }) => message.includes('set aside'));
    assert.is(asides.length, harm === 'damageFile' ? 1 : 0);
  });

test('an archive alone that has lost its file says what it does not have', async () => {
  const one = await world.start('n1');
  for (let number = 0; number < 5; number++) await one.write('a');
  await world.clock.advance(MINUTE_MS);
  const { revision } = one.history.history;
  await world.settled(one.stop());
  world.loseFile('n1');
  const again = await world.start('n1');
  const items = await again.replay();
  assert.equal(
    items.map((item) => item.what),
    ['gap'],
  );
  assert.ok(items[0]?.what === 'gap' && items[0].from === 1 && items[0].to >= revision);
  await again.write('b');
  assert.equal(await again.events('b'), ['b is created']);
});

test('the events of a removed object stay, with the last of them, and have its namespace', async () => {
  const one = await world.start('n1');
  await world.clock.advance(MINUTE_MS);
  await one.write('a', { namespace: 'lab' });
  await one.write('a', null);
  await world.clock.advance(MINUTE_MS);
  assert.is(await one.outbox(), 0);
  assert.equal(await one.events('a'), ['a is created', 'a is created']);
  const items = await one.replay();
  assert.equal(
    items.map((item) => (item.what === 'event' ? item.namespace : '')),
    ['lab', 'lab'],
  );
  const gone = await one.history.reader.version({ kind: 'instance', id: 'a' }, null);
  assert.is(gone?.state, null);
});

test('where no node keeps an archive, the events of a removed object go with it', async () => {
  const one = await world.start('n1', { hasArchive: false });
  await one.write('a');
  assert.equal(await one.events('a'), ['a is created']);
  await one.write('a', null);
  await world.clock.advance(MINUTE_MS);
  assert.is(await one.outbox(), 0);
});

test('a node without an archive reads those of others, and streams what happens now itself', async () => {
  const one = await world.start('n1');
  await one.write('a', { phase: 'creating' });
  await world.clock.advance(MINUTE_MS);
  const edge = await world.start('n2', { hasArchive: false });
  const live: string[] = [];
  edge.history.history.onRecorded(({ items }) => live.push(...(items ?? []).map(told)));
  const revision = await one.write('a');
  await world.clock.advance(MINUTE_MS);
  assert.equal(live, [`${revision} a is created`]);
  assert.equal(await edge.events('a'), ['a is created', 'a is creating']);
  assert.equal(messages(await edge.replay()), ['a is creating', 'a is created']);
  assert.equal((await one.store.range({ prefix: keys.archives() })).entries.length, 1);
});

test('a store that was set back begins another history; the old file is kept aside', async () => {
  const one = await world.start('n1');
  for (let number = 0; number < 5; number++) await one.write('a');
  await world.clock.advance(MINUTE_MS);
  await world.settled(one.stop());
  const other = new HistoryWorld();
  const fresh = await other.start('n1');
  await fresh.write('b');
  await other.settled(fresh.stop());
  Object.assign(world, { server: other.server });
  const again = await world.start('n1');
  assert.equal(messages(await again.replay()), ['b is created']);
  assert.ok(again.lines.some(({ message }) => message.includes('gone back')));
  await other.close();
});

test('an archive that has nothing to record writes nothing', async () => {
  await world.start('n1');
  await world.start('n2');
  await world.clock.advance(MINUTE_MS);
  const before = world.server.revision;
  await world.clock.advance(24 * HOUR_MS);
  assert.is(world.server.revision, before);
});

test.run();

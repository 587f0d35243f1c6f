// One archive's file: order, repetition, crashes, paging, and what is removed when.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventType } from '../../../actors/kernel/kind.ts';
import { archiveInThread } from '../../../src/archive/archive.ts';
import { ArchiveFile } from '../../../src/archive/archive-file.ts';
import { ArchiveReader } from '../../../src/archive/archive-reader.ts';
import type { EventRow, Row, VersionRow } from '../../../src/archive/record.ts';
import type { Sweep } from '../../../src/archive/retention.ts';
import { FOR_EVER, told } from '../../support/history-world.ts';
import { seededRandom } from '../../support/kernel.ts';

const test = suite('archive file');
const directory = mkdtempSync(join(tmpdir(), 'troupe-archive-'));
test.after(() => rmSync(directory, { recursive: true }));

const memory = () => new ArchiveFile({ path: ':memory:', cluster: 'test' });
const reader = (file: ArchiveFile) =>
  new ArchiveReader((message) => Promise.resolve(file.answer(message)));
const DAY_MS = 86_400_000;

function event(revision: number, of: Partial<EventRow> & { type?: EventType; atMs?: number } = {}) {
  const { type = 'status', atMs = revision, ...others } = of;
  const id = `${String(revision).padStart(9, '0')}`;
  const row: EventRow = {
    what: 'event',
    revision,
    kind: 'instance',
    id: 'a',
    namespace: 'lab',
    event: { id, atMs, node: 'n1', trace: `t${revision}`, type, message: `m${revision}` },
    ...others,
  };
  return row;
}

function version(revision: number, state: VersionRow['state'], of: Partial<VersionRow> = {}) {
  const what = { what: 'version', kind: 'instance', id: 'a', namespace: 'lab' } as const;
  const when = { atMs: revision, trace: `t${revision}`, isFirst: false };
  return { ...what, revision, schema: 1, state, ...when, ...of } satisfies VersionRow;
}

const record = (file: ArchiveFile, rows: readonly Row[], revision = rows.at(-1)?.revision ?? 0) =>
  file.record({ rows, gaps: [], revision });

async function all(file: ArchiveFile, limit = 100, namespace?: string): Promise<string[]> {
  const found: string[] = [];
  const filter = namespace === undefined ? {} : { namespace };
  for (let after = 0; ;) {
    const page = await reader(file).page({ after, filter, limit });
    found.push(...page.items.map(told));
    after = page.through;
    if (!page.more) return found;
  }
}

test('what does not follow on the cursor is refused, and leaves everything as it was', async () => {
  const file = memory();
  record(file, [event(5), event(6)]);
  const refused = [[event(6)], [event(8), event(7)], [event(3), event(9)]];
  for (const rows of refused)
    assert.throws(() => record(file, rows, 9), /takes what follows in order/);
  assert.throws(() => record(file, [event(9)], 8), /takes what follows in order/);
  assert.throws(() => record(file, [], 4), /does not go back/);
  assert.is(file.cursor, 6);
  assert.equal(await all(file), ['5 m5', '6 m6']);
  file.close();
});

test('a batch that fails half way is not there at all', async () => {
  const file = memory();
  record(file, [event(5)]);
  const unwritable = { ...event(7), namespace: undefined as unknown as string };
  assert.throws(() => record(file, [event(6), unwritable]));
  assert.is(file.cursor, 5);
  assert.equal(await all(file), ['5 m5']);
  record(file, [event(6), event(7)]);
  assert.equal(await all(file), ['5 m5', '6 m6', '7 m7']);
  file.close();
});

test('a file whose process was killed has whole batches, and goes on from its cursor', async () => {
  const path = join(directory, 'killed.db');
  const file = new ArchiveFile({ path, cluster: 'test' });
  record(file, [event(5), event(6)]);
  // Another process's view of the same file, as after a kill: the log is read, and nothing was closed.
  const again = new ArchiveFile({ path, cluster: 'test' });
  assert.is(again.cursor, 6);
  assert.equal(await all(again), ['5 m5', '6 m6']);
  record(again, [event(7)]);
  again.close();
  file.close();
});

test('another archive fills in what was recorded twice only once', async () => {
  const file = memory();
  record(file, [event(5), event(9)]);
  file.fill([event(5), event(7), version(7, { a: 1 })], []);
  file.fill([event(5), event(7), version(7, { a: 1 })], []);
  assert.is(file.cursor, 9);
  assert.equal(await all(file), ['5 m5', '7 m7', '9 m9']);
  file.close();
});

test('pages of any size hold whole revisions, once each, with gaps where they end', async () => {
  const file = memory();
  const rows = [2, 3, 3, 3, 5, 5, 8].map((revision, index) => ({
    ...event(revision),
    event: { ...event(revision).event, id: `e${index}`, message: `${index}` },
  }));
  const gaps = [
    { from: 6, to: 7, count: 2, reason: 'compacted', namespace: '', type: '' } as const,
  ];
  file.record({ rows, gaps, revision: 9 });
  const expected = ['2 0', '3 1', '3 2', '3 3', '5 4', '5 5', 'gap 6-7 2 compacted', '8 6'];
  for (const limit of [1, 2, 3, 5, 100]) assert.equal(await all(file, limit), expected, `${limit}`);
  const page = await reader(file).page({ after: 2, filter: {}, limit: 2 });
  assert.equal([page.through, page.more, page.items.length], [3, true, 3]);
  file.close();
});

test('a tenant reads its own, and learns of gaps that may be its own', async () => {
  const file = memory();
  const other = { namespace: 'other', id: 'b' };
  const gap = { count: 1, reason: 'retention', type: 'status' } as const;
  const gaps = [
    { from: 1, to: 1, ...gap, namespace: 'lab' },
    { from: 1, to: 2, ...gap, namespace: 'other' },
  ];
  file.record({ rows: [event(5), event(6, other), event(7)], gaps, revision: 7 });
  assert.equal(await all(file, 1, 'lab'), ['gap 1-1 1 retention', '5 m5', '7 m7']);
  file.close();
});

test('an event without a namespace gets that of its object', () => {
  const file = memory();
  record(file, [version(5, { namespace: 'lab' })]);
  const rows = record(file, [event(6, { namespace: '' }), event(6, { namespace: '', id: 'x' })]);
  assert.equal(
    rows.map(({ namespace }) => namespace),
    ['lab', 'system'],
  );
  file.close();
});

test('what an object was is known by revision and by time; what did not change is kept once', async () => {
  const file = memory();
  const first = version(5, { a: 1 }, { isFirst: true });
  record(file, [
    first,
    version(6, { a: 1 }),
    version(9, { a: 2 }),
    version(12, null, { schema: 0 }),
  ]);
  const at = async (moment: { revision: number } | { atMs: number } | null) => {
    const found = await reader(file).version({ kind: 'instance', id: 'a' }, moment);
    return found === null ? null : [found.revision, found.state?.['a'] ?? null];
  };
  assert.is(await at({ revision: 4 }), null);
  assert.equal(await at({ revision: 8 }), [5, 1]);
  assert.equal(await at({ atMs: 9 }), [9, 2]);
  assert.equal(await at({ atMs: 11.5 }), [9, 2]);
  assert.equal(await at(null), [12, null]);
  file.close();
});

test('each member is blamed on the version that gave it its present value', async () => {
  const file = memory();
  record(file, [
    version(5, { a: 1, b: 1, c: 1 }, { isFirst: true }),
    version(6, { a: 2, b: 1, c: 1 }),
    version(7, { a: 1, b: 1, c: 2 }),
    version(8, { a: 1, b: 1, c: 3 }),
  ]);
  const blame = await reader(file).blame({ kind: 'instance', id: 'a' });
  const by = Object.fromEntries(blame.map(({ member, revision }) => [member, revision]));
  assert.equal(by, { a: 7, b: 5, c: 8 });
  file.close();
});

test('a member older than what is kept is blamed on nobody', async () => {
  const file = memory();
  record(file, [version(6, { a: 2, b: 1 }), version(7, { a: 3, b: 1 })]);
  const blame = await reader(file).blame({ kind: 'instance', id: 'a' });
  const by = Object.fromEntries(blame.map(({ member, revision }) => [member, revision]));
  assert.equal(by, { a: 7, b: null });
  file.close();
});

/** Sweeps to the end; resolves to the number of slices. */
function sweep(file: ArchiveFile, options: Partial<Sweep> & Pick<Sweep, 'startedAtMs'>): number {
  const all_ = { node: 'n1', revision: file.cursor, retention: FOR_EVER, slice: 3, ...options };
  let slices = 0;
  while (file.sweep(all_)) slices++;
  return slices;
}

test('old events go by type, with a gap for who replays and a note on the object', async () => {
  const file = memory();
  const rows = Array.from({ length: 10 }, (_, index) =>
    event(index + 1, { atMs: index * DAY_MS, type: index % 2 === 0 ? 'status' : 'audit' }),
  );
  record(file, rows);
  const eventAgeMs = { ...FOR_EVER.eventAgeMs, status: 3 * DAY_MS };
  sweep(file, { startedAtMs: 9.5 * DAY_MS, retention: { ...FOR_EVER, eventAgeMs } });
  const left = ['2 m2', '4 m4', '6 m6', 'gap 1-7 4 retention', '8 m8', '9 m9', '10 m10'];
  assert.equal((await all(file)).toSorted(), left.toSorted());
  const [note] = await reader(file).newest(
    { kind: 'instance', id: 'a' },
    { limit: 1, type: 'prune' },
  );
  assert.is(note?.event.message, 'pruned 4 status events');
  assert.equal(note?.event.extra, { count: 4, 'event-type': 'status' });
  assert.is(sweep(file, { startedAtMs: 9.5 * DAY_MS }), 0, 'and then there is nothing to do');
  file.close();
});

test('notes go after a while themselves, without another', async () => {
  const file = memory();
  record(file, [event(1)]);
  const ages = { ...FOR_EVER.eventAgeMs, status: 1, prune: DAY_MS };
  const retention = { ...FOR_EVER, eventAgeMs: ages };
  sweep(file, { startedAtMs: DAY_MS, retention });
  const notes = () => reader(file).newest({ kind: 'instance', id: 'a' }, { limit: -1, type: null });
  assert.is((await notes()).length, 1);
  sweep(file, { startedAtMs: 3 * DAY_MS, retention });
  assert.is((await notes()).length, 0);
  file.close();
});

test('of any history the sweep leaves exactly what is young enough and not too much (seeded)', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seededRandom(seed);
    const draw = (most: number) => Math.floor(random.number() * most);
    const file = memory();
    const types = ['audit', 'status', 'usage'] as const;
    const rows = Array.from({ length: draw(80) + 1 }, (_, index) => {
      const type = types[draw(3)] ?? 'audit';
      return event(index + 1, { type, id: `o${draw(3)}`, atMs: index * 1_000 });
    });
    record(file, rows);
    const age = () => (random.number() < 0.3 ? null : draw(60) * 1_000);
    const eventAgeMs = { ...FOR_EVER.eventAgeMs, audit: age(), status: age(), usage: age() };
    const most = random.number() < 0.5 ? null : draw(20) + 1;
    const retention = { ...FOR_EVER, eventAgeMs, eventsPerObject: most };
    const startedAtMs = rows.length * 1_000;
    sweep(file, { startedAtMs, retention, slice: draw(7) + 1 });
    const young = rows.filter(({ event: { type, atMs } }) => {
      const ageMs = eventAgeMs[type];
      return ageMs === null || atMs >= startedAtMs - ageMs;
    });
    const kept = young.filter((row) => {
      const newer = young.filter(({ id, revision }) => id === row.id && revision > row.revision);
      return most === null || newer.length < most;
    });
    const found = (await all(file)).filter((one) => !one.startsWith('gap'));
    assert.equal(found, kept.map(told), `seed ${seed}`);
    const gaps = (await reader(file).page({ after: 0, filter: {}, limit: 1_000 })).items;
    const counted = gaps.flatMap((one) => (one.what === 'gap' ? [one.count ?? 0] : []));
    const sum = counted.reduce((total, one) => total + one, 0);
    assert.is(sum, rows.length - kept.length, `seed ${seed}: what is gone is counted`);
    file.close();
  }
});

test('of versions the newest of what is there stays, whatever its age', async () => {
  const file = memory();
  record(file, [version(1, { a: 1 }), version(2, { a: 2 }), version(3, { b: 1 }, { id: 'b' })]);
  record(file, [version(4, null, { id: 'b', schema: 0 }), version(5, { a: 3 })]);
  sweep(file, { startedAtMs: DAY_MS, retention: { ...FOR_EVER, versionAgeMs: 1_000 } });
  const now = (id: string) => reader(file).version({ kind: 'instance', id }, null);
  assert.equal((await now('a'))?.state, { a: 3 });
  assert.is(await reader(file).version({ kind: 'instance', id: 'a' }, { revision: 4 }), null);
  assert.is(await now('b'), null, 'of what is gone nothing stays');
  file.close();
});

test('more versions than are kept of one object go, the oldest first', async () => {
  const file = memory();
  record(
    file,
    Array.from({ length: 20 }, (_, index) => version(index + 1, { a: index })),
  );
  sweep(file, { startedAtMs: DAY_MS, retention: { ...FOR_EVER, versionsPerObject: 4 } });
  const at = (revision: number) =>
    reader(file).version({ kind: 'instance', id: 'a' }, { revision });
  assert.is(await at(16), null);
  assert.equal((await at(17))?.state, { a: 16 });
  file.close();
});

test('a file of another cluster, or of a newer program, is set aside, not touched', () => {
  const path = join(directory, 'other.db');
  const file = new ArchiveFile({ path, cluster: 'other' });
  record(file, [event(5)]);
  file.close();
  const mine = new ArchiveFile({ path, cluster: 'test' });
  assert.match(mine.takeSetAside() ?? '', /of the cluster other/);
  assert.is(mine.cursor, 0);
  mine.close();
  const newer = new DatabaseSync(path);
  newer.exec('pragma user_version = 99');
  newer.close();
  const again = new ArchiveFile({ path, cluster: 'test' });
  assert.match(again.takeSetAside() ?? '', /version 99/);
  again.close();
});

test('an archive in its thread does the same', async () => {
  const path = join(directory, 'thread.db');
  const archive = archiveInThread({ path, cluster: 'test' });
  assert.equal(await archive.open(), { cursor: 0, setAside: null });
  await archive.record({ rows: [event(5)], gaps: [], revision: 5 });
  let refusal: unknown;
  await archive.record({ rows: [event(4)], gaps: [], revision: 6 }).catch((error: unknown) => {
    refusal = error;
  });
  assert.is((refusal as { code?: string }).code, 'store/bad-value');
  await archive.flush();
  assert.equal(await archive.open(), { cursor: 5, setAside: null });
  await archive.close();
});

test.run();

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { ResumingWatch, type StreamEvents } from '../../../transport/store/resuming-watch.ts';
import type { Change } from '../../../transport/store/store.ts';
import { ManualClock, seededRandom } from '../../support/kernel.ts';

const test = suite('resuming watch');
const change = (revision: number, key = 'k'): Change => ({ kind: 'delete', key, revision });

interface Opened {
  readonly start: number;
  readonly events: StreamEvents;
  isClosed: boolean;
}

/** A watch from revision `from` whose streams the test plays. */
function setUp(from = 1, currentRevision = () => Promise.resolve(1_000)) {
  const clock = new ManualClock();
  const streams: Opened[] = [];
  const seen: number[] = [];
  const ends: Error[] = [];
  const links: boolean[] = [];
  const watch = new ResumingWatch(
    {
      clock,
      random: () => 0.5,
      openTimeoutMs: 5_000,
      currentRevision,
      open(_prefix, start, events) {
        const opened = { start, events, isClosed: false };
        streams.push(opened);
        return {
          close() {
            opened.isClosed = true;
            return Promise.resolve();
          },
        };
      },
    },
    { prefix: '/', fromRevision: from },
    {
      changes: (changes) => void seen.push(...changes.map(({ revision }) => revision)),
      ended: (error) => void ends.push(error),
      link: (up) => void links.push(up),
    },
    () => undefined,
  );
  const last = () => {
    const stream = streams.at(-1);
    if (stream === undefined) throw new Error('no stream was opened');
    return stream;
  };
  return { clock, watch, streams, last, seen, ends, links };
}

test('a stream that breaks right after it opened loses nothing of the backlog', async () => {
  const { clock, last, seen } = setUp(1);
  // The store is far ahead; nothing has been delivered.
  last().events.opened(3_000, 'c');
  last().events.broken(new Error('reset'));
  await clock.advance(100);
  assert.is(last().start, 1);
  last().events.opened(3_000, 'c');
  last().events.batch([change(2), change(3)], true);
  assert.equal(seen, [2, 3]);
});

test('it resumes after the last change delivered, and drops what it has seen', async () => {
  const { clock, last, seen } = setUp(1);
  last().events.opened(3_000, 'c');
  last().events.batch([change(2), change(3), change(4)], true);
  last().events.broken(new Error('reset'));
  await clock.advance(100);
  assert.is(last().start, 4);
  last().events.opened(3_000, 'c');
  last().events.batch([change(4), change(5)], true);
  assert.equal(seen, [2, 3, 4, 5]);
});

test('half a revision is not delivered, and comes whole from the next stream', async () => {
  const { clock, last, seen, watch } = setUp(1);
  last().events.opened(9, 'c');
  last().events.batch([change(2), change(3, 'a')], false);
  assert.equal(seen, []);
  last().events.broken(new Error('reset'));
  await clock.advance(100);
  last().events.opened(9, 'c');
  last().events.batch([change(2), change(3, 'a')], false);
  last().events.batch([change(3, 'b')], true);
  assert.equal(seen, [2, 3, 3]);
  assert.is(watch.revision, 3);
});

test('a progress report moves the cursor, so that compaction of other keys does no harm', async () => {
  const { clock, last } = setUp(1);
  last().events.opened(50, 'c');
  last().events.progress(50);
  last().events.broken(new Error('reset'));
  await clock.advance(100);
  assert.is(last().start, 50);
});

test('a stream that is never taken is given up at its deadline', async () => {
  const { clock, streams } = setUp();
  await clock.advance(5_000);
  assert.is(streams[0]?.isClosed, true);
  await clock.advance(100);
  assert.is(streams.length, 2);
});

test('what an old stream still says is ignored', async () => {
  const { clock, streams, seen, ends } = setUp();
  const old = streams[0];
  old?.events.opened(9, 'c');
  old?.events.broken(new Error('reset'));
  await clock.advance(100);
  old?.events.batch([change(2)], true);
  old?.events.refused(new TroupeError('store/compacted', 'late'));
  assert.equal(seen, []);
  assert.equal(ends, []);
});

test('opening again backs off to two seconds, and starts over once a stream was taken', async () => {
  const { clock, streams, last } = setUp();
  for (let i = 0; i < 12; i++) {
    last().events.broken(new Error('refused'));
    await clock.advance(2_000);
  }
  assert.is(streams.length, 13);
  last().events.broken(new Error('refused'));
  await clock.advance(1_000);
  assert.is(streams.length, 13);
  await clock.advance(1_000);
  last().events.opened(9, 'c');
  last().events.broken(new Error('reset'));
  await clock.advance(50);
  assert.is(streams.length, 15);
});

test('a store with another identity, or an older one, ends the watch', async () => {
  const other = setUp();
  other.last().events.opened(9, 'c');
  other.last().events.broken(new Error('reset'));
  await other.clock.advance(100);
  other.last().events.opened(9, 'another');
  assert.match(other.ends[0]?.message ?? '', 'another one');
  const older = setUp(100, () => Promise.resolve(50));
  older.last().events.opened(50, 'c');
  await older.clock.advance(0);
  assert.match(older.ends[0]?.message ?? '', 'went back');
});

test('a member that lags is not a store that went back', async () => {
  const { clock, last, ends, seen } = setUp(100, () => Promise.resolve(120));
  last().events.opened(90, 'c');
  await clock.advance(0);
  last().events.batch([change(100)], true);
  assert.equal(ends, []);
  assert.equal(seen, [100]);
});

test('the link is reported once per change of its state', async () => {
  const { clock, last, links } = setUp();
  for (let i = 0; i < 5; i++) {
    last().events.broken(new Error('refused'));
    await clock.advance(2_000);
  }
  last().events.opened(9, 'c');
  assert.equal(links, [false, true]);
});

test('after close() nothing is told and nothing is left', async () => {
  const { clock, watch, last, seen, ends } = setUp();
  const stream = last();
  stream.events.opened(9, 'c');
  await watch.close();
  stream.events.batch([change(2)], true);
  stream.events.refused(new TroupeError('store/compacted', 'late'));
  assert.is(stream.isClosed, true);
  assert.equal([seen, ends], [[], []]);
  assert.is(clock.pending, 0);
});

test('whatever the streams do, every change is delivered once and in order (seeded)', async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { clock, last, seen, ends } = setUp();
    const random = seededRandom(seed);
    const pick = (below: number) => Math.floor(random.number() * below);
    const LAST = 200;
    for (let step = 0; step < 5_000 && seen.at(-1) !== LAST; step++) {
      const { start, events } = last();
      events.opened(LAST, 'c');
      let at = start - 1;
      while (at < LAST && pick(4) > 0) {
        const batch = Array.from({ length: 1 + pick(20) }, () => change(++at)).filter(
          ({ revision }) => revision <= LAST,
        );
        // Sometimes a part is repeated, and sometimes a revision is cut in two.
        if (pick(3) === 0) events.batch(batch.slice(0, pick(batch.length + 1)), true);
        events.batch(batch, pick(5) > 0);
      }
      if (seen.at(-1) === LAST) break;
      events.broken(new Error('reset'));
      await clock.advance(2_000);
    }
    const expected = Array.from({ length: LAST }, (_, i) => i + 1);
    assert.equal(seen, expected, `seed ${seed}`);
    assert.equal(ends, []);
  }
});

test.run();

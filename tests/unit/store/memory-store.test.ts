// The faults of the in-memory store: what a caller is told is what a caller of a real one could know.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { ManualClock } from '../../support/kernel.ts';

const test = suite('memory store faults');
const value = Uint8Array.from([1]);

function setUp() {
  const clock = new ManualClock();
  const cluster = new MemoryCluster({ clock });
  const [faulty, healthy] = [new MemoryStore({ cluster }), new MemoryStore({ cluster })];
  return { clock, cluster, faulty, healthy };
}

/** Resolves to how the call ended, in words, and when. */
async function outcome(clock: ManualClock, call: Promise<unknown>) {
  const ended = call.then(
    () => ({ code: 'ok', ambiguous: false, atMono: clock.monoMs() }),
    (error: { code: string; detail: { ambiguous: boolean } }) => ({
      code: error.code,
      ambiguous: error.detail.ambiguous,
      atMono: clock.monoMs(),
    }),
  );
  await clock.advance(20_000);
  return ended;
}

test('a refused link fails at once, and the caller knows that nothing happened', async () => {
  const { clock, cluster, faulty } = setUp();
  faulty.faults.link = 'refused';
  const expected = { code: 'store/unavailable', ambiguous: false, atMono: 0 };
  assert.equal(await outcome(clock, faulty.put('/k', value)), expected);
  assert.is(cluster.revision, 1);
});

test('a stalled link fails at the deadline, and only a transaction is ambiguous', async () => {
  const { clock, faulty } = setUp();
  faulty.faults.link = 'stalled';
  const txn = await outcome(clock, faulty.put('/k', value));
  assert.equal(txn, { code: 'store/unavailable', ambiguous: true, atMono: 5_000 });
  const read = await outcome(clock, faulty.get('/k'));
  assert.equal(read, { code: 'store/unavailable', ambiguous: false, atMono: 25_000 });
});

test('a lost request did nothing and a lost answer did all; the caller cannot tell', async () => {
  const { clock, cluster, faulty } = setUp();
  faulty.faults.fate = () => 'lose-request';
  const lostRequest = await outcome(clock, faulty.put('/k', value));
  assert.is(cluster.revision, 1);
  faulty.faults.fate = () => 'lose-answer';
  const lostAnswer = await outcome(clock, faulty.put('/k', value));
  assert.is(cluster.revision, 2);
  assert.equal([lostRequest.code, lostRequest.ambiguous], ['store/unavailable', true]);
  assert.equal([lostAnswer.code, lostAnswer.ambiguous], ['store/unavailable', true]);
});

test('a refusal is an answer and can be lost as one', async () => {
  const { clock, faulty } = setUp();
  faulty.faults.fate = () => 'lose-answer';
  const lost = await outcome(clock, faulty.put('/k', value, '99'));
  assert.is(lost.code, 'store/unavailable');
});

test('a link that stalls while a request is on its way loses the answer, not the effect', async () => {
  const { clock, cluster, faulty } = setUp();
  faulty.faults.delayMs = 100;
  const call = faulty.put('/k', value);
  await clock.advance(150);
  assert.is(cluster.revision, 2);
  faulty.faults.link = 'stalled';
  const expected = { code: 'store/unavailable', ambiguous: true, atMono: 5_000 };
  assert.equal(await outcome(clock, call), expected);
});

test('a cut client loses its lease by its own clock before the cluster ends it', async () => {
  const { clock, cluster, faulty, healthy } = setUp();
  const lease = await faulty.lease(10_000);
  await faulty.put('/k', value, lease.id);
  await clock.advance(30_000);
  assert.ok((await healthy.get('/k')) !== null);
  let lostAtMono = 0;
  lease.onLost(() => (lostAtMono = clock.monoMs()));
  let goneAtMono = 0;
  cluster.listen(() => (goneAtMono = clock.monoMs()));
  faulty.faults.link = 'stalled';
  await clock.advance(30_000);
  assert.ok(lostAtMono > 30_000, `lost at ${lostAtMono}`);
  assert.ok(goneAtMono > lostAtMono, `gone at ${goneAtMono}, lost at ${lostAtMono}`);
  assert.is(await healthy.get('/k'), null);
});

test('one client cut off does not trouble another', async () => {
  const { clock, faulty, healthy } = setUp();
  faulty.faults.link = 'stalled';
  assert.is((await outcome(clock, healthy.put('/k', value))).code, 'ok');
});

test('close() waits for the call under way', async () => {
  const { clock, faulty } = setUp();
  faulty.faults.delayMs = 100;
  const call = faulty.put('/k', value);
  let isClosed = false;
  const closed = faulty.close().then(() => (isClosed = true));
  await clock.advance(150);
  assert.is(isClosed, false);
  await clock.advance(100);
  assert.is(await call, 2);
  await closed;
  await rejects(faulty.get('/k'), { code: 'store/closed' });
});

test.run();

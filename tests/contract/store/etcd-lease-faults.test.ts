// Leases on a real etcd whose link fails: lost in time, by our own clock, and not lost without need.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { inLab, timed } from './fault-lab.ts';
import { bytes, eventually } from './harness.ts';

const test = suite('etcd lease faults');

test('a connection that died silently costs a read nothing but time, and a lease one renewal', () =>
  inLab(async ({ link, store, direct }) => {
    await store.put('/k', bytes('1'));
    const lease = await store.lease(3_000);
    await store.put('/l', bytes('v'), lease.id);
    const ends: string[] = [];
    lease.onLost((end) => ends.push(end));
    const first = lease.validUntilMono();
    await eventually('a renewal', () => lease.validUntilMono() > first);
    // What exists is a black hole from now on; only a new connection helps.
    link.strand();
    assert.is((await timed(store.get('/k'))).code, 'ok');
    const stranded = lease.validUntilMono();
    await eventually(
      'renewals on a new connection',
      () => lease.validUntilMono() > stranded + 3_000,
    );
    assert.equal(ends, []);
    assert.is((await direct.get('/l'))?.lease, lease.id);
  }));

for (const fault of ['stall', 'cut'] as const) {
  test(`a ${fault}: the lease is lost by our own clock before etcd can end it`, () =>
    inLab(async ({ link, store, direct }) => {
      const lease = await store.lease(2_000);
      await store.put('/l', bytes('v'), lease.id);
      const first = lease.validUntilMono();
      await eventually('a renewal', () => lease.validUntilMono() > first);
      const lost: { atMono: number; isThere: Promise<boolean> }[] = [];
      lease.onLost((end) => {
        assert.is(end, 'deadline');
        const isThere = direct.get('/l').then((entry) => entry !== null);
        lost.push({ atMono: systemClock.monoMs(), isThere });
      });
      await link[fault]();
      const validUntil = lease.validUntilMono();
      await eventually('the loss', () => lost.length > 0);
      const late = (lost[0]?.atMono ?? 0) - validUntil;
      assert.ok(late >= 0 && late < 250, `${late} ms after the deadline`);
      assert.is(await lost[0]?.isThere, true, 'the key was gone before we knew');
      await eventually('the end on the server', async () => (await direct.get('/l')) === null);
      await link.resume();
      await eventually('a working link', async () => (await timed(store.get('/k'))).code === 'ok');
      assert.is(lost.length, 1);
      assert.is(lease.validUntilMono(), -Infinity);
    }));
}

test('a lease survives connections that are dropped again and again', () =>
  inLab(async ({ link, store, direct }) => {
    const lease = await store.lease(2_000);
    await store.put('/l', bytes('v'), lease.id);
    const ends: string[] = [];
    lease.onLost((end) => ends.push(end));
    const until = lease.validUntilMono() + 4_000;
    const dropping = setInterval(() => link.drop(), 150);
    await eventually('renewals', () => lease.validUntilMono() > until);
    clearInterval(dropping);
    assert.equal(ends, []);
    assert.is((await direct.get('/l'))?.lease, lease.id);
  }));

test.run();

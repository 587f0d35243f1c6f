// The limit on copies' bytes a second: by arithmetic, and shared between threads.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RateLimit } from '../../../transport/blobs/rate-limit.ts';

const test = suite('rate limit');

const MIB = 2 ** 20;

/** At 1 MiB/s, and a clock to set, ms. */
function limit(bytesPerSecond = MIB) {
  const clock = { ms: 10_000 };
  const nowNs = () => BigInt(Math.round(clock.ms)) * 1_000_000n;
  return { clock, rate: new RateLimit(bytesPerSecond, undefined, nowNs) };
}

test('a burst goes at once, what follows waits for its turn', () => {
  const { rate } = limit();
  assert.is(rate.take(MIB / 4, false), 0);
  assert.is(rate.take(MIB / 4, false), 250);
  assert.is(rate.take(MIB / 2, false), 750);
});

test('over a long time as much goes as the rate allows, whoever sends', () => {
  const { clock, rate } = limit();
  const beganMs = clock.ms;
  for (let part = 0; part < 800; part++) clock.ms += rate.take(MIB / 8, false);
  const tookMs = clock.ms - beganMs;
  assert.ok(Math.abs(tookMs - 100_000) < 1_500, `${tookMs} ms for 100 MiB`);
});

test('what is urgent does not wait, and the others make room for it', () => {
  const { rate } = limit();
  assert.is(rate.take(4 * MIB, true), 0);
  assert.is(rate.take(MIB / 4, false), 4_000);
});

test('nobody waits so long that the link counts as broken', () => {
  const { rate } = limit();
  rate.take(100 * MIB, false);
  assert.is(rate.take(1, false), 5_000);
});

test('a pause saves nothing up but the burst; no limit is none', () => {
  const { clock, rate } = limit();
  rate.take(MIB, false);
  clock.ms += 3_600_000;
  assert.is(rate.take(MIB / 4, false), 0);
  assert.ok(rate.take(MIB / 4, false) > 0);
  assert.is(limit(0).rate.take(1_000 * MIB, false), 0);
});

test('two threads share it', async () => {
  const mine = new RateLimit(MIB);
  const module = new URL('../../../transport/blobs/rate-limit.ts', import.meta.url).href;
  const code = `import(${JSON.stringify(module)}).then(({ RateLimit }) => {
    const { workerData, parentPort } = require('node:worker_threads');
    new RateLimit(${MIB}, workerData).take(${4 * MIB}, false);
    parentPort.postMessage('done');
  });`;
  const worker = new Worker(code, { eval: true, workerData: mine.shared });
  await once(worker, 'message');
  assert.ok(mine.take(1, false) > 500);
  await worker.terminate();
});

test.run();

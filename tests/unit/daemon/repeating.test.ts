import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Repeating } from '../../../src/daemon/repeating.ts';
import { makeWorld } from '../../support/kernel.ts';

const test = suite('repeating');

/** Runs that end when told to. */
function world() {
  const { clock } = makeWorld();
  const logged: string[] = [];
  const ends: ((error?: Error) => void)[] = [];
  const run = () =>
    new Promise<void>((resolve, reject) => {
      ends.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  const options = { clock, run, trace: () => `t${ends.length}`, failed: 'not done' };
  const log = (_level: string, message: string) => void logged.push(message);
  const start = () => new Repeating({ ...options, log, firstMs: 10, everyMs: 100 });
  const end = async (error?: Error) => {
    ends.at(-1)?.(error);
    await clock.advance(0);
  };
  return { clock, logged, start, end, runs: () => ends.length };
}

test('the pause is between the end of one run and the start of the next', async () => {
  const { clock, start, end, runs } = world();
  const repeating = start();
  await clock.advance(10);
  assert.is(runs(), 1);
  await clock.advance(1_000);
  assert.is(runs(), 1, 'none beside one that is under way');
  await end();
  await clock.advance(99);
  assert.is(runs(), 1);
  await clock.advance(1);
  assert.is(runs(), 2);
  await end();
  await repeating.stop();
});

test('a run that throws is logged, and the next comes as ever', async () => {
  const { clock, start, end, runs, logged } = world();
  const repeating = start();
  await clock.advance(10);
  await end(new Error('no disk'));
  assert.equal(logged, ['not done']);
  await clock.advance(100);
  assert.is(runs(), 2);
  await end();
  await repeating.stop();
});

test('stop waits for the run under way, and no other comes', async () => {
  const { clock, start, end, runs } = world();
  const repeating = start();
  await clock.advance(10);
  let isStopped = false;
  const stopping = repeating.stop().then(() => (isStopped = true));
  await clock.advance(0);
  assert.not(isStopped);
  await end();
  await stopping;
  await clock.advance(1_000);
  assert.is(runs(), 1);
});

test.run();

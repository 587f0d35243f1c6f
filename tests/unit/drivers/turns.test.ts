import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Slots, Turns } from '../../../src/drivers/turns.ts';

const test = suite('driver turns');

test('work of one key never overlaps, of different keys it does (U1)', async () => {
  const turns = new Turns();
  const log: string[] = [];
  const work = (name: string, key: string) =>
    turns.run(key, async () => {
      log.push(`${name} starts`);
      await new Promise((resolve) => setImmediate(resolve));
      log.push(`${name} ends`);
    });
  await Promise.all([work('a1', 'a'), work('a2', 'a'), work('b1', 'b')]);
  assert.equal(log, ['a1 starts', 'b1 starts', 'a1 ends', 'a2 starts', 'b1 ends', 'a2 ends']);
});

test('a failure reaches its caller and does not stop the next (U1)', async () => {
  const turns = new Turns();
  const failing = turns.run('a', () => Promise.reject(new Error('boom')));
  const next = turns.run('a', async () => 'done');
  await rejects(failing, /boom/);
  assert.is(await next, 'done');
});

test('idle() waits for all that was asked', async () => {
  const turns = new Turns();
  const ended: string[] = [];
  const work = async (key: string) => {
    await new Promise((resolve) => setImmediate(resolve));
    ended.push(key);
  };
  const all = ['a', 'a', 'b'].map((key) => turns.run(key, () => work(key)));
  await turns.idle();
  assert.equal(ended.join(''), 'aba');
  await Promise.all(all);
});

test('slots are taken in the order asked, no more at a time than there are, failures included (U3)', async () => {
  const slots = new Slots(2);
  const log: string[] = [];
  const work = (name: string) =>
    slots.run(async () => {
      log.push(`${name} starts`);
      await new Promise((resolve) => setImmediate(resolve));
      log.push(`${name} ends`);
      if (name === 'a') throw new Error('boom');
    });
  const all = ['a', 'b', 'c', 'd'].map(work);
  await rejects(all[0] ?? Promise.resolve(), /boom/);
  await Promise.allSettled(all);
  assert.equal(log.slice(0, 2), ['a starts', 'b starts']);
  const running = log.map((_, index) =>
    log.slice(0, index + 1).reduce((sum, each) => sum + (each.endsWith('starts') ? 1 : -1), 0),
  );
  assert.is(Math.max(...running), 2);
  assert.equal(
    log.filter((line) => line.endsWith('starts')).map((line) => line[0]),
    ['a', 'b', 'c', 'd'],
  );
});

test.run();

import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Turns } from '../../../../src/drivers/hypervisor/turns.ts';

const test = suite('hypervisor: turns');

test('work of one key never overlaps, of different keys it does (T1)', async () => {
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

test('a failure reaches its caller and does not stop the next (T1)', async () => {
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

test.run();

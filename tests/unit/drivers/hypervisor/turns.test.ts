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

test('a key is busy from the asking to the end, and idle() waits for all (T2)', async () => {
  const turns = new Turns();
  let ended = false;
  const work = turns.run('a', async () => {
    await new Promise((resolve) => setImmediate(resolve));
    ended = true;
  });
  assert.ok(turns.isBusy('a'));
  await turns.idle();
  assert.ok(ended);
  await work;
  assert.not(turns.isBusy('a'));
});

test.run();

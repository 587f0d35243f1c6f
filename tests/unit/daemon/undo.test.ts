// Taking a daemon apart: in reverse, and to the end.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unwind, type Undo } from '../../../src/daemon/undo.ts';
import { keptLog } from '../../support/kernel.ts';

const test = suite('undo');

test('a step that fails keeps no other from being taken back, and is logged', async () => {
  const { log, lines } = keptLog();
  const done: string[] = [];
  const step = (name: string) => () => Promise.resolve(void done.push(name));
  const undo: Undo = [
    step('store'),
    step('lease'),
    () => Promise.reject(new Error('stuck')),
    step('API'),
  ];
  await unwind(undo, log);
  assert.equal(done, ['API', 'lease', 'store']);
  assert.is(lines.length, 1);
  await unwind(undo, log);
  assert.is(done.length, 3);
});

test.run();

import { rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clearLog, readLog, trimLog } from '../../../../src/drivers/hypervisor/console-log.ts';

const test = suite('hypervisor: console log');
let folder: string;
let path: string;

const read = async (lengthBytes: number) =>
  Buffer.from(await readLog(path, lengthBytes)).toString();

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'troupe-console-'));
  path = join(folder, 'console.log');
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

test('the last bytes are read, all for a negative length, and no more than there are', async () => {
  writeFileSync(path, 'one two three');
  assert.is(await read(5), 'three');
  assert.is(await read(0), '');
  assert.is(await read(-1), 'one two three');
  assert.is(await read(1000), 'one two three');
});

test('bytes are bytes: nothing is decoded', async () => {
  writeFileSync(path, Buffer.from([0, 0xff, 0xfe, 0x80]));
  assert.equal([...(await readLog(path, 3))], [0xff, 0xfe, 0x80]);
});

test('a log that is not there is empty, to read, to clear and to trim', async () => {
  assert.is(await read(-1), '');
  await clearLog(path);
  await trimLog(path, 1, 1);
});

test('a log that cannot be read is an error, not empty', async () => {
  await rejects(readLog(folder, -1), { code: 'host/tool-failed' });
});

test('a cleared log is empty', async () => {
  writeFileSync(path, 'old');
  await clearLog(path);
  assert.is(await read(-1), '');
});

test('a log beyond its limit keeps its last part, one below is left alone', async () => {
  writeFileSync(path, '0123456789');
  await trimLog(path, 10, 4);
  assert.is(await read(-1), '0123456789');
  await trimLog(path, 9, 4);
  assert.is(await read(-1), '6789');
});

test.run();

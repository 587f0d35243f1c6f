import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rotateLog } from '../../../src/embedded/rotate-log.ts';

const test = suite('rotate log');
const LIMIT_BYTES = 16 * 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), `troupe-rotate-${process.pid}-`));
const path = join(directory, 'daemon.log');
test.after(() => rmSync(directory, { recursive: true, force: true }));
test.before.each(() => {
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
});

/** A log that begins with `text`. */
function write(text: string, sizeBytes: number): void {
  writeFileSync(path, text);
  truncateSync(path, sizeBytes);
}

const startOf = (name: string) => readFileSync(join(directory, name)).toString('utf8', 0, 1);

test('a log that is not there, or not large, stays as it is', () => {
  rotateLog(path);
  assert.equal(readdirSync(directory), []);
  write('a', LIMIT_BYTES);
  rotateLog(path);
  assert.equal(readdirSync(directory), ['daemon.log']);
});

test('large ones are set aside, the latest three are kept in order', () => {
  for (const text of ['a', 'b', 'c', 'd', 'e']) {
    write(text, LIMIT_BYTES + 1);
    rotateLog(path);
  }
  const names = ['daemon.log.1', 'daemon.log.2', 'daemon.log.3'];
  assert.equal(readdirSync(directory).sort(), names);
  assert.equal(names.map(startOf), ['e', 'd', 'c']);
});

test.run();

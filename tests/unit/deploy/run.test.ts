// The test runner: it must not believe a suite that only looks as if it had passed.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('tests/run.ts');

const ROOT = resolve(import.meta.dirname, '../../..');
const UVU = import.meta.resolve('uvu');
let directory = '';
test.before.each(() => {
  directory = mkdtempSync(join(tmpdir(), `troupe-runner-${process.pid}-`));
});
test.after.each(() => rmSync(directory, { recursive: true }));

function write(name: string, body: string): void {
  const path = join(directory, `${name}.test.ts`);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `import { suite } from '${UVU}';\nconst test = suite('x');\n${body}\n`);
}

function run(...args: string[]) {
  const { stdout, status } = spawnSync(process.execPath, [join(ROOT, 'tests/run.ts'), ...args], {
    encoding: 'utf8',
    cwd: directory,
  });
  return { last: stdout.trim().split('\n').at(-1), stdout, status };
}

const GOOD = "test('a', () => {});\ntest('b', () => {});\ntest.run();";

test('passed tests are counted over all files', () => {
  write('one', GOOD);
  write('deeper/two', GOOD);
  const { last, status } = run(directory);
  assert.is(last, '4 passed, 0 failed');
  assert.is(status, 0);
});

const BAD: readonly (readonly [string, string])[] = [
  ['a test that fails', "test('a', () => { throw new Error('no'); });\ntest.run();"],
  ['a hook that throws', `test.before(() => { throw new Error('no'); });\n${GOOD}`],
  ['a test that throws no Error', "test('a', () => { throw 'no'; });\ntest.run();"],
  ['a suite that is never run', "test('a', () => {});"],
  ['a file that does not parse', 'const = ;'],
  ['a process that exits early', `process.exit(0);\n${GOOD}`],
  [
    'a suite that hangs',
    "test('a', () => new Promise(() => setInterval(() => 0, 1000)));\ntest.run();",
  ],
];
for (const [what, body] of BAD) {
  test(`${what} is a failure, beside what passed`, () => {
    write('good', GOOD);
    write('bad', body);
    const { last, status, stdout } = run('--timeout', '2', directory);
    // A hook that throws fails each test of its suite.
    assert.match(last ?? '', /^2 passed, [12] failed$/, stdout);
    assert.is(status, 1);
  });
}

test('failures from elsewhere count, and so does having nothing to run', () => {
  write('good', GOOD);
  assert.is(run('--failed', '1', directory).last, '2 passed, 1 failed');
  const nothing = run(join(directory, 'no-such-folder'));
  assert.is(nothing.last, '0 passed, 1 failed');
  assert.is(nothing.status, 1);
});

test('files of heavy folders run one at a time, others beside them', () => {
  const stamps = join(directory, 'stamps');
  const body = `import { appendFileSync } from 'node:fs';
    test('a', async () => {
      appendFileSync('${stamps}', 'begin ');
      await new Promise((resolve) => setTimeout(resolve, 300));
      appendFileSync('${stamps}', 'end ');
    });
    test.run();`;
  write('tests/lab/one', body);
  write('tests/lab/two', body);
  run('tests/lab');
  const { stdout } = spawnSync('cat', [stamps], { encoding: 'utf8' });
  assert.is(stdout, 'begin end begin end ');
});

test.run();

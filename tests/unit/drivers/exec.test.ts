import { rejects } from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exec } from '../../../src/drivers/exec.ts';

const test = suite('exec');
const trace = 'trace-1';

/** Runs a shell script as a program under test; the driver itself never uses a shell. */
const sh = (script: string, options: Partial<Parameters<typeof exec>[2]> = {}) =>
  exec('sh', ['-c', script], { trace, ...options });

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('not within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Gone, or dead and not yet waited for by whoever inherited it. */
function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}/exe`);
}

test('gives standard output, standard error and the exit code', async () => {
  assert.equal(await sh('echo out; echo err >&2'), { stdout: 'out\n', stderr: 'err\n', code: 0 });
  assert.is((await sh('exit 3', { okCodes: [0, 3] })).code, 3);
});

test('an unexpected exit code is a failure that quotes the end of standard error', async () => {
  await rejects(sh('echo no such thing >&2; exit 4'), {
    code: 'host/tool-failed',
    message: /ended with 4: no such thing/,
    detail: { program: 'sh', exit: 4 },
  });
  await rejects(sh('kill -9 $$'), { code: 'host/tool-failed', message: /ended with a signal/ });
});

test('arguments and input reach the program as they are', async () => {
  const hostile = '$(touch /tmp/x); `id` "\' \\ \n *';
  const { stdout } = await exec('printf', ['%s', hostile], { trace });
  assert.is(stdout, hostile);
  assert.is(
    (await exec('cat', [], { trace, input: 'ä'.repeat(100_000) })).stdout,
    'ä'.repeat(100_000),
  );
});

test('the environment has the trace and no more of ours than is said', async () => {
  process.env['SECRET_OF_OURS'] = 'x';
  const { stdout } = await exec('env', [], { trace, env: { EXTRA: '1' } });
  const names = stdout.split('\n').map((line) => line.split('=')[0]);
  assert.ok(stdout.includes('TROUPE_TRACE=trace-1'));
  assert.ok(stdout.includes('LC_ALL=C'));
  assert.ok(names.includes('EXTRA'));
  assert.not(names.includes('SECRET_OF_OURS'));
});

test('a program that is not there is named, with the way out; so is a directory', async () => {
  await rejects(exec('no-such-program', [], { trace }), {
    code: 'host/tool-missing',
    message: /npm start/,
  });
  await rejects(exec('true', [], { trace, cwd: '/no/such/place' }), {
    code: 'host/tool-failed',
    message: /no directory \/no\/such\/place/,
  });
  await rejects(exec('true', ['a\0b'], { trace }), { code: 'host/tool-failed' });
  await rejects(exec('true', ['x'.repeat(3_000_000)], { trace }), { code: 'host/tool-failed' });
});

test('at the deadline the program and its children are killed', async () => {
  const file = join(tmpdir(), `troupe-exec-${process.pid}`);
  try {
    const failing = sh(`sleep 100 & echo $! > ${file}; sleep 100`, { timeoutMs: 500 });
    await rejects(failing, { code: 'host/timeout', message: /within 500 ms/ });
    const child = Number(readFileSync(file, 'utf8'));
    assert.ok(child > 0);
    await until(() => !isRunning(child));
  } finally {
    rmSync(file, { force: true });
  }
});

test('a run ends at its deadline even when something it started keeps its output open', async () => {
  const startedAt = performance.now();
  await rejects(sh('setsid sleep 30 & exit 0', { timeoutMs: 200 }), { code: 'host/timeout' });
  assert.ok(performance.now() - startedAt < 15_000);
});

test('a program that prints without end is stopped at the limit, counted in bytes', async () => {
  await rejects(sh('yes', { maxOutputBytes: 10_000 }), {
    code: 'host/tool-failed',
    message: /more than 10000 bytes/,
  });
  await rejects(sh('yes >&2', { maxOutputBytes: 10_000 }), { code: 'host/tool-failed' });
  await rejects(sh('printf äääää', { maxOutputBytes: 9 }), { code: 'host/tool-failed' });
  assert.is((await sh('printf äääää', { maxOutputBytes: 10 })).stdout, 'äääää');
});

test('called off before or while it runs', async () => {
  await rejects(sh('true', { signal: AbortSignal.abort() }), { code: 'actor/stopped' });
  const controller = new AbortController();
  const running = sh('sleep 100', { signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  const startedAt = performance.now();
  await rejects(running, { code: 'actor/stopped' });
  assert.ok(performance.now() - startedAt < 5000);
});

test('input that nobody reads is no failure', async () => {
  const { code } = await exec('true', [], { trace, input: 'x'.repeat(1_000_000) });
  assert.is(code, 0);
});

test.run();

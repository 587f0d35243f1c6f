// Supervision, on real processes that are small enough to kill often.
import { readFileSync, readlinkSync } from 'node:fs';
import { rejects } from 'node:assert/strict';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { launch, readRecord } from '../../../src/embedded/launch.ts';
import { identityOf, isAlive } from '../../../src/embedded/process-identity.ts';
import { claimRunDirectory } from '../../../src/embedded/run-directory.ts';
import { startService, type Service, type ServiceSpec } from '../../../src/embedded/service.ts';
import { makeInstallation, type TestInstallation } from '../../support/installation.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('service');

let installation: TestInstallation;
const started: Service[] = [];
test.before.each(async () => {
  installation = await makeInstallation();
  await claimRunDirectory(installation.runDir, installation.dataDir);
});
test.after.each(async () => {
  for (const service of started.splice(0)) await service.stop();
  await installation.remove();
});

function spec(script: string, changes: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    name: 'sleeper',
    runDirectory: installation.runDir,
    logDirectory: installation.logDir,
    dataDirectory: installation.dataDir,
    command: () => ['sh', '-c', script],
    prepare: () => Promise.resolve(),
    ready: () => Promise.resolve(),
    readyTimeoutMs: 500,
    stopTimeoutMs: 500,
    ...changes,
  };
}

async function start(script: string, changes: Partial<ServiceSpec> = {}): Promise<Service> {
  const service = await startService(spec(script, changes), installation.log);
  started.push(service);
  return service;
}

const recordPath = () => join(installation.runDir, 'sleeper.service');
const SLEEP = 'exec sleep 1000';

test('it has a session of its own and no terminal, so that Ctrl-C does not reach it', async () => {
  const { pid } = await start(SLEEP);
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  const [, , group, session, terminal] = stat;
  assert.equal([group, session, terminal], [String(pid), String(pid), '0']);
  assert.is(readlinkSync(`/proc/${pid}/fd/0`), '/dev/null');
});

test('one that ends is started again, each time later', async () => {
  await start('sleep 0.2; exit 3');
  const ends = () => installation.lines.filter((line) => line.includes('is started again in'));
  await waitUntil('three ends', () => ends().length >= 3);
  assert.equal(
    ends()
      .slice(0, 3)
      .map((line) => line.split(' in ')[1]),
    ['100 ms', '200 ms', '400 ms'],
  );
});

test('one that never becomes ready is ended, and the error says why', async () => {
  let pid = 0;
  const notReady = () => {
    pid = readRecord(recordPath())?.pid ?? 0;
    return Promise.reject(new Error('it only sleeps'));
  };
  await rejects(start(SLEEP, { ready: notReady }), {
    code: 'host/timeout',
    message: /did not answer within 500 ms \(it only sleeps\)/,
  });
  assert.ok(pid > 0);
  assert.is(identityOf(pid), undefined);
});

test('one that ends before it is ready fails at once, with its last words', async () => {
  const notReady = () => Promise.reject(new Error('not yet'));
  await rejects(start('echo no space left >&2; exit 1', { ready: notReady }), {
    code: 'host/tool-failed',
    message: /no space left/,
  });
});

test('a program that is not installed is named', async () => {
  await rejects(start('', { command: () => ['no-such-program'] }), {
    code: 'host/tool-missing',
    message: /no-such-program is not installed/,
  });
});

test('stop() kills one that does not listen, and resolves when it is gone', async () => {
  const service = await start("trap '' TERM; while :; do sleep 0.1; done");
  const pid = service.pid ?? 0;
  await service.stop();
  assert.is(identityOf(pid), undefined);
  assert.is(readRecord(recordPath()), undefined);
});

test('one that was started otherwise than now wanted is replaced, not adopted', async () => {
  const first = await start(SLEEP);
  const pid = first.pid ?? 0;
  await first.release();
  const second = await start('exec sleep 2000');
  assert.not.ok(second.isAdopted);
  assert.is(identityOf(pid), undefined);
});

test('one that no longer answers is replaced, not adopted', async () => {
  const first = await start(SLEEP);
  const old = first.pid;
  await first.release();
  const ready = () =>
    readRecord(recordPath())?.pid === old ? Promise.reject(new Error('deaf')) : Promise.resolve();
  const second = await start(SLEEP, { ready });
  assert.is.not(second.pid, old);
});

test('a record of a pid that is somebody else by now is not believed', async () => {
  const service = await start(SLEEP);
  const record = readRecord(recordPath());
  assert.ok(record);
  assert.ok(isAlive(record));
  assert.not.ok(isAlive({ pid: service.pid ?? 0, startTicks: '1' }));
});

test('even when its record is lost, a second one is not started beside it', async () => {
  const service = await start(SLEEP);
  const again = {
    recordPath: recordPath(),
    logPath: join(installation.logDir, 'again.log'),
    digest: 'x',
    command: ['sleep', '1000'],
    within: [],
    env: { PATH: '/usr/bin:/bin' },
  };
  await rejects(launch(again), { code: 'host/locked' });
  assert.ok(identityOf(service.pid ?? 0));
});

test.run();

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { identityOf } from '../../../src/embedded/process-identity.ts';
import { claimRunDirectory, runDirectoryOwner } from '../../../src/embedded/run-directory.ts';

const test = suite('run directory');

let parent = '';
let path = '';
test.before.each(() => {
  parent = mkdtempSync(join(tmpdir(), `troupe-run-${process.pid}-`));
  path = join(parent, 'run');
});
test.after.each(() => rmSync(parent, { recursive: true }));

test('claimed again by the same data directory, it keeps what is in it', async () => {
  await claimRunDirectory(path, '/data/a');
  writeFileSync(join(path, 'kept'), '');
  await claimRunDirectory(path, '/data/a');
  assert.ok(existsSync(join(path, 'kept')));
  assert.is(await runDirectoryOwner(path), '/data/a');
});

test('what another boot left in it is removed before it is read', async () => {
  await claimRunDirectory(path, '/data/a');
  writeFileSync(join(path, 'owner'), 'another boot\n/data/a\n');
  writeFileSync(join(path, 'etcd.service'), `${process.pid} 1 digest\n`);
  assert.is(await runDirectoryOwner(path), undefined);
  await claimRunDirectory(path, '/data/a');
  assert.not.ok(existsSync(join(path, 'etcd.service')));
});

test('another data directory takes it over only when nothing of the first runs', async () => {
  await claimRunDirectory(path, '/data/a');
  const self = identityOf(process.pid);
  writeFileSync(join(path, 'etcd.service'), `${self?.pid} ${self?.startTicks} digest\n`);
  await rejects(claimRunDirectory(path, '/data/b'), {
    code: 'config/invalid',
    message: `${path} is in use by the data directory /data/a: choose another host tag (--host-tag)`,
  });
  writeFileSync(join(path, 'etcd.service'), `${self?.pid} 1 digest\n`);
  await claimRunDirectory(path, '/data/b');
  assert.is(await runDirectoryOwner(path), '/data/b');
});

test.run();

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FakeApi, run } from './fake-api.ts';

const test = suite('cli: an instance’s screen');
const api = await FakeApi.start();
const FILE = '[virt-viewer]\ntype=spice\nhost=hv\nport=1\ntls-port=2\ndelete-this-file=1\n';
const AT = 'GET /instances/web/vdiconsolehelper';
const folder = mkdtempSync(join(tmpdir(), `troupe-screen-test-${process.pid}-`));

test.before.each(() => {
  api.reset();
  api.on(AT, () => Buffer.from(FILE));
});
test.after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await api.stop();
});

/** A remote-viewer that keeps what it was given, and ends with `code`; and a world that finds it. */
function withViewer(code: number) {
  const viewer = join(folder, 'remote-viewer');
  writeFileSync(
    viewer,
    `#!/bin/sh\ncp "$1" ${folder}/seen\necho "$1" >${folder}/path\nexit ${code}\n`,
  );
  chmodSync(viewer, 0o755);
  const login = { TROUPE_API_URL: api.url, TROUPE_NAMESPACE: 'system', TROUPE_KEY: 'secret' };
  return { variables: { ...login, PATH: `${folder}:/usr/bin:/bin` } };
}

test('the file is printed as it is', async () => {
  assert.equal(await run(api, 'instance vdiconsolefile web'), { code: 0, out: FILE, err: '' });
});

test('the viewer is given the file, which is gone when it has ended', async () => {
  const { code } = await run(api, 'instance vdiconsole web', withViewer(0));
  assert.is(code, 0);
  assert.is(readFileSync(join(folder, 'seen'), 'utf8'), FILE);
  assert.throws(() => readFileSync(readFileSync(join(folder, 'path'), 'utf8').trim()), /ENOENT/);
});

test('a viewer that fails, or is not there, and an instance that is off are said', async () => {
  const failed = await run(api, 'instance vdiconsole web', withViewer(3));
  assert.is(failed.code, 1);
  assert.match(failed.err, 'remote-viewer ended with 3');
  const { variables } = withViewer(0);
  const missing = await run(api, 'instance vdiconsole web', {
    variables: { ...variables, PATH: '/nonexistent' },
  });
  assert.match(missing.err, 'there is no remote-viewer on this machine');
  api.on(AT, () => Buffer.from(FILE.replace(/^.*port=.*\n/gm, '')));
  const off = await run(api, 'instance vdiconsole web', withViewer(0));
  assert.match(off.err, 'web has no screen to show: it is not running');
});

test.run();

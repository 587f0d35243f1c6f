import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { waitUntil } from '../../support/wait.ts';
import { FakeApi } from './fake-api.ts';
import { instanceView, UUID } from './views.ts';

const test = suite('cli: the process');
const api = await FakeApi.start();
const root = dirname(dirname(dirname(import.meta.dirname)));
const folder = mkdtempSync(join(tmpdir(), 'troupe-cli-process-'));
const command = join(folder, 'troupe');
// As npm does: a link to a link.
symlinkSync(join(root, 'src/cli/troupe.sh'), join(folder, 'inner'));
symlinkSync('inner', command);

test.before.each(() => api.reset());
test.after(async () => {
  rmSync(folder, { recursive: true });
  await api.stop();
});

function launch(words: string) {
  const child = spawn(command, words.split(' '), {
    cwd: folder,
    // Without our Node on the path: the wrapper has to find it.
    env: {
      PATH: '/usr/bin:/bin',
      TROUPE_API_URL: api.url,
      TROUPE_NAMESPACE: 'system',
      TROUPE_KEY: 'secret',
    },
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, out, err }));
  });
  return { child, ended, err: () => err };
}

test('runs through links with the Node of its checkout, whatever the machine has', async () => {
  api.on('GET /healthz', () => ({ node: 'n1' }));
  const { code, out } = await launch('version --json').ended;
  assert.is(code, 0);
  const found = JSON.parse(out) as { version: string; node: string; api: string };
  assert.match(found.version, /^\d+\.\d+\.\d+$/);
  assert.is(found.node, process.version);
  assert.is(found.api, `${api.url}, node n1`);
});

test('a large answer into a pipe is complete', async () => {
  const views = Array.from({ length: 2000 }, (_, n) => instanceView({ name: `i${n}` }));
  api.on('GET /instances', () => views);
  const { code, out } = await launch('instance list --json').ended;
  assert.is(code, 0);
  assert.is((JSON.parse(out) as unknown[]).length, 2000);
});

test('a reader that goes away is no failure', async () => {
  const views = Array.from({ length: 2000 }, (_, n) => instanceView({ name: `i${n}` }));
  api.on('GET /instances', () => views);
  const { child, ended } = launch('instance list --json');
  child.stdout.destroy();
  const { code, err } = await ended;
  assert.is(code, 0);
  assert.is(err, '');
});

test('Ctrl-C while waiting ends with 130 and says that the work goes on', async () => {
  const initial = instanceView({ state: 'initial' });
  api.on('POST /instances', () => initial);
  api.on(`GET /instances/${UUID}`, () => initial);
  api.on(`GET /instances/${UUID}/events`, () => []);
  const { child, ended, err } = launch('instance create web 1 256 -d 1');
  await waitUntil('waiting', () => err().includes('instance web: initial'));
  child.kill('SIGINT');
  const { code } = await ended;
  assert.is(code, 130);
  assert.match(err(), 'instance web goes on being created');
});

test.run();

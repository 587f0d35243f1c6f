// Commands that work inside a guest: what they ask of the API, what they print, how they end.
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FakeApi, HANG, Refusal, run, start } from './fake-api.ts';

const test = suite('cli: inside guests');
const api = await FakeApi.start();
const directory = mkdtempSync(join(tmpdir(), 'troupe-cli-guest-'));

test.before.each(() => api.reset());
test.after(async () => {
  rmSync(directory, { recursive: true });
  await api.stop();
});

/** An operation that goes through these states, a look each. */
function operationGoes(verb: string, states: readonly string[], results: object = {}): void {
  const view = (state: string) => ({
    uuid: 'o-1',
    state,
    instance_uuid: 'i-1',
    namespace: 'lab',
    commands: [{ command: 'execute', commandline: 'uname' }],
    results: state === 'complete' || state === 'error' ? results : {},
  });
  let look = 0;
  api.on(`POST /instances/web/agent/${verb}`, () => view('queued'));
  api.on('GET /agentoperations/o-1', () => view(states[Math.min(look++, states.length - 1)] ?? ''));
}

const executed = (members: object) => ({
  0: { 'command-line': 'x', result: true, 'return-code': 0, stdout: '', stderr: '', ...members },
});

test('execute passes output and exit code on, whatever the line holds', async () => {
  const results = executed({ stdout: 'out\n', stderr: 'err\n', 'return-code': 3, result: false });
  operationGoes('execute', ['queued', 'executing', 'complete'], results);
  const line = "echo 'a b'; $(x)";
  const { code, out, err } = await run(api, ['instance', 'execute', 'web', line]);
  assert.is(out, 'out\n');
  assert.match(err, /err\n/);
  assert.match(err, /ended with 3/);
  assert.is(code, 3);
  assert.equal(api.bodies('POST /instances/web/agent/execute'), [{ command_line: line }]);
});

test('exit codes that a shell cannot have become ones that it can', async () => {
  for (const [given, expected] of [
    [0, 0],
    [255, 255],
    [-9, 137],
    [256, 1],
  ] as const) {
    api.reset();
    operationGoes('execute', ['complete'], executed({ 'return-code': given }));
    assert.is((await run(api, 'instance execute web x')).code, expected, String(given));
  }
});

test('output that became a blob is fetched; a terminal is not steered by it', async () => {
  operationGoes('execute', ['complete'], executed({ stdout: undefined, stdout_blob: 'b-1' }));
  const states = ['initial', 'created'];
  api.on('GET /blobs/b-1', () => ({ uuid: 'b-1', state: states.shift() ?? 'created' }));
  api.on('GET /blobs/b-1/data', () => Buffer.from('\u001b[31mred\u001b]0;title\u0007\n'));
  assert.match((await run(api, 'instance execute web x')).out, '\u001b[31mred');
  const terminal = start(api, 'instance execute web x', { isTTY: true });
  assert.is(await terminal.exitCode, 0);
  assert.is(terminal.out.text, 'red\n');
});

test('an operation that fails gives the reason of the guest', async () => {
  const results = { 0: { result: false, path: '/x', message: 'path does not exist' } };
  operationGoes('get', ['executing', 'error'], results);
  const { code, err } = await run(api, `instance download web /x ${directory}/x`);
  assert.is(code, 1);
  assert.match(err, 'the guest did not do it: path does not exist');
  assert.not.ok(existsSync(join(directory, 'x')));
});

test('an agent that is not ready is a refusal at once', async () => {
  api.on('POST /instances/web/agent/execute', () => new Refusal(400, 'instance agent not ready'));
  const { code, err } = await run(api, 'instance execute web true');
  assert.is(code, 1);
  assert.match(err, 'instance agent not ready');
});

test('download writes the file in pieces, and only when all of it has come', async () => {
  const bytes = randomBytes(4 * 1024 * 1024 + 10);
  operationGoes('get', ['complete'], { 0: { result: true, content_blob: 'b-1' } });
  const blob = { uuid: 'b-1', state: 'created', size: bytes.length, sha512: null };
  api.on('GET /blobs/b-1', () => blob);
  const piece = 4 * 1024 * 1024;
  api.on(`GET /blobs/b-1/data?offset=0&limit=${piece}`, () => bytes.subarray(0, piece));
  api.on(`GET /blobs/b-1/data?offset=${piece}&limit=${piece}`, () => bytes.subarray(piece));
  const { code } = await run(api, 'instance download web /big big', { directory });
  assert.is(code, 0);
  assert.ok(readFileSync(join(directory, 'big')).equals(bytes));
  api.on(`GET /blobs/b-1/data?offset=${piece}&limit=${piece}`, () => new Refusal(404, 'gone'));
  assert.is((await run(api, 'instance download web /big big2', { directory })).code, 1);
  assert.not.ok(existsSync(join(directory, 'big2')) || existsSync(join(directory, 'big2.part')));
});

test('upload brings the bytes, then puts them with the permissions of the file', async () => {
  const bytes = randomBytes(4 * 1024 * 1024 + 3);
  const file = join(directory, 'up');
  writeFileSync(file, bytes);
  chmodSync(file, 0o640);
  const sha512 = createHash('sha512').update(bytes).digest('hex');
  api.on(`GET /blob_checksums/sha512/${sha512}`, () => null);
  api.on('POST /upload', () => ({ uuid: 'u-1' }));
  api.on('POST /upload/u-1', () => 1);
  api.on('POST /artifacts/upload/upload-to-web', () => ({ uuid: 'a-1', blob_uuid: 'b-1' }));
  api.on('GET /blobs/b-1', () => ({ uuid: 'b-1', state: 'created' }));
  operationGoes('put', ['preflight', 'complete'], { 0: { path: '/x' }, 1: { path: '/x' } });
  const { code, err } = await run(api, 'instance upload web up /x', { directory });
  assert.is(code, 0, err);
  const sent = api.bodies('POST /upload/u-1') as { base64: string }[];
  const pieces = sent.map(({ base64 }) => Buffer.from(base64, 'base64'));
  assert.ok(Buffer.concat(pieces).equals(bytes));
  const put = { blob_uuid: 'b-1', path: '/x', mode: 0o100_640 };
  assert.equal(api.bodies('POST /instances/web/agent/put'), [put]);

  api.on(`GET /blob_checksums/sha512/${sha512}`, () => ({ uuid: 'b-2', state: 'created' }));
  operationGoes('put', ['complete']);
  await run(api, 'instance upload web up /x --mode 0755', { directory });
  const again = { blob_uuid: 'b-2', path: '/x', mode: 0o755 };
  assert.equal(api.bodies('POST /instances/web/agent/put')[1], again);
  assert.is(api.bodies('POST /upload').length, 1);
  assert.is((await run(api, 'instance upload web up /x --mode 9', { directory })).code, 2);
  assert.is((await run(api, 'instance upload web none /x', { directory })).code, 1);
});

test('screenshot saves what the blob holds', async () => {
  api.on('GET /instances/web/screenshot', () => 'b-1');
  const blob = { uuid: 'b-1', state: 'created', size: 2, sha512: null };
  api.on('GET /blobs/b-1', () => blob);
  api.on('GET /blobs/b-1/data?offset=0&limit=4194304', () => Buffer.from('P6'));
  const { code } = await run(api, 'instance screenshot web shot.ppm', { directory });
  assert.is(code, 0);
  assert.is(readFileSync(join(directory, 'shot.ppm'), 'utf8'), 'P6');
});

test('await ends when the agent is ready, at once when there is none to wait for', async () => {
  const agents = [null, 'not ready (no contact)', 'ready (degraded)'];
  const side = { side_channels: ['sf-agent'] };
  api.on('GET /instances/web', () => ({ state: 'created', agent_state: agents.shift(), ...side }));
  assert.is((await run(api, 'instance await web')).code, 0);
  assert.is(agents.length, 0);
  api.on('GET /instances/web', () => ({ state: 'created', agent_state: null, side_channels: [] }));
  const none = await run(api, 'instance await web');
  assert.is(none.code, 1);
  assert.match(none.err, 'no side channel');
  api.on('GET /instances/web', () => ({ state: 'creating-error', ...side }));
  assert.is((await run(api, 'instance await web')).code, 1);
});

test('operations are listed, shown and called off', async () => {
  const one = {
    uuid: 'o-1',
    state: 'queued',
    commands: [{ command: 'get-file', path: '/x\u001b[2J' }],
    results: {},
  };
  api.on('GET /instances/web/agentoperations', () => [one]);
  const listed = await run(api, 'instance agentoperations web --all');
  assert.match(listed.out, /o-1 +queued +get-file \/x\\x1b\[2J\n/);
  assert.equal(api.bodies('GET /instances/web/agentoperations'), [{ all: true }]);
  api.on('GET /agentoperations/o-1', () => one);
  assert.match((await run(api, 'agentoperation show o-1')).out, /state: +queued\n/);
  api.on('DELETE /agentoperations/o-1', () => ({ ...one, state: 'deleted' }));
  assert.is((await run(api, 'agentoperation delete o-1')).code, 0);
});

test('leaving a command that waits says how to go on', async () => {
  operationGoes('execute', ['executing']);
  const waiting = start(api, 'instance execute web x');
  await waiting.shows('executing', 'err');
  waiting.interrupt();
  assert.is(await waiting.exitCode, 130);
  assert.match(waiting.err.text, 'agentoperation show o-1');
});

test('also while it is being asked how far it is', async () => {
  operationGoes('execute', []);
  let asked = () => {};
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  api.on('GET /agentoperations/o-1', () => {
    asked();
    return HANG;
  });
  const waiting = start(api, 'instance execute web x');
  await isAsked;
  waiting.interrupt();
  assert.is(await waiting.exitCode, 130);
  assert.match(waiting.err.text, 'agentoperation show o-1');
});

test.run();

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { suggestions } from '../../../src/cli/completion.ts';
import { FakeApi, Refusal, run } from './fake-api.ts';

const test = suite('cli: completion');
const api = await FakeApi.start();
test.before.each(() => api.reset());
test.after(() => api.stop());

const ROOT = new URL('../../../', import.meta.url).pathname;
const words = async (...line: string[]): Promise<string[]> => {
  const asked = (names: { path: string }) => Promise.resolve([[names.path, 'asked'] as const]);
  return (await suggestions(line, COMMANDS, asked)).map(([word]) => word);
};

const CASES: readonly (readonly [line: readonly string[], suggested: readonly string[]])[] = [
  [['net'], ['network']],
  [['instance', 'sho'], ['show']],
  [['--json', 'instance', 'sho'], ['show']],
  [['--login', 'a file', 'instance', 'sho'], ['show']],
  [['--login', ''], []],
  [['instance', 'list', '--al'], ['--all']],
  [['--na'], ['--namespace']],
  [['instance', 'show', '/in'], ['/instances']],
  [['instance', 'show', '--json', '/in'], ['/instances']],
  [['instance', 'show', 'web', ''], []],
  [['network', 'delete', '--namespace', 'lab', ''], ['/networks']],
  [['network', 'delete', '--namespace', ''], []],
  [['node', 'drain', ''], ['/nodes']],
  [['namespace', 'show', ''], ['/auth/namespaces']],
  [['nonsense', 'verb', ''], []],
  [['comple'], ['completion']],
];

for (const [line, suggested] of CASES) {
  test(`troupe ${line.map((word) => word || "''").join(' ')}`, async () => {
    assert.equal(await words(...line), suggested);
  });
}

test('every command is reached, noun by noun', async () => {
  for (const { name, isHidden } of COMMANDS) {
    if (isHidden === true) continue;
    const [noun = '', verb] = name.split(' ');
    assert.ok((await words(noun)).includes(noun), name);
    if (verb !== undefined) assert.ok((await words(noun, '')).includes(verb), name);
  }
});

test('names come from the API with what they are, safe to print', async () => {
  api.on('GET /instances', () => [
    { name: 'web\u001b[2J', uuid: 'u1', state: 'created' },
    { name: 'db', uuid: 'u2', state: 'error' },
  ]);
  const { code, out } = await run(api, ['complete', '--', 'instance', 'show', '']);
  assert.is(code, 0);
  assert.not.match(out, '\u001b');
  assert.match(out, 'db\terror\n');
});

test('an API that refuses or is not there suggests nothing, and is no error', async () => {
  api.on('GET /instances', () => new Refusal(500, 'broken'));
  for (const from of [api, null]) {
    const { code, out, err } = await run(from, ['complete', '--', 'instance', 'show', '']);
    assert.equal([code, out, err], [0, '', '']);
  }
});

test('a shell that is not known is told which are', async () => {
  const { code, err } = await run(null, 'completion fish');
  assert.is(code, 2);
  assert.match(err, 'there is completion for bash and zsh');
});

test('bash completes with it, names with spaces in one piece', async () => {
  api.on('GET /networks', () => [{ name: 'two words', state: 'created' }]);
  const script = `
    troupe() { "$NODE" "$ROOT/src/cli/troupe.ts" "$@"; }
    source <(troupe completion bash)
    COMP_WORDS=(troupe network show ""); COMP_CWORD=3; _troupe
    printf '%s|' "\${COMPREPLY[@]}"
    COMP_WORDS=(troupe network li); COMP_CWORD=2; _troupe
    printf '%s|' "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script], {
    env: {
      ...process.env,
      NODE: process.execPath,
      ROOT,
      TROUPE_API_URL: api.url,
      TROUPE_NAMESPACE: 'system',
      TROUPE_KEY: 'secret',
    },
  });
  assert.is(stdout, 'two\\ words|list|');
});

test.run();

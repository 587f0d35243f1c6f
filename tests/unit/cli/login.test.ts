import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findLogin } from '../../../src/cli/login.ts';
import { Flags } from '../../../src/cli/flags.ts';
import type { World } from '../../../src/cli/world.ts';
import { FakeApi, Keys, run, Screen } from './fake-api.ts';

const test = suite('cli: login');
const root = mkdtempSync(join(tmpdir(), 'troupe-cli-login-'));
const api = await FakeApi.start();
test.after(async () => {
  rmSync(root, { recursive: true });
  await api.stop();
});

function place(name: string, file: string, content: unknown): void {
  mkdirSync(join(root, name, '.troupe'), { recursive: true });
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  writeFileSync(join(root, name, file), text);
}
const login = (key: string) => ({ apiurl: 'http://127.0.0.1:13000/', namespace: 'system', key });
place('here', '.troupe/login.json', login('here'));
place('clone', '.troupe/login.json', login('clone'));
place('home', '.troupe.json', login('home'));
place('system', 'login.json', login('system'));
place('named', 'mine.json', login('named'));

function find(flags: Record<string, string>, world: Partial<World> = {}) {
  return findLogin(new Flags(flags), {
    stdout: new Screen(false),
    stderr: new Screen(false),
    stdin: new Keys(false),
    variables: {},
    directory: join(root, 'here'),
    checkout: join(root, 'clone'),
    home: join(root, 'home'),
    systemDirectory: join(root, 'system'),
    shakenFist: join(root, 'named', 'mine.json'),
    signal: new AbortController().signal,
    pollMs: 5,
    ...world,
  });
}

test('files are taken in order: here, the checkout, the home, the system', () => {
  const none = join(root, 'none');
  assert.is(find({}).key, 'here');
  assert.is(find({}, { directory: none }).key, 'clone');
  assert.is(find({}, { directory: none, checkout: none }).key, 'home');
  assert.is(find({}, { directory: none, checkout: none, home: none }).key, 'system');
});

test('~/.troupe may be the file itself, and the files of sf-client come last', () => {
  const none = {
    directory: '/nonexistent',
    checkout: '/nonexistent',
    systemDirectory: '/nonexistent',
  };
  mkdirSync(join(root, 'plain'));
  writeFileSync(join(root, 'plain', '.shakenfist'), JSON.stringify(login('theirs')));
  assert.is(find({}, { ...none, home: join(root, 'plain') }).key, 'theirs');
  writeFileSync(join(root, 'plain', '.troupe'), JSON.stringify(login('ours')));
  assert.is(find({}, { ...none, home: join(root, 'plain') }).key, 'ours');
  assert.is(find({}, { ...none, home: '/nonexistent' }).key, 'named');
});

test('the variables of sf-client stand in for ours, each by itself', () => {
  const variables = {
    SHAKENFIST_API_URL: 'http://theirs',
    SHAKENFIST_NAMESPACE: 'theirs',
    SHAKENFIST_KEY: 'k',
    TROUPE_NAMESPACE: 'ours',
  };
  const found = find({}, { variables });
  assert.equal([found.apiUrl, found.namespace, found.key], ['http://theirs', 'ours', 'k']);
});

test('the address has no slash at its end', () => {
  assert.is(find({}).apiUrl, 'http://127.0.0.1:13000');
});

test('a named file comes before those, a flag before a variable, relative to where we are', () => {
  const directory = join(root, 'named');
  assert.is(find({ login: 'mine.json' }, { directory }).key, 'named');
  const variables = { TROUPE_LOGIN: join(root, 'named', 'mine.json') };
  assert.is(find({}, { variables }).key, 'named');
  assert.is(find({ login: join(root, 'home', '.troupe.json') }, { variables }).key, 'home');
});

test('flags and variables replace single members of a file', () => {
  const found = find(
    { namespace: 'lab' },
    { variables: { TROUPE_KEY: 'k', TROUPE_NAMESPACE: 'x' } },
  );
  assert.is(found.namespace, 'lab');
  assert.is(found.key, 'k');
  assert.is(found.apiUrl, 'http://127.0.0.1:13000');
});

test('all three by flags and variables need no file', () => {
  const variables = { TROUPE_API_URL: 'https://api', TROUPE_NAMESPACE: 'n', TROUPE_KEY: 'k' };
  assert.match(find({ login: '/nonexistent' }, { variables }).source, 'flags and variables');
});

test('a login that is missing, broken or lacks something says which and the way out', () => {
  const none = { directory: '/nonexistent', checkout: '/', home: '/nonexistent' };
  const text = (flags: Record<string, string>, world = {}) => {
    try {
      find(flags, world);
    } catch (error) {
      return (error as Error).message;
    }
    return 'found';
  };
  assert.match(
    text({}, { ...none, systemDirectory: '/nonexistent', shakenFist: '/nonexistent' }),
    /^no login found; looked for/,
  );
  assert.match(text({ login: '/nonexistent' }), 'there is no login file /nonexistent');
  place('bad', 'list.json', '[]');
  place('bad', 'text.json', 'key: x');
  place('bad', 'half.json', { apiurl: 'http://a', key: 'k' });
  place('bad', 'url.json', { ...login('k'), apiurl: 'ftp://a' });
  for (const file of ['list', 'text']) {
    assert.match(text({ login: join(root, 'bad', `${file}.json`) }), 'should hold a JSON object');
  }
  assert.match(text({ login: join(root, 'bad', 'half.json') }), 'lacks a namespace');
  assert.match(text({ login: join(root, 'bad', 'url.json') }), 'is no address of an API');
  assert.match(text({ login: root }), 'cannot be read');
});

test('a file that another user has put where we are is not used', () => {
  if (process.geteuid?.() !== 0) return;
  place('trap', '.troupe/login.json', login('trap'));
  chownSync(join(root, 'trap', '.troupe/login.json'), 12345, 12345);
  assert.is(find({}, { directory: join(root, 'trap') }).key, 'clone');
});

test('a key that is refused names where the login is from', async () => {
  const variables = { TROUPE_API_URL: api.url, TROUPE_NAMESPACE: 'system', TROUPE_KEY: 'wrong' };
  const { code, err } = await run(api, 'instance list', { variables });
  assert.is(code, 1);
  assert.match(
    err,
    /^troupe: login refused: unauthorized\n {2}request .*\n {2}check namespace and key/,
  );
});

test('an API that is not there says how to start one', async () => {
  const variables = {
    TROUPE_API_URL: 'http://127.0.0.1:1',
    TROUPE_NAMESPACE: 'n',
    TROUPE_KEY: 'k',
  };
  const { code, err } = await run(null, 'instance list', { variables });
  assert.is(code, 1);
  assert.match(err, /does not answer \(ECONNREFUSED\)/);
  assert.match(err, 'start it with `npm start`');
});

test.run();

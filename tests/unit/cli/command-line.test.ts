import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { FakeApi, run } from './fake-api.ts';

const test = suite('cli: command line and help');
const api = await FakeApi.start();
test.after(() => api.stop());

for (const [words, complaint] of [
  ['instanc list', '`troupe instanc`; did you mean `instance`?'],
  ['instance lsit', '`troupe instance lsit`; did you mean `list`?'],
  ['network del', 'did you mean `delete`?'],
  [
    'instance',
    'takes list, show, create, delete, delete-all, add-interface, console, consoledata, vdiconsole, vdiconsolefile, events',
  ],
  ['instance show', 'needs REF'],
  ['instance show a b', 'does not take "b"'],
  ['instance list --jsn', "Unknown option '--jsn'; did you mean `--json`?"],
  ['instance list -x', "Unknown option '-x'"],
  ['instance list --json=1', 'does not take an argument'],
  ['--nonsense instance list', "Unknown option '--nonsense'"],
  ['zzzzzz', 'there is no command `troupe zzzzzz`\n'],
  ['help instance shwo', 'did you mean `show`?'],
] as const) {
  test(`\`troupe ${words}\` is a usage error that says what was meant`, async () => {
    const { code, out, err } = await run(api, words);
    assert.is(code, 2);
    assert.is(out, '');
    assert.match(err, complaint);
    assert.match(err, 'see `troupe help');
  });
}

test('nothing at all is a usage error', async () => {
  assert.is((await run(api, [])).code, 2);
});

test('every command has a help page with its arguments, flags and an example that it understands', async () => {
  for (const { name, args, flags, examples } of COMMANDS) {
    const page = await run(null, `help ${name}`);
    assert.is(page.code, 0, page.err);
    assert.match(page.out, `Usage: troupe ${[name, ...args].join(' ')}`);
    for (const flag of Object.keys(flags)) assert.match(page.out, new RegExp(`--(no-)?${flag}\\b`));
    assert.ok(examples.length > 0, name);
    assert.is((await run(null, `${name} --help`)).out, page.out);
    for (const example of examples) {
      assert.ok(example.startsWith(`troupe ${name}`), example);
      const words = example.replace(/ >.*/, '').replace('troupe ', '').split(' ');
      // Understood: it gets as far as looking for a login or a file.
      const { code, err } = await run(null, words);
      assert.is.not(code, 2, `${example}: ${err}`);
    }
  }
});

test('help of a noun lists its verbs, help of nothing everything', async () => {
  const everything = await run(null, 'help');
  for (const { name, isHidden = false } of COMMANDS) {
    assert.is(
      everything.out.includes(`  ${name} `) || everything.out.includes(`  ${name}\n`),
      !isHidden,
      name,
    );
  }
  assert.is((await run(null, '--help')).out, everything.out);
  const noun = await run(null, 'instance --help');
  assert.is(noun.code, 0);
  assert.match(noun.out, 'instance console REF');
  assert.not.match(noun.out, 'network create');
});

test('--namespace before the noun logs in; after create it says whose the object will be', async () => {
  const logins: unknown[] = [];
  const other = await FakeApi.start();
  try {
    other.on('POST /networks', (body) => {
      logins.push(body['namespace']);
      return {};
    });
    const words = `--namespace tenant --key secret network create a 10.0.0.0/24 --no-wait --namespace theirs`;
    assert.is((await run(other, words)).code, 0);
    assert.equal(logins, ['theirs']);
  } finally {
    await other.stop();
  }
});

test.run();

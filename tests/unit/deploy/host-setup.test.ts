// deploy/setup/*.sh as far as it goes without installing anything on the machine that tests.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('host set-up');

const SETUP = resolve(import.meta.dirname, '../../../deploy/setup');
let directory = '';
test.before.each(() => {
  directory = mkdtempSync(join(tmpdir(), `troupe-setup-${process.pid}-`));
  // The user of the test below has to read the scripts and its list; root's home is closed to it.
  cpSync(SETUP, join(directory, 'setup'), { recursive: true });
  spawnSync('chmod', ['-R', 'a+rX', directory]);
});
test.after.each(() => rmSync(directory, { recursive: true }));

function setUp(list: string, prefix: readonly string[] = []) {
  const path = join(directory, 'packages.txt');
  writeFileSync(path, list);
  const args = [...prefix, 'sh', join(directory, 'setup', 'host.sh')];
  const env = { PATH: process.env['PATH'], TROUPE_PACKAGE_LIST: path };
  return spawnSync('env', args, { encoding: 'utf8', env });
}

test('with nothing missing it is silent', () => {
  const { status, stdout, stderr } = setUp(
    '# why\n\ncoreutils ls lists\nbase-files /etc/os-release names\n',
  );
  assert.equal([status, stdout, stderr], [0, '', '']);
});

test('without root it says what is missing, why, and the way out', () => {
  const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const { status, stderr } = setUp('some-package no-such-program does a thing\n', nobody);
  assert.is(status, 1);
  assert.is(
    stderr,
    `troupe: this machine lacks:
  some-package: does a thing

troupe: installing packages needs root: run the same command with sudo, or have some-package installed
`,
  );
});

test("without apt it says to use the system's own package tool", () => {
  for (const program of ['sh', 'dirname', 'id', 'env'])
    symlinkSync(`/usr/bin/${program}`, join(directory, program));
  const { status, stderr } = setUp('some-package no-such-program does a thing\n', [
    '/usr/bin/env',
    `PATH=${directory}`,
  ]);
  assert.is(status, 1);
  assert.match(stderr, /only Debian's apt is known here: install the above/);
});

/** Runs lines of shell with services.sh loaded and a policy file of the test's own. */
function withServices(lines: string, end = '') {
  const script = `set -eu
here=${SETUP} log=/dev/null
logged() { "$@" >/dev/null 2>&1; }
. "$here/services.sh"
${lines}
${end}`;
  const env = { PATH: process.env['PATH'], TROUPE_POLICY_FILE: join(directory, 'policy-rc.d') };
  return spawnSync('sh', ['-c', script], { encoding: 'utf8', env });
}

const policy = () => join(directory, 'policy-rc.d');
const readPolicy = () => (existsSync(policy()) ? readFileSync(policy(), 'utf8') : 'none');

test('while packages are installed no service starts; then the policy is what it was: none', () => {
  const { status } = withServices(
    'forbid_service_starts; rc=0; "$policy" etcd start || rc=$?; [ $rc = 101 ]; allow_service_starts',
  );
  assert.is(status, 0);
  assert.is(readPolicy(), 'none');
});

test('a policy of the machine comes back as it was, also when the set-up fails or is interrupted', () => {
  for (const end of [
    'allow_service_starts',
    'exit 1',
    'kill -INT $$; sleep 5',
    'kill -TERM $$; sleep 5',
  ]) {
    writeFileSync(policy(), '#!/bin/sh\nexit 0\n');
    withServices('forbid_service_starts; grep -q 101 "$policy"', end);
    assert.is(readPolicy(), '#!/bin/sh\nexit 0\n', end);
  }
});

test('what a killed set-up left is put right by the next one', () => {
  for (const before of ['#!/bin/sh\nexit 0\n', 'none']) {
    if (before !== 'none') writeFileSync(policy(), before);
    withServices('forbid_service_starts', 'kill -KILL $$');
    assert.match(readPolicy(), '101');
    withServices('forbid_service_starts', 'kill -KILL $$');
    withServices('recover_policy');
    assert.is(readPolicy(), before);
    rmSync(policy(), { force: true });
  }
});

test('apt progress is shown by tens of percents, and its exit code kept', () => {
  const lines = ['dlstatus:1:0.0:x', 'dlstatus:1:9.9:x', 'dlstatus:1:10.2:x', 'noise', 'exit:7'];
  const script = `here=${SETUP}; say() { echo "$*"; }; . "${SETUP}/apt.sh"; doing=downloading
    printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} | show_progress`;
  const { status, stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  assert.is(stdout, 'downloading: 0 %\ndownloading: 10 %\n');
  assert.is(status, 7);
});

test('every line of the list has a package, its proof and a reason', () => {
  const lines = readFileSync(join(SETUP, 'packages.txt'), 'utf8').split('\n');
  const entries = lines.filter((line) => line !== '' && !line.startsWith('#'));
  assert.ok(entries.length > 10);
  for (const entry of entries) assert.match(entry, /^[a-z0-9.+-]+ +[\w./-]+ +\w.{10,}$/);
});

test.run();

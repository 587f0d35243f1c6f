import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { throws } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readConfig, usage, wantsHelp } from '../../src/config.ts';
import { SETTINGS, variableOf } from '../../src/config/settings.ts';

const test = suite('config');

let directory = '';
test.before.each(() => {
  directory = mkdtempSync(join(tmpdir(), `troupe-config-${process.pid}-`));
});
test.after.each(() => rmSync(directory, { recursive: true }));

const withFlags = (...flags: string[]) => readConfig({ flags, variables: {}, directory });
const withData = (...flags: string[]) => withFlags('--data-dir', directory, ...flags);

function writeSettings(value: unknown): void {
  writeFileSync(join(directory, 'troupe.json'), JSON.stringify(value));
}

test('a flag wins over a variable, a variable over the file, the file over the default', () => {
  const variables = { TROUPE_DATA_DIR: directory, TROUPE_CLUSTER: 'from-variable' };
  const read = (flags: string[], more = {}) =>
    readConfig({ flags, variables: { ...variables, ...more }, directory });
  writeSettings({ cluster: 'from-file', zone: 'from.file', 'api-port': 13001 });
  const config = read(['--cluster', 'from-flag']);
  assert.is(config.cluster, 'from-flag');
  assert.is(config.zone, 'from.file');
  assert.is(read([]).cluster, 'from-variable');
  assert.is(config.api.port, 13001);
  assert.is(config.api.address, '127.0.0.1');
});

test('it is frozen through and through', () => {
  const config = withData();
  throws(() => Object.assign(config, { node: 'x' }), TypeError);
  throws(() => Object.assign(config.api, { port: 1 }), TypeError);
  throws(() => Object.assign(config.etcd.endpoints, { 0: 'x' }), TypeError);
});

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  [
    'api-port',
    '0',
    /setting api-port \(flag --api-port\): expected a whole number from 1 to 65535; found "0"/,
  ],
  ['api-port', '1e3', /expected a whole number/],
  ['api-address', 'localhost', /expected an IP address/],
  ['floating-block', '192.168.20.1/24', /host bits set/],
  ['floating-block', '127.0.0.0/24', /loopback block/],
  ['floating-block', '10.0.0.0/30', /minimum size/],
  ['upstream-dns', '127.0.0.53', /not a loopback one/],
  ['underlay-mtu', '1000', /from 1330 to/],
  ['underlay-device', 'a/b', /name of a network device/],
  ['node', 'Big_Name', /lower case letters/],
  ['roles', 'hypervisor,network', /expected hypervisor, storage, api or events/],
  ['roles', ',', /at least one of hypervisor, storage, api, events/],
  ['zone', 'a..b', /DNS domain/],
  ['host-tag', '12345', /four digits/],
  ['etcd', 'ftp://x', /begins with http:\/\/ or https:\/\//],
  ['etcd', 'http://a:1,https://b:2', /all of them/],
  ['etcd-key', '/some/key', /a certificate and its key/],
  ['image', 'ftp://x/y.img', /begins with http:\/\//],
  ['image-max-disk', '2 TB', /500M, 64G or 2T/],
  ['image-copies', '0', /1 to 16/],
  ['fetch-allow', '10.0.0.0/33', /addresses or blocks/],
  ['lease-ttl', '4', /from 5 to 60/],
  ['log-level', 'loud', /debug, info, warn or error/],
  ['tour', 'maybe', /first, only or never/],
  ['run-dir', `/${'x'.repeat(90)}`, /at most 83 bytes/],
];
for (const [name, text, message] of REFUSED) {
  test(`${name} ${text} is refused, saying what is allowed`, () => {
    throws(() => withData(`--${name}`, text), { code: 'config/invalid', message });
  });
}

test('a machine has every role unless some are given, and without the API no tour', () => {
  assert.equal(withData().roles, ['hypervisor', 'storage', 'api', 'events']);
  assert.equal(withData('--roles', 'api, hypervisor,api').roles, ['hypervisor', 'api']);
  const storage = withData('--roles', 'storage');
  assert.equal(storage.roles, ['storage']);
  assert.is(storage.tour.when, 'never');
  const message = /setting roles .*expected the role api, since the tour goes through the API/;
  throws(() => withData('--roles', 'storage', '--tour-only'), { code: 'config/invalid', message });
});

test('every setting can be given as a variable', () => {
  const variables = Object.fromEntries(
    Object.entries(SETTINGS)
      .filter(([, { initial }]) => initial !== '')
      .map(([name, { initial }]) => [`TROUPE_${name.replaceAll('-', '_').toUpperCase()}`, initial]),
  );
  const given = {
    ...variables,
    TROUPE_NODE: 'n1',
    TROUPE_HOST_TAG: 'abcd',
    TROUPE_RUN_DIR: '/run/x',
  };
  const config = readConfig({
    flags: [],
    variables: { ...given, TROUPE_CONFIG: undefined, TROUPE_DATA_DIR: directory },
    directory,
  });
  assert.is(config.node, 'n1');
  assert.is(config.hostTag, 'abcd');
  assert.is(config.runDir, '/run/x');
  assert.is(variableOf('image-keep-free'), 'TROUPE_IMAGE_KEEP_FREE');
});

test('an unknown flag, key or a flag without its value is refused', () => {
  throws(() => withData('--api-prot', '1'), {
    code: 'config/invalid',
    message: /"--api-prot" is no flag/,
  });
  throws(() => withData('word'), { code: 'config/invalid', message: /"word" is no flag/ });
  throws(() => withData('--node'), {
    code: 'config/invalid',
    message: /expected a value after it/,
  });
  throws(() => withData('--tour-only', '--no-tour'), {
    code: 'config/invalid',
    message: /opposite/,
  });
  writeSettings({ 'api-prot': 1 });
  throws(() => withData(), {
    code: 'config/invalid',
    message: /"api-prot" is no key in .*troupe\.json/,
  });
});

test('a settings file that is named has to be there and to be an object', () => {
  throws(() => withFlags('--config', 'nope.json'), {
    code: 'config/invalid',
    message: /nope\.json cannot be read/,
  });
  writeFileSync(join(directory, 'bad.json'), '{');
  throws(() => withFlags('--config', 'bad.json'), {
    code: 'config/invalid',
    message: /is not JSON/,
  });
  writeFileSync(join(directory, 'list.json'), '[]');
  throws(() => withFlags('--config', 'list.json'), {
    code: 'config/invalid',
    message: /one JSON object/,
  });
  writeFileSync(join(directory, 'typed.json'), '{"zone": {"a": 1}}');
  throws(() => withFlags('--config', 'typed.json'), {
    code: 'config/invalid',
    message: /expected text, a number or a list/,
  });
});

test('relative paths mean the folder of whoever wrote them', () => {
  writeSettings({ libvirt: 'lib.sock' });
  const named = readConfig({
    flags: [
      '--config',
      join(directory, 'troupe.json'),
      '--data-dir',
      'here',
      '--image',
      'disk.img',
    ],
    variables: {},
    directory: '/tmp',
  });
  assert.is(named.libvirtSocket, join(directory, 'lib.sock'));
  assert.is(named.dataDir, '/tmp/here');
  assert.is(named.tour.image, '/tmp/disk.img');
});

test('one data directory has one tag, by whichever name it is called', () => {
  const link = `${directory}-link`;
  symlinkSync(directory, link);
  try {
    const [real, linked] = [withData(), withFlags('--data-dir', join(link, 'deeper', '..'))];
    assert.is(linked.hostTag, real.hostTag);
    assert.is(linked.runDir, `/run/troupe-${real.hostTag}`);
    assert.is.not(withFlags('--data-dir', '/tmp/another').hostTag, real.hostTag);
  } finally {
    rmSync(link);
  }
});

test('the usage text has every setting that is not for tests', () => {
  const text = usage();
  for (const name of ['data-dir', 'api-port', 'etcd', 'libvirt', 'image', 'floating-block'])
    assert.ok(text.includes(`--${name} `), name);
  assert.not.ok(text.includes('crash-point'));
  assert.ok(text.split('\n').every((line) => line.length <= 120));
  assert.ok(wantsHelp(['--api-port', '1', '--help']));
  assert.not.ok(wantsHelp(['--tour-only']));
});

test.run();

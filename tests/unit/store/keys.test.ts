import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clusterKeys } from '../../../transport/store/keys.ts';

const test = suite('store keys');
const keys = clusterKeys('lab');
const odd = [
  'a/b',
  '%2F',
  '..',
  ' ',
  'ü',
  '日本',
  '🐟',
  '\0',
  'a%',
  '~!*()',
  "'",
  '\u202e',
  'null',
];

test('keys are laid out as the architecture page says', () => {
  assert.is(keys.member('n1'), '/troupe/lab/members/n1');
  assert.is(keys.owner(7), '/troupe/lab/owners/7');
  assert.is(keys.object('instance', 'i1'), '/troupe/lab/objects/instance/i1');
  assert.is(keys.name('ns', 'network', 'web', 'i1'), '/troupe/lab/names/ns/network/web/i1');
  assert.is(keys.event('instance', 'i1', '01AR'), '/troupe/lab/events/instance/i1/01AR');
  assert.is(keys.archive('n1'), '/troupe/lab/archives/n1');
  assert.is(keys.alloc('vni', '4096'), '/troupe/lab/alloc/vni/4096');
});

test('what is built is read back, whatever the names hold', () => {
  for (const name of odd) {
    assert.equal(keys.parse(keys.member(name)), { area: 'members', node: name });
    assert.equal(keys.parse(keys.archive(name)), { area: 'archives', node: name });
    assert.equal(keys.parse(keys.object(name, name)), { area: 'objects', kind: name, id: name });
    const named = { area: 'names', namespace: name, kind: 'network', name, id: name };
    assert.equal(keys.parse(keys.name(name, 'network', name, name)), named);
    const event = { area: 'events', kind: 'k', id: name, event: name };
    assert.equal(keys.parse(keys.event('k', name, name)), event);
    assert.equal(keys.parse(keys.alloc(name, name)), { area: 'alloc', pool: name, item: name });
  }
  assert.equal(keys.parse(keys.owner(255)), { area: 'owners', shard: 255 });
});

test('keys are ASCII, and a name adds no segment', () => {
  for (const name of odd) {
    const key = keys.object('k', name);
    assert.match(key, /^[\x20-\x7e]+$/);
    assert.is(key.split('/').length, 6);
  }
});

test('different names never give the same key', () => {
  const built = odd.flatMap((a) => odd.map((b) => keys.object(a, b)));
  assert.is(new Set(built).size, odd.length ** 2);
});

test('a prefix lists its own kind only', () => {
  assert.is(keys.objects(), '/troupe/lab/objects/');
  assert.is(keys.objects('net'), '/troupe/lab/objects/net/');
  assert.not.ok(keys.object('network', 'x').startsWith(keys.objects('net')));
  assert.ok(keys.name('ns', 'k', 'a/b', 'i').startsWith(keys.names('ns', 'k', 'a/b')));
  assert.not.ok(keys.name('ns', 'k', 'ab', 'i').startsWith(keys.names('ns', 'k', 'a')));
  assert.ok(keys.event('k', 'i', 'e').startsWith(keys.events('k', 'i')));
  for (const prefix of [keys.members(), keys.owners(), keys.archives(), keys.allocs()])
    assert.ok(prefix.startsWith(keys.root) && prefix.endsWith('/'));
});

test('one cluster does not read the keys of another', () => {
  assert.is(clusterKeys('lab2').parse(keys.member('n1')), null);
  assert.is(clusterKeys('la').parse(keys.member('n1')), null);
});

test('what was not built by us is null, and nothing throws', () => {
  for (const tail of [
    '',
    'members',
    'members/',
    'members/a/b',
    'members/%',
    'members/%zz',
    'members/%ff',
    'members/%61',
    'members/a b',
    'owners/',
    'owners/x',
    'owners/007',
    'owners/-1',
    'objects/k',
    'objects/k/',
    'objects/k/i/more',
    'names/ns/k/n',
    'names/ns/k/n/i/more',
    'events/k/i',
    'unknown/a/b',
  ]) {
    assert.is(keys.parse(keys.root + tail), null, tail);
  }
  assert.is(keys.parse('/elsewhere'), null);
});

test('an empty segment and half a character are refused', () => {
  for (const build of [
    () => keys.member(''),
    () => keys.object('k', ''),
    () => keys.name('', 'k', 'n', 'i'),
    () => keys.object('k', '\ud800'),
    () => clusterKeys(''),
  ]) {
    assert.throws(build, (error: { code: string }) => error.code === 'store/bad-value');
  }
});

test.run();

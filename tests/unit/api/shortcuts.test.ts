// Short names of images.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { expandShortcut } from '../../../src/api/artifacts/shortcuts.ts';
import { SETTINGS } from '../../../src/config/settings.ts';
import { listOf, shortcut } from '../../../src/config/values.ts';

const test = suite('image shortcuts');
const usual = listOf(shortcut)(SETTINGS['image-shortcuts'].initial, '/');

const ROWS: readonly (readonly [name: string, url: string | null])[] = [
  ['debian:12', 'https://images.shakenfist.com/debian:12/latest.qcow2'],
  ['debian-docker:12', 'https://images.shakenfist.com/debian-docker:12/latest.qcow2'],
  ['ubuntu', 'https://images.shakenfist.com/ubuntu/latest.qcow2'],
  ['cirros:0.5.2', 'http://download.cirros-cloud.net/0.5.2/cirros-0.5.2-x86_64-disk.img'],
  ['cirros', 'http://download.cirros-cloud.net/0.6.2/cirros-0.6.2-x86_64-disk.img'],
  ['arch', null],
  ['debian/12', null],
  ['debian:..', null],
  ['debian:1@evil.test', null],
  ['debian:12?x', null],
  ['', null],
];
for (const [name, url] of ROWS) {
  test(`${JSON.stringify(name)} stands for ${url ?? 'nothing'}`, () => {
    assert.is(expandShortcut(usual, name), url);
  });
}

test('the first line that fits counts', () => {
  const table = listOf(shortcut)(
    'debian:12=http://own.test/12 debian*=http://own.test/x/{version}',
    '/',
  );
  assert.is(expandShortcut(table, 'debian:12'), 'http://own.test/12');
  assert.is(expandShortcut(table, 'debian:11'), 'http://own.test/x/11');
});

test('a line without name or without URL is refused', () => {
  for (const text of ['debian', '=http://h/x', 'debian=ftp://h/x', 'debian=', 'de*bian=http://h/x'])
    assert.throws(() => shortcut(text, '/'), /expected|lines such as|a URL that begins/, text);
});

test.run();

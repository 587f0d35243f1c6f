// What a claim on an address is made of.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { originOf } from '../../../../actors/blob/origin.ts';
import type { Checksum } from '../../../../actors/blob/state.ts';

const test = suite('claims on addresses');

const of = (url: string, checksum?: Checksum) =>
  originOf({ kind: 'url', url, ...(checksum === undefined ? {} : { checksum }) });
const sha256 = { algorithm: 'sha256', hex: 'aa' } as const;

test('an address is the same however it is written', () => {
  assert.is(of('HTTP://Images.Test:80/a'), of('http://images.test/a'));
  assert.is(of('http://images.test/a#part'), of('http://images.test/a'));
});

test('another path, query, user, password or expected hash is another one', () => {
  const all = [
    of('http://images.test/a'),
    of('http://images.test/b'),
    of('http://images.test/a?token=1'),
    of('http://images.test/a?token=2'),
    of('http://me@images.test/a'),
    of('http://me:secret@images.test/a'),
    of('https://images.test/a'),
    of('http://images.test/a', sha256),
    of('http://images.test/a', { ...sha256, algorithm: 'sha512' }),
    of('http://images.test/a', { ...sha256, hex: 'bb' }),
  ];
  assert.is(new Set(all).size, all.length);
});

test('no secret can be read in it', () => {
  assert.match(of('http://me:secret@images.test/a?token=secret') ?? '', /^[0-9a-f]{64}$/);
});

test('what only one node has is claimed by nobody', () => {
  assert.is(originOf({ kind: 'file', path: '/a' }), null);
  assert.is(originOf({ kind: 'spool', id: 'a' }), null);
  assert.is(originOf({ kind: 'blob', blobId: 'a' }), null);
  assert.is(originOf(null), null);
});

test.run();

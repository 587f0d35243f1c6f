import { hash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DigestList } from '../../../transport/blobs/digest-list.ts';

const test = suite('list of digests');
const DIGESTS = Buffer.concat([1, 2, 3].map((byte) => Buffer.alloc(32, byte)));
const SHA256 = hash('sha256', DIGESTS);
const page = (first: number, last: number) => DIGESTS.subarray(first * 32, last * 32);

test('digests come in order, and no more than there are chunks', () => {
  const list = new DigestList(3, null);
  assert.is(list.digestOf(0), null);
  assert.is(list.add(1, page(0, 1)), false, 'not the next');
  assert.is(list.add(0, page(0, 0)), false, 'none');
  assert.ok(list.add(0, page(0, 2)));
  assert.is(list.next, 2);
  assert.is(list.digestOf(2), null);
  assert.is(list.add(2, page(1, 3)), false, 'too many');
  assert.ok(list.add(2, page(2, 3)));
  assert.is(list.next, null);
  assert.equal(list.digestOf(1), Uint8Array.from(page(1, 2)));
});

test('one whose hash is known counts once it is whole, and a wrong one does not', () => {
  const list = new DigestList(3, SHA256);
  assert.ok(list.add(0, page(0, 2)));
  assert.is(list.digestOf(0), null, 'half of it proves nothing');
  assert.is(list.add(2, page(0, 1)), false, 'with this one it is another list');
  assert.not(list.isWhole);
  assert.ok(list.add(2, page(2, 3)));
  assert.ok(list.isWhole);
  assert.equal(list.digestOf(0), Uint8Array.from(page(0, 1)));
});

test('when who gives it goes halfway, only pages that can be told from wrong ones later are kept', () => {
  const [known, unknown] = [new DigestList(3, SHA256), new DigestList(3, null)];
  for (const list of [known, unknown]) {
    list.add(0, page(0, 2));
    list.restart();
  }
  assert.equal([known.next, unknown.next], [0, 2]);
  known.add(0, page(0, 3));
  known.restart();
  assert.ok(known.isWhole, 'nothing is begun anew once all is here');
});

test.run();

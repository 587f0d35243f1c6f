import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PeerQueue } from '../../../transport/blobs/peer-queue.ts';

const test = suite('queue of peers');

test('each is there once, in its order, and holders never', () => {
  const queue = new PeerQueue(['a', 'b', 'a', 'holder'], ['me', 'holder']);
  assert.is(queue.size, 2);
  assert.not(queue.add('b', 0));
  assert.not(queue.add('me', 0));
  assert.ok(queue.add('c', 0));
  assert.equal([queue.next(0), queue.next(0), queue.next(0), queue.next(0)], ['a', 'b', 'c', null]);
});

test('one that is put back comes after a rest, and one that is not never again', () => {
  const queue = new PeerQueue(['a', 'b'], []);
  queue.next(0);
  queue.next(0);
  queue.putBack('a', 100);
  assert.is(queue.next(1_000), null);
  assert.not(queue.add('b', 1_000), 'it is barred');
  assert.is(queue.next(1_100), 'a');
});

test.run();

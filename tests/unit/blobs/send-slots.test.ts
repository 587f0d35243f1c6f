// Who may send a chunk when: in order, a few at a time, and nobody holds the others up for long.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SendSlots } from '../../../transport/blobs/send-slots.ts';
import { ManualClock } from '../../support/kernel.ts';

const test = suite('slots for sending');

function begin(slots: number) {
  const clock = new ManualClock();
  const all = new SendSlots(slots, clock);
  const sending: string[] = [];
  const releases = new Map<string, () => void>();
  const ask = (name: string, isGone = () => false): void => {
    if (isGone()) return;
    const release = all.take(() => ask(name, isGone));
    if (release === null) return;
    sending.push(name);
    releases.set(name, release);
  };
  return { clock, sending, ask, done: (name: string) => releases.get(name)?.() };
}

test('as many as there are slots send; the others follow in the order in which they came', () => {
  const { sending, ask, done } = begin(2);
  for (const name of ['a', 'b', 'c', 'd']) ask(name);
  assert.equal(sending, ['a', 'b']);
  done('b');
  assert.equal(sending, ['a', 'b', 'c']);
  done('b');
  assert.equal(sending, ['a', 'b', 'c'], 'given back once');
  done('a');
  assert.equal(sending, ['a', 'b', 'c', 'd']);
});

test('who waited and is gone is passed over', () => {
  const { sending, ask, done } = begin(1);
  let isGone = false;
  ask('a');
  ask('b', () => isGone);
  ask('c');
  isGone = true;
  done('a');
  assert.equal(sending, ['a', 'c']);
});

test('one that takes slowly holds its slot for seconds only', async () => {
  const { clock, sending, ask, done } = begin(1);
  ask('slow');
  ask('next');
  await clock.advance(1_999);
  assert.equal(sending, ['slow']);
  await clock.advance(1);
  assert.equal(sending, ['slow', 'next']);
  done('slow');
  ask('third');
  assert.equal(sending, ['slow', 'next'], 'its slot is not given back twice');
});

test.run();

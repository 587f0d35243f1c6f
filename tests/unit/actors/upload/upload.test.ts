// An upload: how long it stays, and how it goes.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readSnapshot } from '../../../../actors/kernel/snapshot.ts';
import { upload } from '../../../../actors/upload/upload.ts';
import { stepper } from '../random-walk.ts';

const test = suite('upload');
const DAY_MS = 86_400_000;
const CREATE = { kind: 'create', node: 'n1', namespace: 'lab', idleMs: DAY_MS } as const;
const begun = () => stepper(upload).send(CREATE);

test('one to which nothing comes is removed after its time, its bytes first', () => {
  const one = begun();
  assert.is(one.pass(DAY_MS - 1).time().state.phase, 'created');
  one.pass(1).time();
  assert.equal([one.state.phase, one.effects], ['delete-wait', ['remove-file']]);
  assert.is(one.try({ kind: 'file-removed' }).state, null);
});

test('one that is touched stays, however old it is; its start is not forgotten', () => {
  const one = begun();
  const { sinceMs } = one.state;
  for (let day = 0; day < 20; day++)
    one
      .pass(DAY_MS / 2)
      .time()
      .send({ kind: 'touched' });
  assert.equal([one.state.phase, one.state.sinceMs], ['created', sinceMs]);
  assert.is(one.pass(DAY_MS).time().state.phase, 'delete-wait');
});

test('touches in quick succession are not written each time', () => {
  const one = begun();
  const before = one.state;
  assert.is(one.pass(60_000).send({ kind: 'touched' }).state, before);
  assert.is.not(one.pass(DAY_MS / 24).send({ kind: 'touched' }).state, before);
});

test('it goes with its node', () => {
  assert.is(begun().try({ kind: 'node-gone', node: 'n1' }).state, null);
  const one = begun();
  assert.is(one.try({ kind: 'node-gone', node: 'n2' }).state, one.state);
});

test('what is to be removed goes although its node does not answer', () => {
  const one = begun().send({ kind: 'delete' });
  assert.is(one.pass(660_000).try({ kind: 'time-reached', atMs: 0 }).state, null);
});

test('one of schema 1 expires seven days after it was begun', () => {
  const { touchedAtMs: _, idleMs: __, ...old } = begun().state;
  const state = readSnapshot(upload.snapshot, { schema: 1, state: old, trace: 't' });
  assert.equal(state, { ...begun().state, idleMs: 7 * DAY_MS });
});

test.run();

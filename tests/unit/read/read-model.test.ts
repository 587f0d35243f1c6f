// The read model: what waits for it sees every state in order, by a deadline, and leaves nothing behind.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { initial, network } from '../../../actors/network/network.ts';
import type { NetworkState } from '../../../actors/network/state.ts';
import { ReadModel, type ObjectChange } from '../../../src/read/read-model.ts';
import { keptLog, ManualClock, settle } from '../../support/kernel.ts';

const test = suite('read model');

function makeModel() {
  const clock = new ManualClock();
  const { log, lines } = keptLog();
  return { clock, lines, model: new ReadModel(clock, log) };
}

function change(revision: number, state: Partial<NetworkState>, id = 'n'): ObjectChange {
  const snapshot = { schema: network.snapshot.schema, state: { ...initial, ...state } };
  return { kind: 'network', id, revision, snapshot };
}

test('who wrote waits until the copy has reached the write', async () => {
  const { model } = makeModel();
  let isReached = false;
  const reached = model.reached(7).then(() => (isReached = true));
  model.apply([change(5, {})], 6, false);
  await settle();
  assert.is(isReached, false);
  model.apply([], 7, false);
  await reached;
  await model.reached(3);
  assert.is(model.waiting, 0);
});

test('a copy that never gets there fails the wait at its deadline', async () => {
  const { clock, model } = makeModel();
  const late = model.reached(7, 1_000);
  const refused = rejects(late, { code: 'actor/timeout' });
  await clock.advance(1_000);
  await refused;
  assert.equal([model.waiting, clock.pending], [0, 0]);
});

test('who waits for an object sees each state that was, also within one batch', async () => {
  const { model } = makeModel();
  const seen: string[] = [];
  const done = model.when(
    model.networks,
    'n',
    (state) => seen.push(state.phase) > 0 && state.phase === 'deleted',
    1_000,
  );
  const phases = ['initial', 'created', 'delete-wait', 'deleted'] as const;
  model.apply(
    phases.map((phase, at) => change(at + 1, { phase })),
    4,
    false,
  );
  assert.is((await done).revision, 4);
  assert.equal(seen, phases);
});

test('the first state that fits is the answer, whatever follows', async () => {
  const { model } = makeModel();
  const created = model.when(model.networks, 'n', ({ phase }) => phase === 'created', 1_000);
  model.apply([change(1, { phase: 'created' }), change(2, { phase: 'error' })], 2, false);
  assert.is((await created).state.phase, 'created');
  assert.is(model.networks.get('n')?.state.phase, 'error');
});

test('a state that is there already is the answer at once', async () => {
  const { clock, model } = makeModel();
  model.apply([change(1, { phase: 'created' })], 1, false);
  assert.is((await model.when(model.networks, 'n', () => true, 0)).id, 'n');
  assert.is(clock.pending, 0);
});

test('changes of other objects wake nobody', async () => {
  const { clock, model } = makeModel();
  let looks = 0;
  const never = model.when(model.networks, 'n', () => (looks++, false), 1_000);
  const refused = rejects(never, { code: 'actor/timeout' });
  for (let at = 1; at <= 1_000; at++) model.apply([change(at, {}, `other-${at}`)], at, false);
  assert.is(looks, 0);
  model.apply([change(1_001, {})], 1_001, false);
  assert.is(looks, 1);
  await clock.advance(1_000);
  await refused;
  assert.is(model.waiting, 0);
});

test('a condition that throws fails its own wait only', async () => {
  const { model } = makeModel();
  const broken = model.when(
    model.networks,
    'n',
    () => {
      throw new Error('a bug in a condition');
    },
    1_000,
  );
  const refused = rejects(broken, /a bug in a condition/);
  const fine = model.when(model.networks, 'n', () => true, 1_000);
  model.apply([change(1, {})], 1, false);
  await refused;
  assert.is((await fine).id, 'n');
});

test('a store that was set back replaces everything, and may go back in revisions', () => {
  const { model } = makeModel();
  model.apply([change(8, { name: 'old' }, 'a'), change(9, { name: 'kept' }, 'b')], 9, false);
  model.apply([change(3, { name: 'kept', namespace: 'lab' }, 'b')], 4, true);
  assert.is(model.networks.get('a'), undefined);
  assert.is(model.networks.get('b')?.revision, 3);
  assert.is(model.networks.named('kept', 'lab').length, 1);
  assert.is(model.revision, 4);
});

test('a deletion takes the object out; a kind nobody shows is passed over', () => {
  const { model } = makeModel();
  model.apply(
    [
      change(1, {}),
      { kind: 'unheard-of', id: 'x', revision: 1, snapshot: { schema: 1, state: {} } },
    ],
    1,
    false,
  );
  model.apply([{ kind: 'network', id: 'n', revision: 2, snapshot: null }], 2, false);
  assert.is(model.networks.size, 0);
});

test('an unreadable object is logged and left out', () => {
  const { model, lines } = makeModel();
  model.apply(
    [{ kind: 'network', id: 'n', revision: 1, snapshot: { schema: 99, state: {} } }],
    1,
    false,
  );
  assert.is(model.networks.get('n'), undefined);
  assert.is(lines[0]?.fields['id'], 'n');
});

test('says when it may be stale', () => {
  const { model } = makeModel();
  assert.is(model.isStale, false);
  model.linkChanged(false);
  assert.is(model.isStale, true);
  model.linkChanged(true);
  assert.is(model.isStale, false);
});

test.run();

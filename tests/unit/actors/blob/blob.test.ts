// A blob's transitions: by table, and under random messages.
import { suite } from 'uvu';
import { progressUsers } from '../../../../actors/blob/progress.ts';
import * as assert from 'uvu/assert';
import { blob } from '../../../../actors/blob/blob.ts';
import { PHASES } from '../../../../actors/blob/phases.ts';
import type { BlobMessage, BlobState, Replica } from '../../../../actors/blob/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';
import { CONTENT, FACTS } from '../../../support/blob-content.ts';

const test = suite('blob');

const source = { kind: 'url', url: 'http://images.test/a' } as const;
const CREATE = { kind: 'create', source, node: 'n1', user: 'artifact/a' } as const;
const content = {
  ...CONTENT,
  facts: FACTS,
} as const;
const fetched = { kind: 'fetched', content } as const;
const unuse = { kind: 'unuse', user: 'artifact/a' } as const;
const removed = (state: BlobState) =>
  ({ kind: 'replicas-removed', generation: state.generation }) as const;

const made = () => stepper(blob).send(CREATE);

test('it is fetched, told of, and deleted when its last user has gone', () => {
  const one = made();
  assert.equal(one.effects, ['fetch']);
  assert.equal(one.send(fetched).effects, ['tell-users', 'place-copies']);
  one.send({ kind: 'use', user: 'instance/vm' }).send(unuse);
  assert.is(one.state.phase, 'created');
  one.send({ kind: 'unuse', user: 'instance/vm' });
  assert.equal(one.effects, ['remove-replicas']);
  one.send(removed(one.state));
  assert.is(one.state.phase, 'deleted');
  assert.equal(one.state.replicas, {});
});

test('made twice, for two artifacts that fetch the same, it is fetched once and used by both', () => {
  const one = made();
  assert.is(one.try({ ...CREATE, node: 'n2', user: 'artifact/b' }).reply, 'initial');
  assert.equal(Object.keys(one.state.replicas), ['n1']);
  one.send(unuse);
  assert.is(one.state.phase, 'initial', 'the other one waits for it');
  one.send(fetched);
  assert.is(one.try({ ...CREATE, user: 'artifact/c' }).reply, 'created');
  assert.equal(one.state.users, ['artifact/b', 'artifact/c']);
});

test('one that has failed, or goes, is made for nobody else', () => {
  const one = made();
  one.fail('image/refused', 'the image names a backing file');
  const other = { ...CREATE, user: 'artifact/b' } as const;
  assert.is(one.try(other).refusal?.code, 'object/wrong-phase');
  assert.is(one.try(CREATE).reply, 'error', 'but for whom it was made');
  assert.is(one.send(unuse).try(other).refusal?.code, 'object/wrong-phase');
});

test('a fetch that is given up has its half-made replica removed at once, under a newer generation', () => {
  const one = made();
  const { generation } = one.state;
  one.fail('image/refused', 'the image names a backing file');
  assert.is(one.state.phase, 'error');
  assert.ok(one.state.generation > generation);
  assert.equal(one.effects, ['tell-users', 'remove-replicas']);
  one.send({ kind: 'replicas-removed', generation });
  assert.equal(Object.keys(one.state.replicas), ['n1'], 'an older outcome proves nothing');
  one.send(removed(one.state));
  assert.is(one.state.phase, 'error');
  assert.equal(one.state.replicas, {});
  assert.equal(one.effects, ['tell-users']);
});

test('a parked blob keeps a complete replica that is in use, and drops a half-made one', () => {
  assert.equal(made().send(fetched).park().effects, ['tell-users']);
  assert.equal(made().park().effects, ['tell-users', 'remove-replicas']);
});

test('one that was parked while it was deleted finds its own way out', () => {
  const one = made().send(fetched).send(unuse).park();
  assert.equal(one.effects, ['remove-replicas']);
  one.send(removed(one.state));
  assert.is(one.state.phase, 'delete-wait');
  assert.is(one.send(removed(one.state)).state.phase, 'deleted');
});

test('its last user leaving calls a fetch off', () => {
  const one = made().send(unuse);
  assert.is(one.state.phase, 'delete-wait');
  assert.equal(one.effects, ['remove-replicas']);
});

test('delete calls a fetch off, and is refused while something uses the blob', () => {
  const one = made().send({ kind: 'delete' });
  assert.is(one.state.failure?.reason, 'the fetch was called off');
  const refusal = made().send(fetched).try({ kind: 'delete' }).refusal;
  assert.is(refusal?.reason, 'blob self is used by artifact/a; delete its users first');
});

test('users that have never heard of it are users no more', () => {
  const one = made()
    .send(fetched)
    .send({ kind: 'users-gone', users: ['artifact/a'] });
  assert.is(one.state.phase, 'delete-wait');
});

test('nobody can begin to use what is on its way out', () => {
  const step = made().send(unuse).try({ kind: 'use', user: 'instance/vm' });
  assert.is(step.refusal?.code, 'object/wrong-phase');
});

test('the same progress is told once', () => {
  const one = made();
  const progress = { kind: 'progressed', step: 'downloading', percent: 10 } as const;
  one
    .send(progress)
    .send(progress)
    .send({ ...progress, percent: 20 });
  assert.equal(one.events, ['fetch started', 'fetching', 'fetching']);
});

test('how far it is is told to its users while it is fetched, and then to who waits for a copy', () => {
  const one = made();
  const progress = { kind: 'progressed', node: 'n1', step: 'downloading', percent: 10 } as const;
  one.send(progress);
  assert.equal(one.effects, ['fetch', 'tell-progress']);
  assert.equal(progressUsers(one.state), ['artifact/a']);
  one.send({ ...progress, node: 'n2', percent: 90 });
  assert.is(one.state.progress.percent, 10, 'that one does not fetch it');
  one.send(fetched).send({ kind: 'need', user: 'instance/vm', node: 'n2' });
  assert.not.ok(one.effects.includes('tell-progress'));
  one.send({ ...progress, node: 'n2', step: 'copying' });
  assert.ok(one.effects.includes('tell-progress'));
  assert.equal(progressUsers(one.state), ['instance/vm']);
  const { generation = 0 } = one.state.replicas['n2'] ?? {};
  one.send({ kind: 'copied', node: 'n2', generation });
  assert.not.ok(one.effects.includes('tell-progress'));
});

test('restarts do not prolong a fetch for ever', () => {
  const one = made().pass(1_830_000).time();
  assert.is(one.state.failure?.reason, 'the image was not fetched within 30 minutes');
});

function message(pick: Pick, state: BlobState): BlobMessage {
  const user = pick('artifact/a', 'instance/b', 'instance/c');
  const node = pick('n1', 'n2', 'n3', 'n4');
  const generation = state.replicas[node]?.generation ?? 0;
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((name) => ({
    node: name,
    isUp: pick(true, false),
    takesMore: pick(true, true, false),
  }));
  return pick<BlobMessage>(
    CREATE,
    fetched,
    { kind: 'progressed', step: pick('downloading', 'hashing'), percent: pick(null, 10, 20), node },
    { kind: 'use', user },
    { kind: 'need', user, node },
    { kind: 'need', user, node, forDisk: true, lazyFromBytes: pick(0, 10 ** 12) },
    { kind: 'holders', node },
    { kind: 'nodes-changed', nodes, copies: pick(1, 2, 3), patienceMs: 300_000 },
    { kind: 'node-gone', node },
    { kind: 'copied', node, generation },
    { kind: 'copied', node, generation },
    { kind: 'copy-removed', node, generation, isInUse: pick(true, false) },
    { kind: 'unuse', user },
    { kind: 'users-gone', users: [user] },
    { kind: 'replicas-removed', generation: pick(state.generation, state.generation - 1) },
    { kind: 'delete' },
    { kind: 'forgotten' },
  );
}

test('random messages keep to the table, are harmless repeated, and leave it alive', () => {
  const rest = ['none', 'created', 'error', 'deleted'] as const;
  const check = (state: BlobState) => {
    const isGone = state.phase === 'deleted';
    if (isGone) assert.equal(state.replicas, {});
    if (state.phase !== 'created') return;
    assert.ok(state.users.length > 0 && Object.keys(state.replicas).length > 0);
    for (const { generation } of Object.values(state.replicas)) {
      assert.ok(generation <= state.generation);
    }
    // Promise 4: whatever happens, somewhere there is a good one that nobody was told to remove.
    const isKept = ({ phase, isWhole }: Replica) =>
      phase === 'verified' || phase === 'lost' || (phase === 'failed' && isWhole);
    const isAsked = ({ phase }: Replica) => phase === 'copying';
    assert.ok(Object.values(state.replicas).some((one) => isKept(one) || isAsked(one)));
  };
  const moves = walk(
    { kind: blob, phases: PHASES, rest, message, check },
    { seeds: 400, steps: 300 },
  );
  assert.equal(movesOf(PHASES), moves);
});

test.run();

// The node that fetches a blob is lost: it comes back, another takes over, or there is a reason.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob } from '../../../../actors/blob/blob.ts';
import type { BlobMessage, Source } from '../../../../actors/blob/state.ts';
import { stepper } from '../random-walk.ts';
import { CONTENT as content } from '../../../support/blob-content.ts';

const test = suite('the node that fetches');
const WAIT_MS = 60_000;
const URL = { kind: 'url', url: 'http://images.test/a' } as const;

const begun = (source: Source = URL) =>
  stepper(blob).send({ kind: 'create', source, node: 'n1', user: 'artifact/a' });
type Stepper = ReturnType<typeof begun>;

/** Nodes whose names begin with `-` are down. */
const nodes = (names: string): BlobMessage => ({
  kind: 'nodes-changed',
  copies: 2,
  patienceMs: 300_000,
  nodes: names
    .split(' ')
    .map((name) => ({ node: name.replace('-', ''), isUp: !name.startsWith('-'), takesMore: true })),
});
const phases = ({ state }: Stepper) =>
  Object.fromEntries(Object.entries(state.replicas).map(([node, { phase }]) => [node, phase]));

test('one that is back within a minute is told again, and goes on', () => {
  const one = begun().send(nodes('-n1 n2'));
  assert.equal(one.effects, ['fetch']);
  one.pass(WAIT_MS - 1).time();
  assert.equal(phases(one), { n1: 'copying' });
  one
    .send(nodes('n1 n2'))
    .pass(WAIT_MS * 10)
    .time();
  assert.equal([phases(one), one.state.generation], [{ n1: 'copying' }, 2]);
});

test('one that stays away is replaced, and what it has is removed when it is back', () => {
  const one = begun().send(nodes('-n1 n2')).pass(WAIT_MS).time();
  assert.equal([phases(one), one.effects], [{ n1: 'removing' }, ['place-copies']]);
  one.send(nodes('-n1 n2'));
  assert.equal([phases(one), one.effects], [{ n1: 'removing', n2: 'copying' }, ['fetch']]);
  one.send({ kind: 'fetched', node: 'n2', content }).send(nodes('-n1 n2'));
  assert.equal([one.state.phase, phases(one)], ['created', { n1: 'removing', n2: 'verified' }]);
  assert.not.ok(one.effects.includes('remove-copy'), 'it is out of reach');
  one.send(nodes('n1 n2 n3'));
  assert.ok(one.effects.some((effect) => effect === 'remove-copy' || effect === 'copy'));
});

test('what the first one says late is not taken for what the second one has', () => {
  const one = begun().send(nodes('-n1 n2')).pass(WAIT_MS).time().send(nodes('-n1 n2'));
  one.send({ kind: 'fetched', node: 'n1', content });
  assert.is(one.state.phase, 'initial');
});

test('one that is removed from the cluster is replaced at once', () => {
  const one = begun().send({ kind: 'node-gone', node: 'n1' }).send(nodes('n2'));
  assert.equal(phases(one), { n2: 'copying' }, 'nothing is to be removed from what is no more');
});

const BOUND: readonly [Source, RegExp][] = [
  [{ kind: 'file', path: '/srv/a' }, /file \/srv\/a is on n1, which is away: bring it back/],
  [{ kind: 'spool', id: 'u' }, /brought to n1, which is away: bring it back and try again/],
  [{ kind: 'blob', blobId: 'x' }, /start the instance again/],
];
for (const [source, reason] of BOUND) {
  test(`what only the lost node can fetch fails with the reason: ${source.kind}`, () => {
    const one = begun(source).send(nodes('-n1 n2')).pass(WAIT_MS).time().send(nodes('-n1 n2'));
    assert.is(one.state.phase, 'error');
    assert.is(one.state.failure?.code, 'image/not-fetched');
    assert.match(one.state.failure?.reason ?? '', reason);
  });
}

test('one without room is left to another; when none has room that is the reason', () => {
  const one = begun().send({ kind: 'no-room', node: 'n1', reason: 'n1 is full' });
  assert.equal(one.effects, ['place-copies']);
  one.send(nodes('n1 n2'));
  assert.equal(phases(one), { n1: 'removing', n2: 'copying' });
  one.send({ kind: 'no-room', node: 'n1', reason: 'late' });
  assert.equal(phases(one), { n1: 'removing', n2: 'copying' });
  one.send({ kind: 'no-room', node: 'n2', reason: 'n2 is full' }).send(nodes('n1 n2'));
  assert.equal(one.state.failure, { code: 'host/disk-full', reason: 'n1 is full' });
});

test('a file on a node without room fails with that', () => {
  const one = begun({ kind: 'file', path: '/srv/a' });
  one.send({ kind: 'no-room', node: 'n1', reason: 'n1 is full' }).send(nodes('n1 n2'));
  assert.equal(one.state.failure, { code: 'host/disk-full', reason: 'n1 is full' });
});

test('when no other node is there it fails with the reason', () => {
  const one = begun().send(nodes('-n1')).pass(WAIT_MS).time().send(nodes('-n1'));
  assert.match(one.state.failure?.reason ?? '', /no other node is there that keeps images/);
});

test.run();

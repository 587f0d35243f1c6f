// A namespace: there from its creation on, with keys under any name.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { liveKey, liveKeys } from '../../../../actors/namespace/keys.ts';
import { namespace } from '../../../../actors/namespace/namespace.ts';
import { PHASES } from '../../../../actors/namespace/phases.ts';
import type { NamespaceMessage } from '../../../../actors/namespace/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('namespace');

const create = { kind: 'create' } as const;
const key = { hash: 'h', salt: 's', nonce: 'n', expiresAtMs: null };
const setKey = (name: string, nonce = 'n') =>
  ({ kind: 'set-key', name, key: { ...key, nonce } }) as const;

test('it is made once, trusts the system, and takes keys', () => {
  const one = stepper(namespace).send(create).send(create).send(setKey('first'));
  assert.equal(one.events, ['created namespace', 'key set']);
  assert.equal(one.state.trusts, ['system']);
  assert.equal(one.state.keys, { first: key });
});

test('a key set again replaces the old one', () => {
  const one = stepper(namespace).send(create).send(setKey('first')).send(setKey('first', 'new'));
  assert.is(one.state.keys['first']?.nonce, 'new');
});

test('before it is made there is nothing to set', () => {
  assert.is(stepper(namespace).try(setKey('first')).refusal?.code, 'object/not-found');
});

test('a hostile key name is a name', () => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const { state } = stepper(namespace).send(create).send(setKey(name));
    assert.ok(Object.hasOwn(state.keys, name), name);
    assert.is(Object.getPrototypeOf(state.keys), Object.prototype, name);
    namespace.snapshot.decode(state);
  }
});

test('it is found once; a deleted name is free again, and nothing of the old one is kept', () => {
  const one = stepper(namespace).send({ kind: 'found', key: { name: 'first', key } });
  assert.equal(Object.keys(one.state.keys), ['first']);
  assert.is(one.try({ kind: 'found' }).refusal?.code, 'object/exists');
  one.send({ kind: 'trust', namespace: 'other' }).send({ kind: 'delete' });
  assert.is(one.state.phase, 'deleted');
  assert.equal(one.state.keys, {}, 'nobody logs in any more');
  assert.is(one.try(setKey('late')).refusal?.code, 'object/not-found');
  one.send({ kind: 'found' });
  assert.equal([one.state.phase, one.state.trusts], ['created', ['system']]);
});

test('a deleted one is forgotten in the end', () => {
  const one = stepper(namespace).send(create).send({ kind: 'delete' });
  const at = namespace.timer(one.state);
  assert.is(at, (one.state.deletedAtMs ?? 0) + 3_600_000);
});

test('keys go by name, trusts both ways, but for that in the system', () => {
  const one = stepper(namespace).send(create).send(setKey('first'));
  assert.is(
    one.try({ kind: 'remove-key', name: 'other' }).refusal?.reason,
    'key name not found in namespace',
  );
  assert.equal(one.send({ kind: 'remove-key', name: 'first' }).state.keys, {});
  one.send({ kind: 'trust', namespace: 'b' }).send({ kind: 'trust', namespace: 'b' });
  assert.equal(one.state.trusts, ['system', 'b']);
  one.send({ kind: 'untrust', namespace: 'system' }).send({ kind: 'untrust', namespace: 'nobody' });
  assert.equal(one.state.trusts, ['system', 'b']);
  assert.equal(one.send({ kind: 'untrust', namespace: 'b' }).state.trusts, ['system']);
});

test('a key that has ended counts no more, goes by itself, and says so', () => {
  const one = stepper(namespace).send(create).send(setKey('lasting'));
  const ending = { ...key, nonce: '0123456789abcdef', expiresAtMs: 1_060_000 };
  one.send({ kind: 'set-key', name: 'ci', key: ending });
  assert.is(namespace.timer(one.state), 1_060_000);
  assert.ok(liveKey(one.state, 'ci', 1_059_999) !== undefined);
  assert.is(liveKey(one.state, 'ci', 1_060_000), undefined);
  assert.equal(
    liveKeys(one.state, 1_060_000).map(([name]) => name),
    ['lasting'],
  );
  one.pass(60_000).time();
  assert.equal(Object.keys(one.state.keys), ['lasting']);
  assert.is(one.events.at(-1), 'key has ended');
  assert.is(namespace.timer(one.state), null);
});

test('events of a key name it and its setting, and nothing of the secret', () => {
  const one = stepper(namespace).send(create).send(setKey('first'));
  const named = {
    hash: 'the-hash',
    salt: 'the-salt',
    nonce: '0123456789abcdef',
    expiresAtMs: 5_000,
  };
  const { events } = one.try({ kind: 'set-key', name: 'ci', key: named });
  assert.equal(events[0]?.extra, { key: 'ci', fingerprint: '01234567', expires_at: 5 });
});

test('what a key was used for is told and changes nothing', () => {
  const one = stepper(namespace).send(create);
  const { state } = one;
  one.send({ kind: 'used', use: 'login', extra: { key: 'ci', remote: '192.0.2.1' } });
  assert.is(one.state, state);
  assert.is(one.events.at(-1), 'login');
});

test('the system stays', () => {
  const system = stepper(namespace, 'system').send(create);
  const { refusal } = system.try({ kind: 'delete' });
  assert.is(refusal?.reason, 'you cannot delete the system namespace');
});

test('random messages keep to the table', () => {
  const message = (pick: Pick): NamespaceMessage =>
    pick<NamespaceMessage>(
      create,
      { kind: 'found' },
      { kind: 'found', key: { name: 'a', key } },
      setKey('a'),
      setKey('b'),
      { kind: 'remove-key', name: 'a' },
      { kind: 'trust', namespace: 'other' },
      { kind: 'untrust', namespace: pick('other', 'system') },
      { kind: 'delete' },
    );
  const rest = ['none', 'created', 'error', 'deleted'] as const;
  const subject = { kind: namespace, phases: PHASES, rest, message, counting: ['set-key'] };
  assert.equal(movesOf(PHASES), walk(subject, { seeds: 10, steps: 100 }));
});

test.run();

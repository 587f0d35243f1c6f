// A namespace: there from its creation on, with keys under any name.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { namespace } from '../../../../actors/namespace/namespace.ts';
import { PHASES } from '../../../../actors/namespace/phases.ts';
import type { NamespaceMessage } from '../../../../actors/namespace/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('namespace');

const create = { kind: 'create' } as const;
const key = { hash: 'h', salt: 's', nonce: 'n' };
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

test('random messages keep to the table', () => {
  const message = (pick: Pick): NamespaceMessage =>
    pick<NamespaceMessage>(create, setKey('a'), setKey('b'));
  const rest = ['none', 'created', 'error', 'deleted'] as const;
  const subject = { kind: namespace, phases: PHASES, rest, message, counting: ['set-key'] };
  assert.equal(movesOf(PHASES), walk(subject, { seeds: 10, steps: 100 }));
});

test.run();

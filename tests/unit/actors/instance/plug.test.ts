// Interfaces plugged into an instance that runs.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { instance } from '../../../../actors/instance/instance.ts';
import { MAX_NICS } from '../../../../actors/instance/plug.ts';
import type { Nic } from '../../../../actors/instance/state.ts';
import { CREATE, interfaceIs, made, ON, seen, up } from './machine.ts';

const test = suite('instance: hot plug');

const nic = (interfaceId: string): Nic => ({
  ...(CREATE.nics[0] as Nic),
  interfaceId,
});
const plugOf = (id: string) => ({ kind: 'plug', nic: nic(id) }) as const;
const second = (
  phase: Parameters<typeof interfaceIs>[0],
  failure: { code: string; reason: string } | null = null,
) => ({
  ...interfaceIs(phase),
  interfaceId: 'second',
  failure,
});

test('is made, placed, and wanted of the domain once it has joined its network', () => {
  const vm = up();
  const { generation } = vm.state;
  assert.is(vm.try(plugOf('second')).reply, 1);
  assert.equal(vm.effects, ['sync-domain', 'create-interfaces']);
  vm.send(second('initial'));
  assert.equal(vm.effects, ['sync-domain', 'place-interfaces']);
  assert.is(vm.state.generation, generation, 'the domain is as it was until then');
  vm.send(second('created'));
  assert.equal(vm.effects, ['sync-domain']);
  assert.is(vm.state.generation, generation + 1);
  assert.ok(vm.events.some((event) => JSON.stringify(event).includes('hot plugged interface')));
  vm.send(seen(vm.state, ON));
  assert.equal(
    vm.state.nics.map(({ order, phase }) => [order, phase]),
    [
      [0, 'created'],
      [1, 'created'],
    ],
  );
});

test('asked for again it is the same one', () => {
  const vm = up().send(plugOf('second')).send(second('initial'));
  const before = vm.state;
  assert.is(vm.try(plugOf('second')).reply, 1);
  assert.equal(vm.state, before);
});

for (const reached of ['none', 'initial'] as const) {
  test(`that fails after ${reached} is struck off and not wanted; the instance stays as it was`, () => {
    const vm = up();
    const before = vm.state;
    vm.send(plugOf('second'));
    if (reached === 'initial') vm.send(second('initial'));
    const failure = { code: 'network/address-in-use', reason: 'address 10.0.0.9 in use' };
    assert.is(vm.try(second('error', failure)).reply, false);
    vm.send(second('error', failure));
    assert.equal(vm.state.nics, before.nics);
    assert.is(vm.state.phase, 'created');
    assert.is(vm.state.generation, before.generation);
    assert.equal(vm.effects, ['sync-domain']);
    assert.is(vm.try(second('deleted')).reply, false);
  });
}

test('one that was there and goes out of order later does not take the guest down', () => {
  const vm = up().send(plugOf('second')).send(second('initial')).send(second('created'));
  vm.send(second('error', { code: 'object/wrong-phase', reason: 'odd' }));
  assert.is(vm.state.phase, 'created');
  assert.is(vm.state.nics.length, 2);
});

test('is refused while the instance is not created, and beyond what a guest can have', () => {
  const refusal = made().try(plugOf('second')).refusal;
  assert.is(refusal?.code, 'object/not-ready');
  assert.match(refusal?.reason ?? '', 'invalid state for hot plug');
  const vm = up();
  for (let count = 1; count < MAX_NICS; count++) vm.send(plugOf(`nic-${count}`));
  assert.is(vm.try(plugOf('one more')).refusal?.code, 'api/bad-request');
});

test('a delete takes those that are on their way along', () => {
  const vm = up().send(plugOf('second')).send({ kind: 'delete' });
  vm.send({ kind: 'domain-removed' });
  assert.equal(vm.effects, ['delete-interfaces']);
  vm.send({ kind: 'interfaces-gone' }).send({ kind: 'images-released' });
  assert.is(vm.state.phase, 'deleted');
  assert.ok(vm.state.nics.every(({ phase }) => phase === 'deleted'));
  assert.is(instance.passing(vm.state), null);
});

test.run();

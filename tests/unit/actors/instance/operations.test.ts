// Whose turn it is among the agent operations of an instance, and what becomes of them and of its screenshots.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { instance } from '../../../../actors/instance/instance.ts';
import { agentStateOf, KEPT, MOST_OPEN } from '../../../../actors/instance/operations.ts';
import { KEPT as KEPT_SCREENSHOTS } from '../../../../actors/instance/screenshots.ts';
import type { AgentSeen, Observed } from '../../../../actors/instance/state.ts';
import { MISSING } from '../../../../actors/node/presence.ts';
import { ON, seen, up } from './machine.ts';

const test = suite('agent operations of an instance');

const READY: AgentSeen = { state: 'ready', startedAtMs: 5, bootedAtMs: 1 };
const enlist = (operationId: string) => ({ kind: 'enlist', operationId }) as const;
const ready = (operationId: string) => ({ kind: 'operation-ready', operationId }) as const;
const started = (operationId: string) => ({ kind: 'operation-started', operationId }) as const;
const over = (operationId: string, isGone = false) =>
  ({ kind: 'operation-over', operationId, isGone }) as const;

type VM = ReturnType<typeof up>;

function agentSays(vm: VM, agent: AgentSeen | null, power: Observed['power'] = 'on'): VM {
  return vm.send(seen(vm.state, { ...ON, power, agent }));
}

/** On a node that has been told, with an agent that is ready. */
const willing = () => agentSays(up().send({ kind: 'node-seen', node: 'n1', boot: 'boot' }), READY);

const turnOf = (vm: VM) =>
  instance.effects(vm.state).find(({ name }) => name === 'start-operation')?.key ?? null;

test('they start one by one, in the order in which they came, whichever is ready first', () => {
  const vm = willing();
  assert.is(vm.try(enlist('a')).reply, 'n1');
  vm.send(enlist('b')).send(ready('b'));
  assert.is(turnOf(vm), null);
  assert.is(vm.try(ready('a')).reply, true);
  assert.is(turnOf(vm), 'a');
  vm.send(started('a'));
  assert.is(turnOf(vm), null);
  assert.is(turnOf(vm.send(over('a'))), 'b');
});

test('asking again for a place gives the same one', () => {
  const vm = willing().send(enlist('a')).send(enlist('b'));
  assert.is(vm.try(enlist('a')).reply, 'n1');
  assert.equal(
    vm.state.operations.map(({ id }) => id),
    ['a', 'b'],
  );
});

test('deleting one that waits lets those behind it go on', () => {
  const vm = willing().send(enlist('a')).send(enlist('b')).send(ready('b'));
  assert.is(turnOf(vm), null);
  assert.is(turnOf(vm.send(over('a', true))), 'b');
});

test('none is started while the agent is not ready, the node is missing, or its boot not known', () => {
  const waiting = () => willing().send(enlist('a')).send(ready('a'));
  assert.is(turnOf(waiting()), 'a');
  assert.is(turnOf(agentSays(waiting(), { ...READY, state: 'not ready (unresponsive)' })), null);
  assert.is(turnOf(agentSays(waiting(), READY, 'paused')), null);
  assert.is(turnOf(waiting().send({ kind: 'node-seen', node: 'n1', boot: MISSING })), null);
  const degraded = { ...READY, state: 'ready (degraded)' };
  assert.is(turnOf(agentSays(waiting(), degraded)), 'a');
  const untold = agentSays(up(), READY).send(enlist('a')).send(ready('a'));
  assert.is(turnOf(untold), null);
});

test('without an agent that is ready none is taken in, nor more than can wait', () => {
  const { refusal } = up().try(enlist('a'));
  assert.equal(refusal, { code: 'api/bad-request', reason: 'instance agent not ready' });
  const vm = willing();
  for (let number = 0; number < MOST_OPEN; number++) vm.send(enlist(`o${number}`));
  assert.is(vm.try(enlist('one more')).refusal?.code, 'actor/overloaded');
});

test('of those that are over the newest are kept, and the others deleted', () => {
  const vm = willing();
  for (let number = 0; number <= KEPT; number++) {
    vm.send(enlist(`o${number}`)).send(over(`o${number}`));
  }
  const [drop] = instance.effects(vm.state).filter(({ name }) => name === 'drop-operations');
  assert.is(drop?.key, 'o0');
  vm.send({ kind: 'operations-dropped', operationIds: ['o0'] });
  assert.is(vm.state.operations.length, KEPT);
});

test('an instance is not gone before its operations and screenshots are', () => {
  const vm = willing().send(enlist('a')).send(over('a')).send(enlist('b'));
  vm.send({ kind: 'keep-screenshot', blobId: 's' }).send({ kind: 'delete' });
  const wanted = () => instance.effects(vm.state).map(({ name, key }) => `${name} ${key}`);
  assert.ok(wanted().includes('drop-operations a,b'), wanted().join());
  assert.ok(wanted().includes('drop-screenshots s'), wanted().join());
  vm.send({ kind: 'domain-removed' }).send({ kind: 'interfaces-gone' });
  vm.send({ kind: 'images-released' });
  assert.is(vm.state.phase, 'delete-wait');
  vm.send(over('b', true)).send({ kind: 'operations-dropped', operationIds: ['a'] });
  assert.is(vm.state.phase, 'delete-wait');
  vm.send({ kind: 'screenshots-dropped', blobIds: ['s'] });
  assert.is(vm.state.phase, 'deleted');
});

test('the newest screenshots are kept, the others given back', () => {
  const vm = willing();
  for (let number = 0; number <= KEPT_SCREENSHOTS; number++) {
    assert.is(vm.try({ kind: 'keep-screenshot', blobId: `s${number}` }).reply, true);
  }
  const blob = { phase: 'created', failure: null, virtualSizeBytes: 1 } as const;
  assert.is(vm.try({ kind: 'blob-changed', ...blob, blobId: 's1' }).reply, true);
  const [drop] = instance.effects(vm.state).filter(({ name }) => name === 'drop-screenshots');
  assert.is(drop?.key, 's0');
  vm.send({ kind: 'screenshots-dropped', blobIds: ['s0'] });
  assert.is(vm.state.screenshots.length, KEPT_SCREENSHOTS);
});

test('what clients see of the agent', () => {
  assert.is(agentStateOf(instance.initial), null);
  assert.is(agentStateOf(up().state), null);
  assert.is(agentStateOf(willing().state), 'ready');
  assert.is(
    agentStateOf(agentSays(willing(), READY, 'paused').state),
    'not ready (instance paused)',
  );
  const off = willing().send({ kind: 'set-power', action: 'poweroff' });
  agentSays(off, null, 'off');
  assert.is(agentStateOf(off.state), 'not ready (instance powered off)');
});

test('a guest that has booted anew is an event', () => {
  const vm = willing();
  agentSays(vm, { ...READY, bootedAtMs: 600_000 });
  assert.ok(vm.events.includes('reboot detected'), vm.events.join());
});

test.run();

// What is wanted of a domain and what is seen of it: each pair, and what follows.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { InstanceMessage } from '../../../../actors/instance/state.ts';
import { building, made, ON, seen, up } from './machine.ts';

const test = suite('power');

type Action = Extract<InstanceMessage, { kind: 'set-power' }>['action'];
const setPower = (action: Action) => ({ kind: 'set-power', action }) as const;
const OFF = { ...ON, power: 'off', consolePort: null, vdiPort: null } as const;
const byGuest = { ...OFF, offReason: 'guest' } as const;
const lost = { ...OFF, offReason: 'lost' } as const;

test('each action sets what is wanted under a new generation', () => {
  const rows: readonly (readonly [Action, Readonly<Record<string, unknown>>])[] = [
    ['poweroff', { power: 'off' }],
    ['pause', { power: 'paused' }],
    ['reboothard', { power: 'on', hardReboots: 1 }],
    ['rebootsoft', { power: 'on', softReboots: 1 }],
  ];
  for (const [action, expected] of rows) {
    const vm = up();
    const { generation } = vm.state;
    vm.send(setPower(action));
    for (const [member, value] of Object.entries(expected))
      assert.is(vm.state[member as 'power'], value, action);
    assert.is(vm.state.generation, generation + 1, action);
    assert.is(vm.events.at(-1), action);
  }
});

test('what is so already changes nothing', () => {
  for (const action of ['poweron', 'unpause'] as const) {
    const vm = up();
    const { state } = vm;
    assert.is(vm.send(setPower(action)).state, state, action);
  }
});

test('a powered off instance can only be powered on', () => {
  const rows: readonly (readonly [Action, string])[] = [
    ['pause', 'you cannot pause a powered off instance'],
    ['unpause', 'you cannot unpause a powered off instance'],
    ['reboothard', 'you cannot reboot a powered off instance'],
    ['rebootsoft', 'you cannot reboot a powered off instance'],
  ];
  const vm = up().send(setPower('poweroff'));
  for (const [action, reason] of rows) {
    const { refusal } = vm.try(setPower(action));
    const expected = `Invalid lifecycle state: ${reason}`;
    assert.equal(refusal, { code: 'object/wrong-phase', reason: expected });
  }
  assert.is(vm.send(setPower('poweron')).state.powerOns, 2);
});

test('nothing but a created instance has power', () => {
  for (const vm of [made(), building(), up().send({ kind: 'delete' })])
    assert.is(vm.try(setPower('poweroff')).refusal?.code, 'object/wrong-phase');
});

test('a guest that powers itself off stays off', () => {
  for (const vm of [up(), building()]) {
    vm.send(seen(vm.state, byGuest));
    assert.is(vm.state.phase, 'created');
    assert.is(vm.state.power, 'off');
    assert.is(vm.events.at(-1), 'detected poweroff');
  }
});

test('a domain that was lost is wanted again, also a paused one', () => {
  for (const vm of [up(), building(), up().send(setPower('pause'))]) {
    const { generation, power, phase } = vm.state;
    vm.send(seen(vm.state, lost));
    assert.equal([vm.state.power, vm.state.phase], [power, phase]);
    assert.is(vm.state.generation, generation + 1);
    assert.is(vm.events.at(-1), 'domain lost, starting it again');
  }
});

test('one that is lost again and again is left off, with its disks, and can be powered on', () => {
  const vm = up();
  for (let times = 0; times < 6; times++) vm.pass(1_000).send(seen(vm.state, lost));
  assert.is(vm.state.phase, 'created');
  assert.is(vm.state.power, 'off');
  assert.match(vm.events.at(-1) ?? '', /lost 6 times within 10 minutes: left powered off/);
  assert.is(vm.send(setPower('poweron')).state.power, 'on');
});

test('one that is lost now and then is started each time', () => {
  const vm = up();
  for (let times = 0; times < 50; times++) vm.pass(150_000).send(seen(vm.state, lost));
  assert.is(vm.state.power, 'on');
  assert.ok(vm.state.lostAtMs.length <= 6);
});

test('one that has never run and is lost again and again fails', () => {
  const vm = building();
  for (let times = 0; times < 6; times++) vm.pass(1_000).send(seen(vm.state, lost));
  assert.is(vm.state.phase, 'creating-error');
});

test('a crashed guest keeps what it has until it is deleted', () => {
  const vm = up();
  vm.send(seen(vm.state, { ...ON, power: 'crashed' }));
  assert.is(vm.state.phase, 'created-error');
  assert.is(vm.state.failure?.reason, 'the guest crashed');
  assert.equal(vm.effects, []);
  assert.equal(vm.send({ kind: 'delete' }).effects, ['remove-domain']);
});

test('a report about an older generation is history', () => {
  const vm = up();
  const old = seen(vm.state, lost);
  vm.send(setPower('reboothard'));
  const { state } = vm;
  assert.is(vm.send(old).state, state);
});

test('a change of the power that is seen is an event, once', () => {
  const vm = up().send(setPower('pause'));
  const paused = seen(vm.state, { ...ON, power: 'paused' });
  vm.send(paused).send(paused);
  assert.equal(vm.events.slice(-2), ['pause', 'power state is paused']);
});

test('a setback ends when the wish is seen fulfilled, not before', () => {
  const vm = up().send(setPower('pause')).fail('image/refused', 'operation not supported');
  vm.send(seen(vm.state, ON));
  assert.is(vm.state.setback?.failures, 1);
  vm.send(seen(vm.state, { ...ON, power: 'paused' }));
  assert.is(vm.state.setback, null);
});

test.run();

// An interface's transitions: by table, and under random messages.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { interfaceKind } from '../../../../actors/interface/interface.ts';
import { readSnapshot } from '../../../../actors/kernel/snapshot.ts';
import { PHASES } from '../../../../actors/interface/phases.ts';
import type { InterfaceMessage, InterfaceState } from '../../../../actors/interface/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('interface');

const CREATE = {
  kind: 'create',
  networkId: 'net',
  instanceId: 'vm',
  namespace: 'ns',
  hostname: 'vm',
  order: 0,
  model: 'virtio',
  requested: 'auto',
  requestedMac: null,
  float: false,
} as const;
const reserved = { kind: 'reserved', mac: '02:00:00:00:00:01', ipv4: '10.0.0.2' } as const;
const place = { kind: 'place', node: 'n1' } as const;
const attached = { kind: 'attached' } as const;
const float = { kind: 'float' } as const;
const defloat = { kind: 'defloat' } as const;
const floatReserved = (number: number) =>
  ({ kind: 'float-reserved', number, address: '192.0.2.7' }) as const;
const failed = (effect: string, key: string) => {
  const why = { code: 'network/no-free-address', reason: 'no' } as const;
  return { kind: 'effect-failed', effect, key, ...why } as const;
};
const remove = { kind: 'delete' } as const;
const released = { kind: 'released' } as const;

const made = () => stepper(interfaceKind).send(CREATE);
const up = () => made().send(reserved).send(place).send(attached);

test('from create to created it reserves, tells, waits for a node, attaches and tells', () => {
  const nic = made();
  assert.equal(nic.effects, ['reserve']);
  assert.match(nic.state.macCandidate ?? '', /^02:00:00(:[0-9a-f]{2}){3}$/);
  assert.equal(nic.send(reserved).effects, ['tell-instance']);
  assert.equal(nic.send(place).effects, ['attach']);
  assert.equal(nic.send(attached).effects, ['tell-instance']);
  assert.is(nic.state.phase, 'created');
});

test('a delete is answered with the phase, in every phase, and gives everything back', () => {
  const rows: readonly (readonly [string, () => ReturnType<typeof made>])[] = [
    ['reserving', made],
    ['reserved', () => made().send(reserved)],
    ['placed', () => made().send(reserved).send(place)],
    ['created', up],
    ['in error', () => made().fail('host/tool-failed', 'no')],
    ['parked', () => up().park()],
  ];
  for (const [name, make] of rows) {
    const nic = make();
    assert.is(nic.try(remove).reply, 'delete-wait', name);
    assert.equal(nic.effects, ['release'], name);
    assert.is(nic.try(remove).reply, 'delete-wait', name);
    nic.send(released);
    assert.is(nic.state.phase, 'deleted', name);
    assert.is(nic.try(remove).reply, 'deleted', name);
  }
});

test('a MAC that was claimed before the outcome was lost is still known when it is forgotten', () => {
  const nic = made();
  const { macCandidate } = nic.state;
  nic.send(remove).send(released).pass(3_700_000).time();
  assert.equal(nic.effects, ['forget']);
  assert.is(nic.state.macCandidate, macCandidate);
});

test("another one's MAC is passed over, 32 times at most", () => {
  const nic = made();
  const tries: string[] = [];
  while (nic.state.phase === 'initial') {
    const mac = nic.state.macCandidate ?? '';
    tries.push(mac);
    nic.send({ kind: 'mac-taken', mac });
  }
  assert.is(tries.length, 32);
  assert.is(nic.state.failure?.reason, 'no free MAC address was found in 32 random tries');
});

test('the MAC that the caller chose is not claimed', () => {
  const nic = stepper(interfaceKind).send({ ...CREATE, requestedMac: 'ab' });
  assert.is(nic.state.macCandidate, null);
});

test('what takes too long fails with what it was doing', () => {
  assert.is(
    made().pass(90_000).time().state.failure?.reason,
    'reserving MAC and address took too long',
  );
  const waiting = made().send(reserved).pass(2_160_000).time().state;
  assert.is(waiting.failure?.reason, 'waiting for its instance to be placed took too long');
});

test('leaving is tried again after a refusal, with a pause', () => {
  const nic = up().send(remove).fail('network/in-use', 'still attached');
  assert.equal(nic.effects, []);
  assert.match(interfaceKind.passing(nic.state)?.reason ?? '', /still attached/);
  nic.pass(600_000).time();
  assert.equal(nic.effects, ['release']);
  assert.is(nic.send(released).state.setback, null);
});

test('a late outcome or an old failure changes nothing', () => {
  const nic = up().send(remove);
  for (const late of [reserved, attached, place, CREATE]) nic.send(late);
  assert.is(nic.state.phase, 'delete-wait');
  nic.send({
    kind: 'effect-failed',
    effect: 'attach',
    key: 'n1',
    code: 'host/tool-failed',
    reason: 'late',
  });
  assert.is(nic.state.failure, null);
  assert.is(nic.state.setback, null);
});

test('a float is recorded, reserved, brought to the network, and given back', () => {
  const nic = up();
  assert.is(nic.try(float).reply, 1);
  assert.equal(nic.effects, ['reserve-float', 'tell-instance']);
  assert.match(interfaceKind.passing(nic.state)?.reason ?? '', /reserving a floating address/);
  nic.send(floatReserved(1));
  assert.equal(nic.effects, ['join-float', 'tell-instance']);
  assert.is(nic.state.float?.address, '192.0.2.7');
  assert.is(interfaceKind.passing(nic.state), null);
  nic.send(defloat);
  assert.equal(nic.effects, ['drop-float', 'tell-instance']);
  assert.is(nic.state.float?.address, '192.0.2.7', 'it is the interface’s until the pool has it');
  nic.send({ kind: 'float-released', number: 1 });
  assert.is(nic.state.float, null);
  assert.is(nic.try(float).reply, 2, 'a number is used once');
});

test('who floats, or is still giving back, is refused; who does not is defloated quietly', () => {
  const nic = up().send(defloat).send(float);
  const refusal = () => nic.try(float).refusal;
  assert.equal(refusal(), {
    code: 'object/wrong-phase',
    reason: 'interface self is already floating',
  });
  nic.send(floatReserved(1));
  assert.match(refusal()?.reason ?? '', /already floating/);
  nic.send(defloat);
  assert.match(refusal()?.reason ?? '', /still giving its floating address back/);
  const { state } = nic;
  assert.is(nic.send(defloat).state, state);
  const none = stepper(interfaceKind).send({ ...CREATE, requested: 'none' });
  assert.is(none.try(float).refusal?.code, 'actor/bad-message');
  assert.is(up().send(remove).try(float).refusal?.code, 'object/wrong-phase');
});

test('news of an older float change nothing', () => {
  const nic = up().send(float).send(defloat).send(floatReserved(1));
  assert.is(nic.state.float?.phase, 'leaving', 'what it brought is given back all the same');
  nic.send({ kind: 'float-released', number: 1 }).send(float);
  nic.send({ kind: 'float-released', number: 1 }).send(floatReserved(1));
  assert.equal([nic.state.float?.number, nic.state.float?.phase], [2, 'reserving']);
});

test('a float that gets no address says why, and what it may have got is given back', () => {
  const nic = up().send(float);
  nic.send(failed('reserve-float', '1'));
  assert.equal(nic.state.floatFailure, {
    number: 1,
    code: 'network/no-free-address',
    reason: 'no',
  });
  assert.equal(nic.effects, ['drop-float', 'tell-instance']);
  assert.is(nic.state.phase, 'created', 'the interface lives on');
  const late = up().send(float).pass(90_000).time();
  assert.is(late.state.floatFailure?.code, 'object/deadline');
  assert.equal(late.effects, ['drop-float', 'tell-instance']);
});

test('an interface that comes with a floating address is not used without it', () => {
  const made = stepper(interfaceKind).send({ ...CREATE, float: true });
  assert.equal(made.effects, ['reserve']);
  made.send(reserved);
  assert.equal(made.effects, ['reserve-float'], 'its instance hears of it with the address only');
  made.send(floatReserved(1));
  assert.equal(made.effects, ['tell-instance']);
  made.send(place).send(attached);
  assert.equal(made.effects, ['join-float', 'tell-instance']);
  const poor = stepper(interfaceKind)
    .send({ ...CREATE, float: true })
    .send(reserved);
  poor.send(failed('reserve-float', '1'));
  assert.is(poor.state.phase, 'error');
  assert.is(poor.state.failure?.code, 'network/no-free-address');
  poor.send(remove);
  assert.equal(poor.effects, ['release']);
  assert.ok(poor.state.float, 'what it may have got is still to be given back');
  assert.is(poor.send(released).state.float, null);
});

test('a floating interface that is deleted knows what it has to give back until it has', () => {
  const nic = up().send(float).send(floatReserved(1)).send(remove).send(defloat);
  assert.equal(nic.effects, ['release']);
  assert.is(nic.state.float?.phase, 'held');
  assert.is(nic.send(released).state.float, null);
});

test('an interface stored before there were floats has none', () => {
  const { float: _, floats: __, floatFailure: ___, ...rest } = up().state;
  const stored = { schema: 1, state: { ...rest, floating: null } };
  assert.equal(readSnapshot(interfaceKind.snapshot, stored), up().state);
});

function message(pick: Pick, state: InterfaceState): InterfaceMessage {
  const mac = pick(state.macCandidate ?? 'x', 'another');
  const number = pick(state.floats, state.floats - 1);
  return pick<InterfaceMessage>(
    CREATE,
    pick({ ...CREATE, requestedMac: 'chosen' }, { ...CREATE, float: true }),
    pick<InterfaceMessage>(float, defloat),
    floatReserved(number),
    { kind: 'float-released', number },
    { kind: 'reserved', mac, ipv4: pick(null, '10.0.0.2') },
    { kind: 'mac-taken', mac },
    { kind: 'place', node: pick('n1', 'n2') },
    attached,
    remove,
    released,
    { kind: 'forgotten' },
  );
}

test('random messages keep to the table, are harmless repeated, and leave it alive', () => {
  const rest = ['none', 'created', 'error', 'deleted'] as const;
  const subject = { kind: interfaceKind, phases: PHASES, rest, message };
  const moves = walk(subject, { seeds: 200, steps: 300 });
  assert.equal(movesOf(PHASES), moves);
});

test.run();

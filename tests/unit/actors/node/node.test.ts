// A node's record: what its daemon said of the machine, and differences told once.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { node } from '../../../../actors/node/node.ts';
import { PHASES } from '../../../../actors/node/phases.ts';
import { removed } from '../../../../actors/node/removal.ts';
import type { NodeMessage, NodeState } from '../../../../actors/node/state.ts';
import { GAUGES, MACHINE } from '../../../support/machine-facts.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('node');

const register = { kind: 'register', bootId: 'b1', machine: MACHINE, gauges: GAUGES } as const;
const AMOUNT = { cpus: 1, memoryMiB: 1_024, diskGiB: 8 };
const drift = {
  owner: 'network/net',
  resource: 'bridge',
  name: 'br-1',
  problem: 'unknown',
  reason: 'nobody wants it',
  repaired: false,
};
const found = (...drifts: (typeof drift)[]): NodeMessage => ({ kind: 'drift-found', drifts });

test('a start of its daemon is an event; joining again after an outage is none', () => {
  const one = stepper(node).send(register).send(register);
  assert.equal(one.events, ['daemon started']);
  one.send({ ...register, bootId: 'b2' });
  assert.equal(one.events, ['daemon started', 'daemon started']);
});

test('what an audit finds again and again is told once; what it repaired, each time', () => {
  const one = stepper(node).send(register);
  for (let audits = 0; audits < 50; audits++) one.send(found(drift));
  assert.is(one.events.length, 2);
  one.send(found(drift, { ...drift, name: 'br-2' }));
  assert.is(one.events.length, 3);
  const repaired = { ...drift, name: 'br-3', repaired: true };
  one.send(found(repaired)).send(found(repaired));
  assert.is(one.events.length, 5);
});

test('a machine with very many differences keeps and tells some of them', () => {
  const many = Array.from({ length: 5_000 }, (_, index) => ({ ...drift, name: `br-${index}` }));
  const one = stepper(node)
    .send(register)
    .send(found(...many));
  assert.is(one.state.drifts.length, 100);
  assert.is(one.events.length, 101);
});

test('a node that cannot keep its own record stops its daemon instead of parking', () => {
  assert.is(node.onCrash(new Error('a bug'), 4), 'restart');
  assert.is(node.onCrash(new Error('a bug'), 5), 'stop-daemon');
});

test('random messages keep to the table, and are harmless repeated', () => {
  const message = (pick: Pick): NodeMessage =>
    pick<NodeMessage>(
      register,
      { ...register, bootId: 'b2' },
      found(drift),
      found(),
      { kind: 'measured', gauges: GAUGES, running: ['i1'], built: ['i1', 'i2'] },
      { kind: 'measured', gauges: { ...GAUGES, load: 2 }, running: [], built: ['i2'] },
      { kind: 'reserve', instanceId: pick('i1', 'i2'), ...AMOUNT },
      { kind: 'reserve', instanceId: 'too large', ...AMOUNT, memoryMiB: 1_000_000 },
      { kind: 'release', instanceIds: [pick('i1', 'nobody')] },
      { kind: 'adopt', instances: [{ instanceId: pick('i2', 'i3'), ...AMOUNT }] },
    );
  const rest = ['none', 'created', 'error'] as const;
  const subject = { kind: node, phases: PHASES, rest, message };
  // Removing one is nobody's message: its daemon is not there to take it in.
  const moves = [...movesOf(PHASES)].filter((move) => !move.includes('deleted'));
  assert.equal(new Set(moves), walk(subject, { seeds: 20, steps: 200 }));
});

test('a node that is removed promises nothing any more, and tells what it was', () => {
  const one = stepper(node).send(register);
  one.send({ kind: 'reserve', instanceId: 'i1', ...AMOUNT });
  one.send({ kind: 'set-draining', isDraining: true });
  const { state, events } = removed(one.state, 5);
  const { phase, reservations, isDraining, machine, sinceMs } = state ?? node.initial;
  assert.equal([phase, reservations, isDraining, sinceMs], ['deleted', {}, false, 5]);
  assert.is(machine, MACHINE);
  assert.equal(events[0]?.extra, { reserved: 1 });
  assert.equal(removed(state ?? node.initial, 6).events, [], 'once');
});

test('another machine under the name of one that was removed begins anew', () => {
  const before = { ...node.initial, phase: 'deleted', metadata: { rack: 1 }, drainChanges: 3 };
  const turn = { id: 'n1', now: 7, random: () => 0 };
  const asked = { kind: 'announced' } as const;
  assert.is(node.transition(before as NodeState, asked, turn).refusal?.code, 'object/not-found');
  const { state } = node.transition(before as NodeState, register, turn);
  const { phase, metadata, bootId, drainChanges } = state ?? node.initial;
  assert.equal([phase, metadata, bootId, drainChanges], ['created', {}, 'b1', 3]);
});

test.run();

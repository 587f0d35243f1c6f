// What instances and networks do when the daemon of a node goes, comes back, or was started again.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Address } from '../../../actors/kernel/kind.ts';
import { networkPerformers } from '../../../actors/network/effects.ts';
import { network } from '../../../actors/network/network.ts';
import { nodesWithPorts } from '../../../actors/network/places.ts';
import type { SegmentSpec } from '../../../actors/network/ports.ts';
import { MISSING } from '../../../actors/node/presence.ts';
import { up } from './instance/machine.ts';
import { stepper } from './random-walk.ts';

const test = suite('nodes that are seen');
const nodeIs = (boot: string, node = 'n1') => ({ kind: 'node-seen', node, boot }) as const;

test('an instance on a missing node says so, and asks nothing of it until it is back', () => {
  const vm = up().send(nodeIs('boot-1'));
  const { generation } = vm.state;
  vm.send(nodeIs(MISSING));
  assert.match(vm.state.failure?.reason ?? '', /node n1 is missing/);
  assert.is(vm.state.phase, 'created', 'it may run on');
  assert.equal(vm.effects, []);
  vm.send(nodeIs('boot-1'));
  assert.is(vm.state.failure, null);
  assert.is(vm.state.generation, generation + 1);
  assert.equal(vm.effects, ['sync-domain']);
  assert.equal(vm.events.slice(-2), ['node is missing', 'node is there again']);
});

test('a daemon that was started again is told the domain again; the first that is seen was told already', () => {
  const vm = up();
  const { generation } = vm.state;
  assert.is(vm.send(nodeIs('boot-1')).state.generation, generation);
  assert.is(vm.send(nodeIs('boot-1')).state.generation, generation);
  assert.is(vm.send(nodeIs('boot-2')).state.generation, generation + 1);
  assert.is(vm.send(nodeIs('boot-9', 'n9')).state.nodeBoot, 'boot-2', 'another node');
});

test('an instance of a missing node can be deleted: the deletion waits for the node', () => {
  const vm = up().send(nodeIs('boot-1')).send(nodeIs(MISSING)).send({ kind: 'delete' });
  assert.equal(vm.effects, ['remove-domain']);
  vm.fail('mesh/unreachable', 'no such member');
  assert.is(vm.state.setback?.reason, 'no such member');
  assert.equal(vm.effects, []);
  vm.send(nodeIs('boot-2'));
  assert.equal(vm.effects, ['remove-domain'], 'it is back: nothing to pause for');
});

const gone = (node = 'n1') => ({ kind: 'node-gone', node }) as const;

test('an instance whose node was removed is deleted with it: nothing is asked of that node', () => {
  const vm = up().send(nodeIs('boot-1')).send(nodeIs(MISSING)).send(gone('n9'));
  assert.is(vm.state.phase, 'created', 'another node');
  vm.send(gone());
  assert.is(vm.state.phase, 'delete-wait');
  assert.equal(vm.effects, ['delete-interfaces']);
  assert.ok(vm.events.includes('deleted with its node'));
  vm.send({ kind: 'interfaces-gone' }).send({ kind: 'images-released' });
  assert.is(vm.state.phase, 'deleted');
  const { length } = vm.events;
  assert.is(vm.send(gone()).events.length, length, 'told again: quiet');
});

test('a deletion that waits for a node ends when the node is removed', () => {
  const vm = up().send({ kind: 'delete' }).fail('mesh/unreachable', 'no such member');
  vm.send(gone());
  assert.equal([vm.state.setback, vm.effects], [null, ['delete-interfaces']]);
});

const port = (node: string) => ({ mac: `02:${node}`, hostname: 'vm', node, instanceId: 'vm' });

function joined() {
  const one = stepper(network, 'net').send({
    kind: 'create',
    name: 'net',
    namespace: 'ns',
    netblock: '10.0.0.0/29',
    dhcp: true,
    nat: false,
    dns: false,
  });
  one.send({ kind: 'vni-claimed', vni: one.state.vniCandidate ?? 0 });
  for (const node of ['n1', 'n2'])
    one.send({ kind: 'attach', interfaceId: node, ipv4: null, ...port(node) });
  return one.send(nodeIs('b1', 'n1')).send(nodeIs('b2', 'n2'));
}

test('a missing node is withdrawn from the others, and told the whole when it is back', () => {
  const net = joined();
  const { generation } = net.state;
  net.send(nodeIs(MISSING, 'n2'));
  assert.equal([...nodesWithPorts(net.state)], ['n1']);
  assert.is(net.state.generation, generation + 1);
  assert.equal(net.effects, ['sync-segments']);
  net.send({ kind: 'segments-synced', generation: generation + 1, absent: [] });
  assert.equal(net.state.nodes, ['n1', 'n2'], 'its segment is still there, or may be');
  net.send(nodeIs('b3', 'n2'));
  assert.equal([...nodesWithPorts(net.state)], ['n1', 'n2']);
  assert.is(net.state.generation, generation + 2);
  net.send(nodeIs('b4', 'n7'));
  assert.is(net.state.generation, generation + 2, 'a node without a segment');
});

test('the others are told neither of a missing node nor of what is on it; it is not asked itself', async () => {
  const net = joined().send(nodeIs(MISSING, 'n2'));
  const told: { to: string; spec: SegmentSpec }[] = [];
  const performers = networkPerformers({
    claims: {
      claim: async () => true,
      holder: () => Promise.resolve(null),
      release: async () => {},
    },
    zone: 'z',
    upstreamDns: '192.0.2.53',
    floatingBlock: '198.51.100.0/24',
    vtepOf: (node) => `192.0.2.${node.slice(1)}`,
  });
  const context = {
    self: { kind: 'network', id: 'net' },
    epoch: 1,
    ask: (to: Address, { spec }: { spec: SegmentSpec }) => {
      told.push({ to: to.id, spec });
      return Promise.resolve(null);
    },
  };
  await performers['sync-segments'](net.state, context as never);
  assert.equal(
    told.map(({ to }) => to),
    ['n1/segment/net'],
  );
  assert.equal(told[0]?.spec.peers, [{ node: 'n1', vtep: '192.0.2.1' }]);
  assert.equal(
    told[0]?.spec.ports.map(({ node }) => node),
    ['n1'],
  );
});

test('what is known of a node goes with its segment', () => {
  const net = joined().send({ kind: 'release', owner: 'interface/n2' });
  net.send({ kind: 'segments-synced', generation: net.state.generation, absent: ['n2'] });
  assert.equal(net.state.boots, { n1: 'b1' });
});

test('a network forgets a node that was removed, and what was plugged in there', () => {
  const net = joined();
  const { generation } = net.state;
  net.send(nodeIs(MISSING, 'n2')).send(gone('n2'));
  const { nodes, boots, ports } = net.state;
  assert.equal([nodes, boots, Object.keys(ports)], [['n1'], { n1: 'b1' }, ['n1']]);
  assert.ok(net.state.generation > generation, 'the others are told');
  const { length } = net.events;
  assert.is(net.send(gone('n2')).events.length, length);
});

test.run();

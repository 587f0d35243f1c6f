// A network's transitions: by table, and under random messages.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { network } from '../../../../actors/network/network.ts';
import { HALO_MS } from '../../../../actors/network/addressing.ts';
import { readSnapshot } from '../../../../actors/kernel/snapshot.ts';
import { PHASES } from '../../../../actors/network/phases.ts';
import type { NetworkMessage, NetworkState } from '../../../../actors/network/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('network');

const CREATE = {
  kind: 'create',
  name: 'net',
  namespace: 'ns',
  netblock: '10.0.0.0/29',
  dhcp: true,
  nat: true,
  dns: false,
} as const;
const egress = { kind: 'egress-reserved', address: '192.168.20.9' } as const;
const remove = { kind: 'delete' } as const;

const made = () => stepper(network, 'net').send(CREATE);
const claimed = (one: ReturnType<typeof made>) =>
  one.send({ kind: 'vni-claimed', vni: one.state.vniCandidate ?? 0 });
const up = () => claimed(made()).send(egress);

type Reserve = Extract<NetworkMessage, { kind: 'reserve' }>;

function reserve(id: string, address: string | null = null): Reserve {
  const owner = `interface/${id}`;
  return { kind: 'reserve', owner, user: ['instance', 'vm'], type: 'instance', address };
}

function attach(id: string, ipv4: string | null, node = 'n1') {
  const port = { mac: `02:${id}`, hostname: 'vm', node, instanceId: 'vm' };
  return { kind: 'attach', interfaceId: id, ipv4, ...port } as const;
}

test('with NAT it is ready with VNI and egress address, without it with the VNI', () => {
  const one = made();
  assert.equal(one.effects, ['claim-vni']);
  assert.equal(claimed(one).effects, ['reserve-egress']);
  assert.is(one.send(egress).state.phase, 'created');
  const closed = stepper(network, 'net').send({ ...CREATE, nat: false });
  assert.is(claimed(closed).state.phase, 'created');
});

test('an attached interface raises the generation; a node is told until it has nothing left', () => {
  const one = up();
  one.send(reserve('a', '10.0.0.2')).send(reserve('b', '10.0.0.3'));
  one.send(attach('a', '10.0.0.2')).send(attach('b', '10.0.0.3', 'n2'));
  assert.equal(one.state.nodes, ['n1', 'n2']);
  assert.is(one.state.generation, 2);
  assert.equal(one.effects, ['sync-segments']);
  one.send({ kind: 'release', owner: 'interface/b' });
  assert.is(one.state.generation, 3);
  assert.equal(one.state.nodes, ['n1', 'n2'], 'n2 has yet to say that its segment is gone');
  one.send({ kind: 'segments-synced', generation: 2, absent: ['n2'] });
  assert.equal(one.state.nodes, ['n1', 'n2'], 'an older outcome proves nothing');
  one.send({ kind: 'segments-synced', generation: 3, absent: ['n2'] });
  assert.equal(one.state.nodes, ['n1']);
});

test('an interface that moves leaves its old node to be told', () => {
  const one = up().send(reserve('a', '10.0.0.2')).send(attach('a', '10.0.0.2'));
  one.send(attach('a', '10.0.0.2', 'n2'));
  assert.equal(one.state.nodes, ['n1', 'n2']);
  one.send({ kind: 'segments-synced', generation: 2, absent: ['n1'] });
  assert.equal(one.state.nodes, ['n2']);
});

test('a repeated attach is quiet; one without its address is refused', () => {
  const one = up().send(reserve('a', '10.0.0.2')).send(attach('a', '10.0.0.2'));
  const { state } = one;
  assert.is(one.send(attach('a', '10.0.0.2')).state, state);
  assert.is(one.try(attach('b', '10.0.0.2')).refusal?.code, 'network/address-in-use');
});

// A reservation that was overtaken by its own release kept the address for ever, and the network from being deleted.
test('what was asked for before a release, and comes after it, is refused', () => {
  const one = up().send(reserve('a', '10.0.0.2')).send(attach('a', '10.0.0.2'));
  one.send({ kind: 'release', owner: 'interface/a' });
  const tooLate = (message: NetworkMessage) =>
    assert.is(one.try(message).refusal?.code, 'object/wrong-phase');
  tooLate(reserve('a'));
  tooLate(attach('a', '10.0.0.2'));
  one.send({ kind: 'release', owner: 'interface/b' });
  tooLate(reserve('b'));
  tooLate(attach('b', null));
  const { state } = one;
  assert.is(one.send({ kind: 'release', owner: 'interface/b' }).state, state, 'quiet');
});

test('who has given back is remembered as long as an address rests', () => {
  const one = up().send({ kind: 'release', owner: 'interface/a' });
  one.pass(HALO_MS).send({ kind: 'release', owner: 'interface/b' });
  assert.equal(Object.keys(one.state.released), ['interface/b']);
});

test('a network stored before it remembered whom it had released is read', () => {
  const { released: _, routes: __, routesAsked: ___, routeFailure: ____, ...older } = up().state;
  const { dnsEntries: _____, ...old } = older;
  const stored = { schema: 1, state: old };
  assert.equal(readSnapshot(network.snapshot, stored), up().state);
});

test('a delete waits for interfaces, keeps their segments, and lets no other in', () => {
  const one = up().send(reserve('a', '10.0.0.2')).send(attach('a', '10.0.0.2')).send(remove);
  assert.is(one.events.at(-1), 'deletion waits for instances');
  assert.equal(one.effects, ['sync-segments']);
  const waits = network.passing(one.state);
  assert.match(waits?.reason ?? '', /^waiting for its instances to go: \S+/);
  assert.is(waits?.deadlineAtMs, null, 'an instance may live for years');
  one.send(attach('a', '10.0.0.2'));
  const refused = one.try(attach('b', null)).refusal;
  assert.equal(refused, { code: 'object/wrong-phase', reason: 'network is not active: net' });
  assert.is(one.try(reserve('b')).refusal?.code, 'object/wrong-phase');
  one.send({ kind: 'torn-down' });
  assert.is(one.state.phase, 'delete-wait', 'a stray outcome tears nothing down');
  one.send({ kind: 'release', owner: 'interface/a' });
  assert.equal(one.effects, ['tear-down']);
  assert.type(network.passing(one.state)?.deadlineAtMs, 'number');
  one.send({ kind: 'torn-down' });
  assert.is(one.state.phase, 'deleted');
  assert.equal(one.state.reservations, {});
});

test('while it is set up an interface is told to come again; in error never', () => {
  assert.is(made().try(reserve('a')).refusal?.code, 'network/not-ready');
  assert.is(made().park().try(reserve('a')).refusal?.code, 'object/wrong-phase');
});

test('a delete gives everything back in every phase, also parked', () => {
  const rows = { initial: made(), claimed: claimed(made()), created: up(), parked: up().park() };
  for (const [name, one] of Object.entries(rows)) {
    one.send(remove);
    assert.equal(one.effects, ['tear-down'], name);
    one.send({ kind: 'torn-down' }).pass(3_700_000).time();
    assert.equal(one.effects, ['forget'], name);
    assert.type(one.state.vniCandidate, 'number', name);
  }
});

test('what a network keeps for itself cannot be released by a stranger', () => {
  const step = up().try({ kind: 'release', owner: 'network/net' });
  assert.is(step.refusal?.code, 'network/in-use');
});

test('a late outcome of setting up does not undo a delete', () => {
  const one = made().send(remove).send({ kind: 'torn-down' });
  claimed(one).send(egress);
  assert.is(one.state.phase, 'deleted');
  assert.is(one.state.egressAddress, null);
});

test('the pool is made once, never deleted, and has its own addresses taken', () => {
  const pool = stepper(network, 'floating').send({
    kind: 'create-pool',
    netblock: '192.168.20.0/24',
  });
  assert.equal(pool.effects, []);
  assert.is(network.passing(pool.state), null);
  assert.is(pool.try(remove).refusal?.reason, 'you cannot delete the floating network');
  assert.is(Object.keys(pool.state.reservations).length, 3);
  const ask: Reserve = { ...reserve('a'), owner: 'network/net', type: 'gateway' };
  assert.is(pool.try(ask).reply, pool.try(ask).reply);
  const other = stepper(network, 'other').try({ kind: 'create-pool', netblock: '192.168.20.0/24' });
  assert.is(other.refusal?.code, 'actor/bad-message');
});

test('segments that cannot be synced are tried again with a pause, and at once for a new wish', () => {
  const one = up().send(reserve('a', '10.0.0.2')).send(attach('a', '10.0.0.2'));
  one.fail('network/in-use', 'taps are left');
  assert.equal(one.effects, []);
  assert.is(one.pass(10_000).time().effects.length, 1);
  one.fail('network/in-use', 'taps are left');
  one.send(reserve('b', '10.0.0.3')).send(attach('b', '10.0.0.3'));
  assert.equal(one.effects, ['sync-segments']);
  assert.is(one.state.setback, null);
});

const floats = (edition: number, floating: string | null) =>
  ({ kind: 'float-changed', interfaceId: 'a', edition, floating }) as const;

test('a floating address comes to its port and goes again, and late news change nothing', () => {
  const one = up().send(reserve('a', '10.0.0.2')).send(attach('a', '10.0.0.2'));
  one.send(floats(2, '192.0.2.7'));
  assert.is(one.state.ports['a']?.floating, '192.0.2.7');
  assert.is(one.state.generation, 2);
  one.send(attach('a', '10.0.0.2', 'n2'));
  assert.is(one.state.ports['a']?.floating, '192.0.2.7', 'it moves with the port');
  one.send(floats(3, null)).send(floats(2, '192.0.2.7'));
  assert.is(one.state.ports['a']?.floating, null);
  const { state } = one;
  assert.is(one.send({ ...floats(9, 'x'), interfaceId: 'no-port' }).state, state);
});

const route = { kind: 'route' } as const;
const routed = (number: number) =>
  ({ kind: 'route-reserved', number, address: `192.0.2.${number}` }) as const;

test('a route is recorded, reserved, told to the nodes, withdrawn from them, and given back', () => {
  const one = up().send(reserve('a', '10.0.0.2')).send(attach('a', '10.0.0.2'));
  assert.is(one.try(route).reply, 1);
  assert.equal(one.effects, ['sync-segments', 'reserve-route']);
  assert.match(network.passing(one.state)?.reason ?? '', /reserving a routed address/);
  one.send(routed(1));
  assert.is(one.state.generation, 2);
  assert.equal([one.effects, network.passing(one.state)], [['sync-segments'], null]);
  one.send({ kind: 'unroute', address: '192.0.2.1' });
  assert.is(one.state.generation, 3);
  assert.equal(one.effects, ['sync-segments', 'release-route']);
  const { state } = one;
  assert.is(one.send({ kind: 'unroute', address: '192.0.2.1' }).state, state, 'quiet');
  assert.is(one.send(routed(1)).state, state, 'late');
  one.send({ kind: 'route-released', number: 1 });
  assert.equal(one.state.routes, {});
  assert.is(one.try(route).reply, 2, 'a number is used once');
});

test('routes and names of a network that no node has move no generation', () => {
  const one = up().send(route).send(routed(1)).send(dns('www'));
  assert.equal([one.state.generation, one.state.convergingSinceMs], [0, null]);
  assert.is(one.state.routes[1]?.phase, 'held');
});

test('a route that gets no address says why, and what it may have got is given back', () => {
  const why = { code: 'network/no-free-address', reason: 'none left' } as const;
  const one = up().send(route);
  one.send({ kind: 'effect-failed', effect: 'reserve-route', key: '1', ...why });
  assert.equal(one.state.routeFailure, { number: 1, ...why });
  assert.equal([one.state.phase, one.effects], ['created', ['release-route']]);
  const late = up().send(route).pass(90_000).time();
  assert.is(late.state.routeFailure?.code, 'object/deadline');
  assert.equal(late.effects, ['release-route']);
});

test('a network on its way out takes no route and no name, and knows its routes until they are given back', () => {
  const one = up().send(route).send(routed(1)).send(route).send(remove);
  assert.equal(one.effects, ['tear-down']);
  assert.equal(Object.keys(one.state.routes), ['1', '2']);
  const refused = { code: 'network/not-ready', reason: 'network net is not ready (delete-wait)' };
  assert.equal(one.try(route).refusal, refused);
  assert.equal(one.try({ kind: 'unroute', address: '192.0.2.1' }).refusal, refused);
  assert.equal(one.try(dns('www')).refusal, refused);
  assert.equal(one.send({ kind: 'torn-down' }).state.routes, {});
});

function dns(name: string, address = '10.0.0.3'): NetworkMessage {
  return { kind: 'set-dns', name, address };
}

test('DNS entries are added, replaced and removed; what is no name or address is refused', () => {
  const one = up().send(dns('www')).send(dns('a.b.example', '203.0.113.9'));
  one.send(dns('www', '10.0.0.4')).send({ kind: 'remove-dns', name: 'a.b.example' });
  assert.equal(one.state.dnsEntries, { www: '10.0.0.4' });
  const { state } = one;
  assert.is(one.send(dns('www', '10.0.0.4')).state, state);
  assert.is(one.send({ kind: 'remove-dns', name: 'constructor' }).state, state);
  for (const name of [
    '',
    'a b',
    'a\nb',
    '-a',
    'a..b',
    'a.',
    '10.0.0.1',
    '7',
    'a:53',
    'x'.repeat(64),
  ])
    assert.is(one.try(dns(name)).refusal?.code, 'actor/bad-message', name);
  assert.is(one.try(dns('ok', '10.0.0.4#53')).refusal?.code, 'actor/bad-message');
  assert.is(one.try(dns(`${'a.'.repeat(126)}b`)).refusal, null, '253 characters');
  assert.is(one.try(dns(`${'a.'.repeat(126)}bc`)).refusal?.code, 'actor/bad-message');
});

test('a thousand DNS entries are enough', () => {
  const one = up();
  for (let number = 0; number < 1_000; number++) one.send(dns(`n${number}`));
  assert.is(one.try(dns('more')).refusal?.code, 'store/too-large');
  assert.is(one.try(dns('n7', '10.0.0.9')).refusal, null, 'replacing is no more');
});

test('delete-unused spares what is used', () => {
  const used = up().send(reserve('a', '10.0.0.2'));
  assert.is(used.try({ kind: 'delete-unused' }).refusal?.code, 'network/in-use');
  assert.is(used.state.phase, 'created');
  assert.is(up().send({ kind: 'delete-unused' }).state.phase, 'delete-wait');
});

test('hostile ids are ids', () => {
  for (const id of ['__proto__', 'constructor', 'toString']) {
    const stranger = up().send({ kind: 'release', owner: `interface/${id}` });
    assert.is(stranger.state.generation, 0, id);
    const one = up();
    one.send(attach(id, null));
    assert.ok(Object.hasOwn(one.state.ports, id), id);
    one.send({ kind: 'release', owner: `interface/${id}` });
    assert.not(Object.hasOwn(one.state.ports, id), id);
  }
});

function message(pick: Pick, state: NetworkState): NetworkMessage {
  const id = pick('a', 'b', 'c');
  const vni = pick(state.vniCandidate ?? 1, 7);
  const held = Object.entries(state.reservations).find(
    ([, one]) => one.owner === `interface/${id}`,
  );
  const number = pick(state.routesAsked, state.routesAsked - 1);
  const generation = pick(state.generation, state.generation - 1);
  return pick<NetworkMessage>(
    pick<NetworkMessage>(CREATE, { ...CREATE, nat: false }),
    pick<NetworkMessage>({ kind: 'vni-claimed', vni }, { kind: 'vni-taken', vni }),
    egress,
    reserve(id, pick(null, '10.0.0.3', '10.9.9.9')),
    { kind: 'release', owner: `interface/${id}` },
    attach(id, pick(null, held?.[0] ?? '10.0.0.2'), pick('n1', 'n2')),
    { kind: 'segments-synced', generation, absent: [pick('n1', 'n2')] },
    { kind: 'describe' },
    pick<NetworkMessage>(remove, { kind: 'torn-down' }, { kind: 'forgotten' }),
    { ...floats(pick(2, 3, 4, 5), pick(null, '192.0.2.7')), interfaceId: id },
    pick<NetworkMessage>(route, routed(number), { kind: 'route-released', number }),
    pick<NetworkMessage>({ kind: 'unroute', address: `192.0.2.${number}` }, dns('www')),
    { kind: 'remove-dns', name: 'www' },
  );
}

function holdsWhatItShould(state: NetworkState): void {
  for (const [interfaceId, port] of Object.entries(state.ports)) {
    assert.ok(state.nodes.includes(port.node), 'a node with a port is not told');
    if (port.ipv4 === null) continue;
    assert.is(state.reservations[port.ipv4]?.owner, `interface/${interfaceId}`);
  }
  if (state.phase === 'deleted') assert.equal([state.ports, state.reservations], [{}, {}]);
}

test('random messages keep to the table, are harmless repeated, and leave it alive', () => {
  // A network that waits for its interfaces waits as long as they live.
  const rest = ['none', 'created', 'error', 'deleted', 'delete-wait'] as const;
  const check = (state: NetworkState) => {
    holdsWhatItShould(state);
    if (state.phase !== 'delete-wait' || network.passing(state)?.deadlineAtMs !== null) return;
    assert.ok(
      Object.values(state.reservations).some(({ type }) => type === 'instance') ||
        Object.keys(state.ports).length > 0,
      'waits for nobody',
    );
  };
  const subject = {
    kind: network,
    phases: PHASES,
    rest,
    message,
    check,
    counting: ['route'],
    id: 'net',
  };
  assert.equal(movesOf(PHASES), walk(subject, { seeds: 200, steps: 300 }));
});

test.run();

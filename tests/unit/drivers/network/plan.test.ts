// The planners on made-up observations; that their lines do what they say is tested on the kernel (tests/lab).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { linkOf, parseBatch, parseList } from '../../../../src/drivers/network/listing.ts';
import { planLink, type LinkWanted } from '../../../../src/drivers/network/link.ts';
import { KeyedLock } from '../../../../src/drivers/network/lock.ts';
import { planAddresses } from '../../../../src/drivers/network/segment-addresses.ts';
import { planHalfVeths } from '../../../../src/drivers/network/segment-links.ts';
import type { Repair } from '../../../../src/drivers/network/repair.ts';
import { port, wanted } from './fixtures.ts';

const test = suite('network driver: planning');

const bridge: LinkWanted = {
  name: 'b',
  kind: 'bridge',
  create: 'link add name b type bridge',
  mtu: 1450,
  alias: 'owner trace=2',
  settings: { stp_state: 0 },
  fixed: { id: 1 },
};

const right = {
  ifname: 'b',
  ifindex: 3,
  mtu: 1450,
  flags: ['UP', 'BROADCAST'],
  ifalias: 'owner trace=1',
  inet6_addr_gen_mode: 'none',
  linkinfo: { info_kind: 'bridge', info_data: { stp_state: 0, id: 1 } },
};

const linesOf = (repairs: Repair[]) =>
  repairs.flatMap(({ step }) => (step.tool === 'ip' || step.tool === 'bridge' ? step.lines : []));

test('a link that is right needs nothing, whatever trace it carries', () => {
  assert.equal(planLink(bridge, linkOf(right), null), []);
});

test('only what differs is changed; what cannot be changed is made anew', () => {
  assert.equal(linesOf(planLink(bridge, linkOf({ ...right, mtu: 1400 }), null)), [
    'link set dev b mtu 1450',
  ]);
  assert.equal(linesOf(planLink(bridge, linkOf({ ...right, ifalias: 'else' }), null)), [
    'link set dev b alias "owner trace=2"',
  ]);
  const other = { ...right, linkinfo: { info_kind: 'bridge', info_data: { stp_state: 0, id: 2 } } };
  assert.equal(linesOf(planLink(bridge, linkOf(other), null)).slice(0, 2), [
    'link del dev b',
    bridge.create,
  ]);
  const dummy = { ...right, linkinfo: { info_kind: 'dummy' } };
  assert.is(linesOf(planLink(bridge, linkOf(dummy), null))[0], 'link del dev b');
  const [missing] = planLink(bridge, undefined, null);
  assert.is(missing?.problem, 'missing');
});

test('an unknown shape of a listing reads as different, not as a crash', () => {
  for (const row of [{}, { flags: 'UP', linkinfo: null, mtu: '1450' }, { linkinfo: [] }]) {
    assert.is(planLink(bridge, linkOf(row), null).length, 1);
  }
  assert.throws(() => parseList('{}'), 'expected JSON');
  assert.throws(() => parseList('nonsense'), 'expected JSON');
  assert.equal(parseBatch('[]\n[{"a":1}]\n'), [[], [{ a: 1 }]]);
});

test('half a veth is deleted, whichever half it is', () => {
  const half = linkOf({ ...right, ifname: 'gw-a1b2-00000a' });
  const inner = linkOf({ ...right, ifname: 'inside' });
  const [here] = planHalfVeths(wanted(), new Map([[half.name, half]]), new Map());
  assert.equal(here?.step, { tool: 'ip', namespace: null, lines: ['link del dev gw-a1b2-00000a'] });
  const [there] = planHalfVeths(wanted(), new Map(), new Map([[inner.name, inner]]));
  assert.equal(there?.step, {
    tool: 'ip',
    namespace: 'troupe-a1b2-00000a',
    lines: ['link del dev inside'],
  });
});

test('a remote port goes behind its VTEP; one whose machine is no peer goes nowhere', () => {
  const ports = [port(11), port(12, { node: 'n2' }), port(13, { node: 'n3' })];
  const peers = [
    { node: 'n1', vtep: '10.9.0.1' },
    { node: 'n2', vtep: '10.9.0.2' },
  ];
  const lines = linesOf(planAddresses(wanted({ ports, peers }), { fdb: [], neighbours: [] }));
  assert.ok(
    lines.includes('fdb replace 02:00:00:00:00:12 dev vx-a1b2-00000a dst 10.9.0.2 self permanent'),
  );
  assert.ok(
    lines.includes('fdb append 00:00:00:00:00:00 dev vx-a1b2-00000a dst 10.9.0.2 self permanent'),
  );
  assert.not(
    lines.some(
      (line) => line.includes('10.9.0.1') || line.includes('fdb replace 02:00:00:00:00:13'),
    ),
  );
  assert.not(
    lines.some((line) => line.includes('fdb replace 02:00:00:00:00:11')),
    'it has no tap yet',
  );
});

test('neighbour entries of other segments on the egress bridge are left alone', () => {
  const [device, mac] = ['egress-a1b2', '02:a1:b2:00:00:0b'];
  const neighbours = [{ device, mac, address: '192.168.20.6' }];
  const lines = linesOf(planAddresses(wanted(), { fdb: [], neighbours }));
  assert.not(lines.some((line) => line.includes('192.168.20.6')));
});

test('the lock keeps order per key, and a failure does not block the next', async () => {
  const lock = new KeyedLock();
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = lock.run('a', async () => {
    await gate.promise;
    order.push('a1');
    throw new Error('failed');
  });
  const second = lock.run('a', async () => order.push('a2'));
  await lock.run('b', async () => order.push('b'));
  gate.resolve();
  await first.catch(() => order.push('a1 failed'));
  await second;
  assert.equal(order, ['b', 'a1', 'a1 failed', 'a2']);
});

test.run();

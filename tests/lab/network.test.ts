// The dataplane on the real kernel, seen from the guests: addresses, names, ways out and in, isolation, two machines.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../actors/kernel/errors.ts';
import { enterLab, pingSteadily, plugGuest, run, seenAs, serve, until } from '../support/netlab.ts';
import {
  by,
  INTERNET,
  makeWorld,
  OUTSIDE,
  picture,
  port,
  spec,
  startGuest,
} from '../support/netlab-world.ts';

enterLab(import.meta.url);
const { host1, host2 } = await makeWorld();
const test = suite('network driver: what guests see');

const web = port(11, { hostname: 'web', floating: '192.168.20.7' });
const database = port(12, { hostname: 'database' });
const front = spec(1, [web, database]);
await host1.driver.ensureSegment(front, by(front.networkId));
const guest = await startGuest(host1, front, web, 'web');
const neighbour = await startGuest(host1, front, database, 'database');

test('a port is given its address, router, resolver, domain and MTU by DHCP', async () => {
  const lease = await guest.dhcp();
  assert.is(lease?.['ip'], '10.20.0.11');
  assert.is(lease?.['mask'], '24');
  assert.is(lease?.['router'], '10.20.0.1');
  assert.is(lease?.['dns'], '10.20.0.1');
  assert.is(lease?.['mtu'], '1450');
  assert.is(lease?.['hostname'], 'web');
  assert.is(lease?.['domain'], 'lab.troupe');
  assert.is(lease?.['lease'], '3600');
});

test('a MAC that is no port of the network gets no answer', async () => {
  const stranger = port(13);
  const network = { ...front, ports: [web, database] };
  const { tap } = await host1.driver.ensureTap(
    { ...stranger, networkId: network.networkId },
    by('stranger'),
  );
  const card = await plugGuest('host1', tap, 'stranger');
  await card.start(stranger.mac);
  assert.is(await card.dhcp(), null);
  await card.stop();
  await host1.driver.removeTaps([], by('stranger'));
});

test('guests find each other by name, by full name and by address, and the world through the router', async () => {
  const lookup = (name: string, type = 'a') =>
    guest.run(`busybox nslookup -type=${type} ${name} 10.20.0.1`);
  assert.match(await lookup('database.lab.troupe'), /Address: 10\.20\.0\.12/);
  assert.match(await lookup('database'), /Address: 10\.20\.0\.12/);
  assert.match(await lookup('12.0.20.10.in-addr.arpa', 'ptr'), /name = database\.lab\.troupe/);
  assert.match(await lookup('www.troupe.example'), /Address: 203\.0\.113\.7/);
  assert.is(await guest.can('busybox nslookup nobody.lab.troupe 10.20.0.1'), false);
});

test('the router answers, neighbours reach each other, and packets of exactly the MTU pass', async () => {
  const passes = (mtu: number) => (address: string) =>
    guest.can(`ping -c 1 -W 1 -M do -s ${mtu - 28} ${address}`);
  const addresses = ['10.20.0.1', '10.20.0.12', INTERNET];
  assert.equal(await Promise.all(addresses.map(passes(1450))), [true, true, true]);
  assert.equal(await Promise.all(addresses.map(passes(1451))), [false, false, false]);
});

test("what leaves a network has its egress address, and the host's address beyond the host", async () => {
  const other = spec(2, [port(21, { floating: '192.168.20.8' })]);
  await host1.driver.ensureSegment(other, by(other.networkId));
  await startGuest(host1, other, port(21), 'other');
  await serve('other', 7);
  assert.is(await seenAs('database', 'tcp', '192.168.20.8', 7), '192.168.20.101');
  assert.is(await seenAs('database', 'tcp', INTERNET, 7), '10.9.0.1');
  assert.is(await seenAs('database', 'udp', '10.9.0.9', 7), '10.9.0.1');
});

test('a floating address is reached from outside and from its own network', async () => {
  await serve('web', 7);
  assert.is(await seenAs(OUTSIDE, 'tcp', '192.168.20.7', 7), '10.9.0.9');
  assert.is(await seenAs('database', 'tcp', '192.168.20.7', 7), '10.20.0.1');
  assert.is(await seenAs('host1', 'tcp', '192.168.20.7', 7), '192.168.20.1');
  assert.not.match(await guest.run('ip addr'), /192\.168\.20/);
});

test('a routed address is reached from everywhere, untranslated, at the guest that answers for it', async () => {
  const address = '192.168.20.33';
  const routed = { ...front, routed: [address, '192.168.20.34'] };
  await host1.driver.ensureSegment(routed, by(front.networkId, 2));
  await serve('database', 7);
  await neighbour.run(`ip addr add ${address}/32 dev eth0`);
  assert.is(await seenAs(OUTSIDE, 'tcp', address, 7), '10.9.0.9');
  assert.is(await seenAs(OUTSIDE, 'udp', address, 7), '10.9.0.9');
  assert.is(await seenAs('web', 'tcp', address, 7), '10.20.0.11');
  assert.ok(await neighbour.can(`ping -c 1 -W 2 -I ${address} 10.9.0.9`));
  assert.is(await seenAs(OUTSIDE, 'tcp', '192.168.20.34', 7), null, 'nobody answers for it');
  assert.is(await seenAs(OUTSIDE, 'tcp', '192.168.20.7', 7), '10.9.0.9', 'floating still');
  const before = await picture(host1);
  assert.equal(await host1.driver.audit(() => true, 'audit'), [], 'nothing of it is drift');
  assert.is(await picture(host1), before);
  await host1.driver.ensureSegment(front, by(front.networkId, 3));
  assert.is(await seenAs(OUTSIDE, 'tcp', address, 7), null);
  assert.is(await seenAs('web', 'tcp', address, 7), null);
  await neighbour.run(`ip addr del ${address}/32 dev eth0`);
});

test('a routed address alone is a way in, not out', async () => {
  const number = 7;
  const address = '192.168.20.35';
  const only = spec(number, [port(71)], { egressAddress: null, routed: [address] });
  await host1.driver.ensureSegment(only, by(only.networkId));
  const inmate = await startGuest(host1, only, port(71), 'routed');
  await inmate.run(`ip addr add ${address}/32 dev eth0`);
  await serve('routed', 7);
  assert.is(await seenAs(OUTSIDE, 'tcp', address, 7), '10.9.0.9');
  assert.is(await seenAs('routed', 'tcp', INTERNET, 7), null);
});

test('names that the network was given are answered, until they are taken away', async () => {
  const isAnswered = (name: string, address: string) =>
    guest.can(`busybox nslookup -type=a ${name} 10.20.0.1`).then(async (can) => {
      const said = can ? await guest.run(`busybox nslookup -type=a ${name} 10.20.0.1`) : '';
      return said.includes(`Address: ${address}`);
    });
  const dnsEntries = [
    { name: 'shop', address: '10.20.0.99' },
    { name: 'www.example.org', address: '203.0.113.80' },
  ];
  await host1.driver.ensureSegment({ ...front, dnsEntries }, by(front.networkId, 4));
  await until('the new name is answered', () => isAnswered('shop', '10.20.0.99'));
  assert.ok(await isAnswered('shop.lab.troupe', '10.20.0.99'));
  assert.ok(await isAnswered('www.example.org', '203.0.113.80'));
  await host1.driver.ensureSegment(front, by(front.networkId, 5));
  await until('it is not any more', async () => !(await isAnswered('shop', '10.20.0.99')));
  assert.not(await isAnswered('www.example.org', '203.0.113.80'));
  assert.ok(await isAnswered('database', '10.20.0.12'));
});

test('ping from the router tells how many answered', async () => {
  const { networkId } = front;
  const ping = (address: string) => host1.driver.ping(networkId, address, 'ping');
  const [there, absent] = await Promise.all([ping('10.20.0.11'), ping('10.20.0.77')]);
  assert.match(there.stdout, /^10 packets transmitted, 10 received, 0% packet loss/m);
  assert.match(absent.stdout, /^10 packets transmitted, 0 received.* 100% packet loss/m);
  const elsewhere = await host2.driver.ping(networkId, '10.20.0.11', 'ping').catch(codeOf);
  assert.is(elsewhere, 'hypervisor/segment-missing');
});

test('nobody outside opens a connection but to a floating address', async () => {
  await run(OUTSIDE, 'ip route add 10.20.0.0/24 via 10.9.0.1');
  await serve('database', 7);
  assert.is(await seenAs(OUTSIDE, 'tcp', '10.20.0.12', 7), null);
  assert.is(await seenAs(OUTSIDE, 'tcp', '192.168.20.101', 53), null);
  assert.is(await seenAs('database', 'tcp', '10.20.0.11', 7), '10.20.0.12');
});

test('guests reach no service of the host, and cannot speak VXLAN to other machines', async () => {
  await serve('host1', 8);
  await serve(OUTSIDE, 4790);
  assert.is(await seenAs(OUTSIDE, 'tcp', '10.9.0.1', 8), '10.9.0.9', 'the service is there');
  const refused = await Promise.all([
    seenAs('database', 'tcp', '192.168.20.1', 8),
    seenAs('database', 'udp', '192.168.20.1', 8),
    seenAs('database', 'tcp', '10.9.0.1', 8),
    seenAs('database', 'udp', '10.9.0.1', 8),
    seenAs('database', 'udp', '10.9.0.9', 4790),
  ]);
  assert.equal(refused, [null, null, null, null, null]);
  assert.is(await seenAs('database', 'tcp', '10.9.0.9', 4790), '10.9.0.1', 'only UDP is VXLAN');
  // Straight at the bridge's own MAC, past the router.
  const bridgeMac = /link\/ether (\S+)/.exec(
    await run('host1', 'ip link show br-a1b1-000001'),
  )?.[1];
  await neighbour.run(
    `ip neigh replace 10.20.0.250 lladdr ${bridgeMac ?? ''} dev eth0 nud permanent`,
  );
  await neighbour.run('ip route add 10.9.0.1/32 via 10.20.0.250');
  assert.is(await seenAs('database', 'udp', '10.9.0.1', 8), null);
  await neighbour.run('ip route del 10.9.0.1/32');
});

test('two networks with the same addresses do not see each other', async () => {
  const twin = spec(
    3,
    [web, database].map((p) => ({ ...p, floating: null })),
  );
  const ids = { interfaceId: web.interfaceId.replace('0000', 'ffff') };
  const twinPort = { ...web, ...ids, floating: null };
  const network = { ...twin, ports: [twinPort] };
  await host1.driver.ensureSegment(network, by(network.networkId));
  const other = await startGuest(host1, network, twinPort, 'twin');
  assert.ok(await other.can('ping -c 1 -W 2 10.20.0.1'));
  assert.not(await other.can('ping -c 1 -W 1 10.20.0.12'), 'that is in the other network');
  assert.is(await seenAs('twin', 'tcp', INTERNET, 7), '10.9.0.1');
  assert.is(await seenAs('web', 'tcp', INTERNET, 7), '10.9.0.1');
  assert.is(await seenAs('web', 'tcp', '10.20.0.12', 7), '10.20.0.11');
});

test('a guest cannot be another MAC, nor take an address the network gave to somebody else', async () => {
  const stop = await pingSteadily('web', '10.20.0.1');
  await neighbour.run('ip addr add 10.20.0.11/32 dev eth0');
  await neighbour.can('busybox arping -c 3 -A -I eth0 10.20.0.11');
  assert.not(await neighbour.can('ping -c 1 -W 1 -I 10.20.0.11 10.20.0.1'));
  await neighbour.run('ip addr add 10.20.0.1/32 dev eth0');
  await neighbour.can('busybox arping -c 3 -A -I eth0 10.20.0.1');
  await neighbour.run('ip addr del 10.20.0.1/32 dev eth0');
  await neighbour.run('ip addr del 10.20.0.11/32 dev eth0');
  assert.ok(await neighbour.can('ping -c 1 -W 1 10.20.0.1'));
  await neighbour.run(`ip link set dev eth0 address ${web.mac}`);
  assert.not(await neighbour.can('ping -c 1 -W 1 10.20.0.1'));
  await neighbour.run(`ip link set dev eth0 address ${database.mac}`);
  const { sent, received } = await stop();
  assert.ok(sent > 10);
  assert.is(received, sent);
  assert.is((await neighbour.dhcp())?.['ip'], '10.20.0.12');
});

test('an address that the network gave to nobody may be used: routed addresses need it', async () => {
  await neighbour.run('ip addr add 10.20.0.99/24 dev eth0');
  assert.ok(await guest.can('ping -c 1 -W 2 10.20.0.99'));
});

test('without NAT there is no way out, but a floating address works', async () => {
  const closed = spec(4, [port(41, { floating: '192.168.20.9' })], { egressAddress: null });
  await host1.driver.ensureSegment(closed, by(closed.networkId));
  const inmate = await startGuest(host1, closed, port(41), 'inmate');
  await serve('inmate', 7);
  assert.is(await seenAs('inmate', 'tcp', INTERNET, 7), null);
  assert.is(await seenAs(OUTSIDE, 'tcp', '192.168.20.9', 7), '10.9.0.9');
  assert.ok(await inmate.can('ping -c 1 -W 2 10.20.0.1'));
});

test("without DNS guests are told the deployment's resolver; without DHCP nothing is", async () => {
  const plain = spec(5, [port(51)], { dns: false });
  await host1.driver.ensureSegment(plain, by(plain.networkId));
  const user = await startGuest(host1, plain, port(51), 'plain');
  assert.is((await user.dhcp())?.['dns'], '10.9.0.9');
  assert.not(await user.can('timeout 1 busybox nslookup guest51.lab.troupe 10.20.0.1'));
  await host1.driver.ensureSegment({ ...plain, dhcp: false }, by(plain.networkId, 2));
  assert.is(await user.dhcp(), null);
  assert.is(
    await run('host1', `find ${host1.runDir}/${plain.networkId}`).catch(() => 'gone'),
    'gone',
  );
  await host1.driver.ensureSegment({ ...plain, dhcp: false, dns: true }, by(plain.networkId, 3));
  assert.ok(await user.can('timeout 1 busybox nslookup guest51.lab.troupe 10.20.0.1'));
  assert.is(await user.dhcp(), null);
});

test('guests on two machines are on one segment, and only what must crosses between them', async () => {
  const here = port(61);
  const there = port(62, { node: 'host2' });
  const absent = port(63, { node: 'host2' });
  const wide = spec(6, [here, there, absent], {
    peers: [
      { node: 'host1', vtep: '10.9.0.1' },
      { node: 'host2', vtep: '10.9.0.2' },
    ],
  });
  for (const host of [host1, host2]) await host.driver.ensureSegment(wide, by(wide.networkId));
  const left = await startGuest(host1, wide, here, 'left');
  const right = await startGuest(host2, wide, there, 'right');
  await run('host2', 'nft add table bridge spy');
  await run(
    'host2',
    'nft add chain bridge spy arrivals { type filter hook prerouting priority -400 ; }',
  );
  const counters = {
    arp: 'ether type arp',
    dhcp: 'udp dport { 67, 68 }',
    gateway: 'ether saddr 02:00:5e:00:00:01',
  };
  for (const [name, match] of Object.entries(counters)) {
    await run('host2', `nft add counter bridge spy seen_${name}`);
    await run(
      'host2',
      `nft add rule bridge spy arrivals iifname vx-a1b2-000006 ${match} counter name seen_${name}`,
    );
  }
  const crossed = async (name: string) =>
    Number(
      /packets (\d+)/.exec(await run('host2', `nft list counter bridge spy seen_${name}`))?.[1],
    );

  assert.ok(await left.can('ping -c 1 -W 2 -M do -s 1422 10.20.0.62'));
  assert.not(await left.can('ping -c 1 -W 1 10.20.0.63'), 'no such guest is there');
  assert.is(await crossed('arp'), 0, 'the bridge answers ARP for known addresses');
  assert.is((await left.dhcp())?.['ip'], '10.20.0.61');
  assert.ok(await left.can('ping -c 1 -W 2 10.20.0.1'));
  assert.ok(await right.can('ping -c 1 -W 2 10.20.0.1'));
  assert.is(await crossed('dhcp'), 0, 'each machine serves its own guests');
  assert.is(await crossed('gateway'), 0, 'each machine has its own gateway');
  assert.not(await left.can('ping -c 1 -W 1 10.20.0.200'));
  assert.ok((await crossed('arp')) > 0, 'what nobody knows is asked everywhere');
  assert.is(await seenAs('right', 'tcp', INTERNET, 7), '10.9.0.2');

  // The guest moves: new machine in the spec, and its peers send there.
  await host2.driver.removeTaps([], by(there.interfaceId));
  const moved = { ...wide, ports: [here, { ...there, node: 'host1' }] };
  for (const host of [host1, host2]) await host.driver.ensureSegment(moved, by(wide.networkId, 2));
  await startGuest(host1, moved, there, 'right-moved');
  assert.ok(await left.can('ping -c 1 -W 2 10.20.0.62'));
});

test.run();

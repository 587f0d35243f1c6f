// The dataplane when things go wrong: repeats, restarts, sabotage, crashes at every step, strangers, and taking it all away.
import { rejects } from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Exec } from '../../src/drivers/exec.ts';
import { probeHost } from '../../src/drivers/network/probe.ts';
import { enterLab, execOn, pingSteadily, run } from '../support/netlab.ts';
import {
  by,
  differences,
  INTERNET,
  makeWorld,
  picture,
  port,
  spec,
  startGuest,
} from '../support/netlab-world.ts';

enterLab(import.meta.url);
const { host1, host2 } = await makeWorld();
const test = suite('network driver: faults');

const bare = await picture(host2);
const web = port(11, { floating: '192.168.20.7' });
const remote = port(12, { node: 'host2' });
const peers = [{ node: 'host2', vtep: '10.9.0.2' }];
const outside = {
  routed: ['192.168.20.40'],
  dnsEntries: [{ name: 'www', address: '10.20.0.99' }],
};
const front = spec(1, [web, remote], { peers, ...outside });
const { networkId } = front;
await host1.driver.ensureSegment(front, by(networkId));
const guest = await startGuest(host1, front, web, 'web');

/** Programs that change something, among those run through it. */
function recording(host: string): { exec: Exec; changes: string[]; runs: string[] } {
  const [changes, runs]: [string[], string[]] = [[], []];
  const exec: Exec = (program, args, options) => {
    const line = `${program} ${args.join(' ')} ${options.input ?? ''}`;
    runs.push(line);
    if (isChange(line)) changes.push(line);
    return execOn(host)(program, args, options);
  };
  return { exec, changes, runs };
}

/** Everything but listings; batches are told by their lines. */
function isChange(line: string): boolean {
  const lines = line.includes('-batch') ? line.slice(line.indexOf('-batch - ') + 9) : line;
  return lines
    .trim()
    .split('\n')
    .some((text) => !/\b(show|list)\b/.test(text));
}

async function dnsmasqPids(runDir: string): Promise<string> {
  const lines = (await run(null, 'ps -eo pid,stat,args')).split('\n');
  const pids = lines.filter((line) => line.includes(`--conf-file=${runDir}/`));
  return pids.map((line) => line.trim().split(' ')[0]).join(' ');
}

test('a repeat, also by a restarted driver, only looks, with a handful of processes', async () => {
  const before = [await picture(host1), await dnsmasqPids(host1.runDir)];
  const { exec, changes, runs } = recording('host1');
  const driver = host1.restarted(exec);
  const stop = await pingSteadily('web', INTERNET);
  await driver.ensureSegment(front, by(networkId));
  assert.ok(runs.length <= 8, `${runs.length} processes`);
  const { interfaceId, mac } = web;
  await driver.ensureTap({ interfaceId, networkId, mac }, by(interfaceId));
  assert.equal(await driver.audit(() => true, 'audit'), []);
  assert.equal(await driver.audit(() => undefined, 'audit'), []);
  const { sent, received } = await stop();
  assert.equal(changes, []);
  assert.equal(differences(before[0] ?? '', await picture(host1)), []);
  assert.is(await dnsmasqPids(host1.runDir), before[1]);
  assert.ok(sent > 2);
  assert.is(received, sent, 'adoption disturbs no traffic');
});

test('a port that is added is told to the running dnsmasq; one that is removed loses its lease', async () => {
  const [pid] = [await dnsmasqPids(host1.runDir)];
  const more = { ...front, ports: [web, remote, port(13)] };
  await host1.driver.ensureSegment(more, by(networkId, 2));
  assert.is(await dnsmasqPids(host1.runDir), pid);
  const second = await startGuest(host1, front, port(13), 'second');
  // The address goes to another port, as it may after the halo.
  const heir = port(14, { ipv4: '10.20.0.13' });
  const changed = { ...front, ports: [web, remote, heir] };
  await second.stop();
  await host1.driver.removeTaps([], by(port(13).interfaceId));
  await host1.driver.ensureSegment(changed, by(networkId, 3));
  const third = await startGuest(host1, front, heir, 'third');
  assert.is((await third.dhcp())?.['ip'], '10.20.0.13');
  await third.stop();
  await host1.driver.removeTaps([], by(heir.interfaceId));
  await host1.driver.ensureSegment(front, by(networkId, 4));
  assert.is(
    (await guest.dhcp())?.['ip'],
    '10.20.0.11',
    'a restart of dnsmasq keeps renewals working',
  );
});

const NS = 'troupe-a1b1-000001';
const TAP = 'tpa1b1-00001100';
/** What is done to the host, and whether the tap (and with it the guest's card) survives it. */
const SABOTAGE: readonly string[] = [
  'ip link del br-a1b1-000001',
  'ip link del vx-a1b1-000001',
  'ip link del gw-a1b1-000001',
  'ip link del eg-a1b1-000001',
  'ip link del egress-a1b1',
  'ip link set br-a1b1-000001 mtu 1400',
  'ip link set br-a1b1-000001 down',
  'ip link set br-a1b1-000001 address 06:00:00:00:00:77',
  'ip link set br-a1b1-000001 type bridge stp_state 1',
  `ip link set ${TAP} nomaster`,
  `ip link set ${TAP} down`,
  `ip link set ${TAP} type bridge_slave flood on learning on`,
  'ip link set vx-a1b1-000001 type bridge_slave neigh_suppress off',
  'ip link set gw-a1b1-000001 alias operator/was-here',
  'ip addr flush dev egress-a1b1',
  'ip neigh flush nud permanent',
  'bridge fdb del 02:00:00:00:00:12 dev vx-a1b1-000001 master',
  'bridge fdb del 02:00:00:00:00:12 dev vx-a1b1-000001 dst 10.9.0.2 self',
  'bridge fdb replace 02:00:00:00:00:12 dev vx-a1b1-000001 dst 10.9.0.3 self',
  'bridge fdb append 00:00:00:00:00:00 dev vx-a1b1-000001 dst 10.9.0.3 self permanent',
  `bridge fdb replace 02:00:00:00:00:99 dev ${TAP} master static`,
  'busybox sysctl -w net.ipv4.ip_forward=0',
  'nft delete table ip troupe_a1b1',
  'nft flush chain bridge troupe_a1b1_000001 guest',
  'nft add element bridge troupe_a1b1_000001 addresses { 10.20.0.77 }',
  'nft delete table bridge troupe_a1b1_000001',
  `ip netns exec ${NS} nft delete table ip troupe_a1b1`,
  `ip netns exec ${NS} nft insert rule ip troupe_a1b1 forward drop`,
  `ip netns exec ${NS} nft delete element ip troupe_a1b1 floating { 192.168.20.7 }`,
  `ip -n ${NS} link set inside down`,
  `ip -n ${NS} link set inside mtu 1300`,
  `ip -n ${NS} link set inside address 02:00:00:00:00:55`,
  `ip -n ${NS} addr flush dev inside`,
  `ip -n ${NS} addr add 10.99.0.1/24 dev inside`,
  `ip -n ${NS} link set lo down`,
  `ip -n ${NS} link del outside`,
  `ip -n ${NS} addr del 192.168.20.7/32 dev outside`,
  `ip -n ${NS} route del default`,
  `ip -n ${NS} route add 198.51.100.0/24 dev outside`,
  `ip netns exec ${NS} busybox sysctl -w net.ipv4.ip_forward=0`,
  `ip netns exec ${NS} busybox sysctl -w net.ipv4.conf.all.rp_filter=1`,
  `ip netns exec ${NS} ip link set inside netns host1 name inside2`,
  `ip netns delete ${NS}`,
  `umount /run/netns/${NS}`,
];

test('whatever somebody does to a segment is seen by an audit and put right', async () => {
  const healthy = await picture(host1);
  for (const command of SABOTAGE) {
    await run('host1', command);
    const drifts = await host1.driver.audit(() => true, 'audit');
    assert.ok(drifts.length > 0, `seen: ${command}`);
    assert.equal(
      drifts.filter((drift) => !drift.repaired),
      [],
      command,
    );
    assert.equal(differences(healthy, await picture(host1)), [], command);
  }
  assert.ok(await guest.can(`ping -c 1 -W 2 ${INTERNET}`));
  assert.is((await guest.dhcp())?.['ip'], '10.20.0.11');
});

test('a dnsmasq that died, was told something else, or lost its files is put right', async () => {
  const directory = join(host1.runDir, networkId);
  const wounds: (() => Promise<unknown>)[] = [
    async () => run(null, `kill -9 ${await dnsmasqPids(host1.runDir)}`),
    () => run(null, `rm -r ${directory}`),
    () => run(null, `rm ${directory}/dnsmasq.pid`),
    () => run(null, `cp /dev/null ${directory}/hosts`),
    async () =>
      run(
        null,
        `cp /dev/null ${directory}/${readdirSync(directory).find((n) => n.endsWith('.conf'))}`,
      ),
    // The pid file names a living process that is not dnsmasq.
    () => run(null, `busybox sh -c echo\t1>${directory}/dnsmasq.pid`),
  ];
  for (const wound of wounds) {
    await wound();
    await host1.driver.ensureSegment(front, by(networkId, 4));
    assert.match(await dnsmasqPids(host1.runDir), /^\d+$/, 'exactly one');
    assert.is((await guest.dhcp())?.['ip'], '10.20.0.11');
  }
});

test('a change of the spec reaches the host, and back', async () => {
  const before = await picture(host1);
  const variants = [
    { egressAddress: null },
    { egressAddress: '192.168.20.150', upstreamDns: '10.9.0.8' },
    { domain: 'team_one.troupe', upstreamDns: '10.9.0.7' },
    { dns: false, domain: 'other.troupe' },
    { peers: [], ports: [web] },
    { ports: [{ ...web, floating: null }, remote] },
    { ports: [{ ...web, floating: null }], egressAddress: null },
    { gatewayMac: '02:00:5e:00:00:02' },
    { routed: [] },
    { routed: ['192.168.20.41', '192.168.20.40'], dnsEntries: [] },
  ];
  for (const [index, variant] of variants.entries()) {
    await host1.driver.ensureSegment({ ...front, ...variant }, by(networkId, 10 + index));
    assert.is.not(await picture(host1), before, JSON.stringify(variant));
    assert.equal(await host1.driver.audit(() => true, 'audit'), []);
  }
  // The request's id is the caller's text, and ends up in aliases and comments.
  const trace = 'x"\n} table ip evil { } #';
  await host1.driver.ensureSegment(front, { ...by(networkId, 20), trace });
  assert.equal(differences(before, await picture(host1)), []);
});

test('a second network comes and goes without a trace on the first', async () => {
  const before = await picture(host1);
  const stop = await pingSteadily('web', INTERNET);
  const other = spec(2, [port(21, { floating: '192.168.20.8' })]);
  await host1.driver.ensureSegment(other, by(other.networkId));
  await host1.driver.removeSegment(other.networkId, by(other.networkId));
  const { sent, received } = await stop();
  assert.is(received, sent);
  assert.equal(differences(before, await picture(host1)), []);
});

test('an older wish than one already seen is refused', async () => {
  await rejects(host1.driver.ensureSegment(front, by(networkId, 19)), {
    code: 'executor/stale-epoch',
  });
  await rejects(host1.driver.removeSegment(networkId, by(networkId, 19)), {
    code: 'executor/stale-epoch',
  });
});

test('a segment with taps is not removed, a tap without a segment not made', async () => {
  await rejects(host1.driver.removeSegment(networkId, by(networkId, 20)), {
    code: 'network/in-use',
  });
  const tap = { ...port(91), networkId: spec(9, []).networkId };
  await rejects(host1.driver.ensureTap(tap, by('nowhere')), { code: 'hypervisor/segment-missing' });
});

test('a floating block that the host already routes elsewhere is refused with a sentence', async () => {
  await run('host2', 'ip route add 192.168.20.64/26 via 10.9.0.9');
  const network = spec(7, []);
  const attempt = host2.driver.ensureSegment(network, by('seven'));
  await rejects(attempt, {
    code: 'config/invalid',
    message: /192\.168\.20\.0\/24 overlaps .*192\.168\.20\.64\/26 on eth0/,
  });
  await run('host2', 'ip route del 192.168.20.64/26');
  await host2.driver.removeSegment(network.networkId, by('seven'));
  assert.equal(differences(bare, await picture(host2)), []);
});

test('the audit removes what nobody wants, reports strangers, and leaves undecided things alone', async () => {
  const network = spec(8, [port(81, { node: 'host2' })]);
  await host2.driver.ensureSegment(network, by('eight'));
  const { interfaceId, mac } = port(81);
  await host2.driver.ensureTap({ interfaceId, mac, networkId: network.networkId }, by('tap-eight'));
  await run('host2', 'ip link add br-a1b2-0000aa type bridge');
  await run('host2', 'ip netns add troupe-a1b2-0000aa');
  await run('host2', 'nft add table bridge troupe_a1b2_0000aa');
  mkdirSync(join(host2.runDir, 'stray'));
  const strangers = [
    'br-a1b2-0000aa',
    'troupe-a1b2-0000aa',
    'troupe_a1b2_0000aa',
    join(host2.runDir, 'stray'),
  ];
  const namesOf = async (isWanted: (owner: string) => boolean | undefined) =>
    (await host2.driver.audit(isWanted, 'audit')).map((d) =>
      [d.name, d.problem, d.repaired].join(' '),
    );
  const reported = strangers.map((name) => `${name} unknown false`);
  assert.equal(await namesOf(() => undefined), reported);
  const isWanted = (owner: string) => (owner.includes('eight') ? false : undefined);
  const removed = [
    `tpa1b2-00008100 unknown true`,
    `${network.networkId} unknown true`,
    'egress-a1b2 different true',
  ];
  assert.equal(
    (await namesOf(isWanted)).filter((line) => line.endsWith('true')),
    removed,
  );
  await run('host2', 'ip link del br-a1b2-0000aa');
  await run('host2', 'ip netns delete troupe-a1b2-0000aa');
  await run('host2', 'nft delete table bridge troupe_a1b2_0000aa');
  await run(null, `rmdir ${join(host2.runDir, 'stray')}`);
  assert.equal(differences(bare, await picture(host2)), []);
});

test('a crash before or after any step leaves nothing that the ledger does not know', async () => {
  const network = spec(9, [port(92, { node: 'host2', floating: '192.168.20.9' })], {
    peers: [{ node: 'host1', vtep: '10.9.0.1' }],
  });
  const { interfaceId, mac } = port(92);
  const tap = { interfaceId, mac, networkId: network.networkId };
  let generation = 0;
  for (let step = 0; ; step++) {
    const crashing = host2.restarted(crashAt('host2', step >> 1, step % 2 === 0));
    const wish = () => by('nine', ++generation);
    const make = async () => {
      await crashing.ensureSegment(network, wish());
      await crashing.ensureTap(tap, wish());
    };
    const survived = await make().then(
      () => true,
      () => false,
    );
    if (step % 3 === 0) {
      await host2.driver.ensureSegment(network, wish());
      await host2.driver.ensureTap(tap, wish());
      assert.equal(await host2.driver.audit(() => true, 'audit'), [], `after step ${step}`);
    }
    await host2.driver.removeTaps([], wish());
    await host2.driver.removeSegment(network.networkId, wish());
    assert.equal(differences(bare, await picture(host2)), [], `after step ${step}`);
    assert.equal(host2.ledger.list(), [], `after step ${step}`);
    assert.equal(readdirSync(host2.runDir), []);
    assert.is(await dnsmasqPids(host2.runDir), '');
    if (survived) break;
  }
});

test('after removal nothing is left, and forwarding is as it was found', async () => {
  await guest.stop();
  await host1.driver.removeTaps([], by(web.interfaceId));
  await host1.driver.removeSegment(networkId, by(networkId, 30));
  await host1.driver.removeSegment(networkId, by(networkId, 30));
  assert.equal(host1.ledger.list(), []);
  assert.equal(readdirSync(host1.runDir), []);
  assert.is(await dnsmasqPids(host1.runDir), '');
  const left = (await picture(host1))
    .replaceAll('host1', 'host2')
    .replaceAll('10.9.0.1', '10.9.0.2');
  assert.equal(differences(bare, left), []);
});

test('the probe finds this host fit, and says in a sentence what another lacks', async () => {
  const fit = await probeHost(execOn('host1'), 'probe');
  assert.equal(fit.problems, []);
  assert.match(fit.versions['dnsmasq'] ?? '', /^Dnsmasq version/);
  await run('host1', 'nft add table ip docker');
  await run(
    'host1',
    'nft add chain ip docker FORWARD { type filter hook forward priority 0 ; policy drop ; }',
  );
  assert.match(
    (await probeHost(execOn('host1'), 'probe')).warnings.join('\n'),
    /ip docker FORWARD.*egress-/,
  );
  const poor: Exec = (program, args, options) =>
    execOn('host1')(
      'setpriv',
      ['--bounding-set', '-net_admin,-sys_admin', '--inh-caps', '-all', '--', program, ...args],
      options,
    );
  assert.match((await probeHost(poor, 'probe')).problems.join('\n'), /run the daemon as root/);
});

/** Fails at the n-th changing program, before or after it has run, as a daemon killed at that moment would. */
function crashAt(host: string, nth: number, isBefore: boolean): Exec {
  let changes = 0;
  return async (program, args, options) => {
    const isChanging = isChange(`${program} ${args.join(' ')} ${options.input ?? ''}`);
    const isTheOne = isChanging && changes++ === nth;
    if (isTheOne && isBefore) throw new Error('crash');
    const result = await execOn(host)(program, args, options);
    if (isTheOne || changes > nth + 1) throw new Error('crash');
    return result;
  };
}

test.run();

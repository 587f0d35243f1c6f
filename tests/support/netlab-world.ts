// The standing set of the dataplane tests: two hosts and an outside world on one underlay, and networks to put on them.
//
// outside  10.9.0.9, and 203.0.113.7 as "the internet"; knows that host1 has the floating block, and nothing of any guest
// host1    10.9.0.1   host2  10.9.0.2   each with a driver, a ledger and a run directory of its own
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SegmentPort, SegmentSpec, WantedBy } from '../../actors/network/ports.ts';
import type { Exec } from '../../src/drivers/exec.ts';
import { Ledger } from '../../src/drivers/ledger.ts';
import { NetworkDriver } from '../../src/drivers/network/network-driver.ts';
import { execOn, labDirectory, makeHost, plugGuest, run, serve, type LabGuest } from './netlab.ts';

export const FLOATING_BLOCK = '192.168.20.0/24';
export const INTERNET = '203.0.113.7';
export const OUTSIDE = 'outside';
/** Not the default, so that a port left out somewhere shows. */
const VXLAN_PORT = 4790;

export interface LabHost {
  readonly name: string;
  readonly tag: string;
  readonly ledger: Ledger;
  readonly runDir: string;
  readonly driver: NetworkDriver;
  /** Another driver on the same host and ledger, as after a restart of the daemon. */
  restarted(exec?: Exec): NetworkDriver;
}

export async function makeWorld(): Promise<{ host1: LabHost; host2: LabHost }> {
  await makeHost(OUTSIDE, '10.9.0.9/24');
  await run(OUTSIDE, `ip addr add ${INTERNET}/32 dev lo`);
  await run(OUTSIDE, `ip route add ${FLOATING_BLOCK} via 10.9.0.1`);
  await run(
    OUTSIDE,
    `dnsmasq --no-resolv --no-hosts --pid-file= --address=/troupe.example/${INTERNET}`,
  );
  await serve(OUTSIDE, 7);
  return {
    host1: await makeLabHost('host1', 'a1b1', '10.9.0.1'),
    host2: await makeLabHost('host2', 'a1b2', '10.9.0.2'),
  };
}

async function makeLabHost(name: string, tag: string, address: string): Promise<LabHost> {
  await makeHost(name, `${address}/24`);
  await run(name, 'ip route add default via 10.9.0.9');
  const runDir = join(labDirectory, name);
  mkdirSync(runDir);
  const ledger = new Ledger(join(labDirectory, `${name}.ledger`));
  const restarted = (exec: Exec = execOn(name)) =>
    new NetworkDriver({
      exec,
      ledger,
      log: () => undefined,
      node: name,
      hostTag: tag,
      underlay: { mtu: 1500, address, port: VXLAN_PORT },
      runDir,
      floatingBlock: FLOATING_BLOCK,
    });
  return { name, tag, ledger, runDir, driver: restarted(), restarted };
}

/** A wish of generation `generation`, by one owner per subject. */
export function by(id: string, generation = 1): WantedBy {
  const { signal } = new AbortController();
  return { owner: { kind: 'segment', id }, epoch: 1, generation, trace: 'trace-1', signal };
}

export function port(number: number, more: Partial<SegmentPort> = {}): SegmentPort {
  const digits = String(number).padStart(2, '0');
  return {
    interfaceId: `0000${digits}00-77f1-4d37-8a43-0a6d1cbb9b02`,
    mac: `02:00:00:00:00:${digits}`,
    ipv4: `10.20.0.${number}`,
    hostname: `guest${number}`,
    node: 'host1',
    floating: null,
    ...more,
  };
}

/** Network number `number`: VNI and egress address follow from it, the netblock is the same for all. */
export function spec(
  number: number,
  ports: readonly SegmentPort[],
  more: Partial<SegmentSpec> = {},
): SegmentSpec {
  return {
    networkId: `0000000${number}-9f0f-4a1e-8f0e-2b7b6fd1c001`,
    vni: number,
    netblock: '10.20.0.0/24',
    gateway: '10.20.0.1',
    gatewayMac: '02:00:5e:00:00:01',
    domain: 'lab.troupe',
    dhcp: true,
    dns: true,
    upstreamDns: '10.9.0.9',
    egressAddress: `192.168.20.${100 + number}`,
    floatingBlock: FLOATING_BLOCK,
    ports,
    peers: [],
    routed: [],
    dnsEntries: [],
    ...more,
  };
}

/** Makes a port's tap, plugs a guest into it, and gets it an address by DHCP. */
export async function startGuest(
  host: LabHost,
  network: SegmentSpec,
  who: SegmentPort,
  namespace: string,
): Promise<LabGuest> {
  const { interfaceId, mac } = who;
  const { networkId } = network;
  const { tap } = await host.driver.ensureTap({ interfaceId, networkId, mac }, by(interfaceId));
  const guest = await plugGuest(host.name, tap, namespace);
  await guest.start(mac);
  if ((await guest.dhcp()) === null) throw new Error(`${namespace} was given no address`);
  return guest;
}

/** All that a host's kernel shows, but for counters, indexes, what was learnt, and addresses drawn by lot. */
export async function picture(host: LabHost): Promise<string> {
  const namespaces = (await run(null, 'ip netns list'))
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => name.startsWith(`troupe-${host.tag}`))
    .sort();
  const parts = [namespaces.join(' ')];
  for (const namespace of [host.name, ...namespaces]) {
    for (const [command, isOrdered] of PICTURE) {
      const listing = await run(namespace, command);
      // Tables are listed by age; their rules are in an order that matters.
      const tables = listing
        .split(/^(?=table )/m)
        .sort()
        .join('');
      const lines = tidy(tables).map((line) => `${command}: ${line}`);
      parts.push(`${namespace}:`, ...(isOrdered ? lines : lines.sort()));
    }
  }
  return parts.join('\n');
}

/** What two pictures do not share. */
export function differences(before: string, after: string): string[] {
  const [left, right] = [before.split('\n'), after.split('\n')];
  const lines = [
    ...left.filter((line) => !right.includes(line)).map((line) => `- ${line}`),
    ...right.filter((line) => !left.includes(line)).map((line) => `+ ${line}`),
  ];
  return lines.length === 0 && before !== after ? ['another order or number of lines'] : lines;
}

const PICTURE: readonly (readonly [string, boolean])[] = [
  ['ip -br link', false],
  ['ip -br -4 addr', false],
  ['ip -4 route', false],
  ['ip neigh show nud permanent', false],
  ['bridge fdb show', false],
  ['bridge -d -o link', false],
  ['nft -s list ruleset', true],
  ['cat /proc/sys/net/ipv4/ip_forward', false],
];

/** veth and tap ends that nobody addresses have random MACs, whose entries are permanent and local. */
function tidy(listing: string): string[] {
  return listing
    .split('\n')
    .filter((line) => line.trim() !== '')
    .filter(
      (line) =>
        !/^(33:33|01:00|([0-9a-f]{2}:){5}\S+ dev \S+ (vlan|master \S+ (permanent)?$))/.test(line),
    )
    .map((line) =>
      line
        .replace(/^\d+: /, '')
        .replace(/^([\w-]+)@[\w-]+/, '$1')
        .replace(/trace=\S+/, ''),
    )
    .map((line) =>
      line.replace(/ +[A-Z]+ +([0-9a-f]{2}:){5}[0-9a-f]{2} <(.*)>/, (_, _mac, flags: string) =>
        flags.split(',').includes('UP') ? ' is up' : ' is down',
      ),
    )
    .map((line) => line.replace(/ (UP|DOWN|UNKNOWN) /, ' ').replace(/state \w+ |<[A-Z,_-]*> /g, ''))
    .map((line) => line.replace(/ +/g, ' ').trimEnd());
}

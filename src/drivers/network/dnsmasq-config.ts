// What dnsmasq is told, as text: one file of settings, which it reads once, and two of hosts, which it reads again on SIGHUP.
//
// Q1  Only the ports of the spec are served: a MAC that is not among them gets no answer.
// Q2  There is no lease file. All addresses are static, and an authoritative server grants again what a
//     client asks to renew, so a restart loses nothing and a removed port's lease is gone with it.
// Q3  The settings' digest is in the file's name, and so in the process's command line: what runs says what it runs with.
import { join } from 'node:path';
import { netmaskOf, parseNetblock } from '../../../actors/network/netblock.ts';
import { INSIDE } from './names.ts';
import { textDigest } from './nft.ts';
import type { SegmentWanted } from './segment-wanted.ts';

const LEASE = '1h';
/** dnsmasq gives up its privileges for this user; Debian and others all have it. */
export const DNSMASQ_USER = 'nobody';

export interface ServiceWanted {
  readonly directory: string;
  readonly settingsFile: string;
  readonly settings: string;
  readonly hostsFile: string;
  /** `MAC,address,name,lease` per port: DHCP. */
  readonly hosts: string;
  readonly namesFile: string;
  /** `address name…` per port and entry: DNS. */
  readonly names: string;
  readonly pidFile: string;
}

/** Null when the network has neither DHCP nor DNS: then no process runs. */
export function serviceWanted(wanted: SegmentWanted): ServiceWanted | null {
  const { spec, machine } = wanted;
  if (!spec.dhcp && !spec.dns) return null;
  const directory = serviceDirectory(machine.runDir, spec.networkId);
  const hostsFile = join(directory, 'hosts');
  const namesFile = join(directory, 'names');
  const pidFile = join(directory, 'dnsmasq.pid');
  const lines = [
    `pid-file=${pidFile}`,
    `log-facility=${join(directory, 'dnsmasq.log')}`,
    `user=${DNSMASQ_USER}`,
    `interface=${INSIDE}`,
    'except-interface=lo',
    'bind-interfaces',
    'no-hosts',
    'no-resolv',
    `domain=${spec.domain}`,
    ...(spec.dhcp ? dhcpLines(wanted, hostsFile) : []),
    ...(spec.dns ? dnsLines(wanted, namesFile) : ['port=0']),
  ];
  const settings = `${lines.join('\n')}\n`;
  return {
    directory,
    settings,
    settingsFile: join(directory, `dnsmasq-${textDigest(settings).slice(0, 12)}.conf`),
    hostsFile,
    hosts: spec.dhcp ? hostLines(wanted) : '',
    namesFile,
    names: spec.dns ? nameLines(wanted) : '',
    pidFile,
  };
}

export function serviceDirectory(runDir: string, networkId: string): string {
  return join(runDir, networkId);
}

function dhcpLines(wanted: SegmentWanted, hostsFile: string): string[] {
  const { spec, mtu } = wanted;
  const block = parseNetblock(spec.netblock);
  const [network] = spec.netblock.split('/');
  const option = (name: string, value: string) =>
    `dhcp-option=option:${name}${value && `,${value}`}`;
  return [
    `dhcp-range=${network},static,${netmaskOf(block)},${LEASE}`,
    'dhcp-ignore=tag:!known',
    'dhcp-authoritative',
    'leasefile-ro',
    'no-ping',
    'quiet-dhcp',
    `dhcp-hostsfile=${hostsFile}`,
    option('mtu', String(mtu)),
    option('router', spec.gateway),
    // Without a value the option is left out; without this line dnsmasq would name itself.
    option('dns-server', resolverFor(wanted)),
    option('domain-search', spec.domain),
  ];
}

/** What guests are told to ask: the router, else (with NAT) the deployment's resolver, else nobody. */
function resolverFor({ spec }: SegmentWanted): string {
  if (spec.dns) return spec.gateway;
  return spec.egressAddress === null ? '' : spec.upstreamDns;
}

/** Local names are answered here or not at all; everything else goes to the resolver if there is a way out. */
function dnsLines({ spec }: SegmentWanted, namesFile: string): string[] {
  const upstream = spec.egressAddress === null ? [] : [`server=${spec.upstreamDns}`];
  return [
    `addn-hosts=${namesFile}`,
    `local=/${spec.domain}/`,
    'domain-needed',
    'bogus-priv',
    ...upstream,
  ];
}

function hostLines({ spec }: SegmentWanted): string {
  const lines = spec.ports.flatMap((port) =>
    port.ipv4 === null ? [] : [`${port.mac},${port.ipv4},${port.hostname},${LEASE}\n`],
  );
  return lines.sort().join('');
}

/** A name without dots is also one of the network's domain. */
function nameLines({ spec }: SegmentWanted): string {
  const lines = spec.ports.flatMap((port) =>
    port.ipv4 === null ? [] : [`${port.ipv4} ${port.hostname}.${spec.domain} ${port.hostname}\n`],
  );
  for (const { name, address } of spec.dnsEntries) {
    const names = name.includes('.') ? name : `${name}.${spec.domain} ${name}`;
    lines.push(`${address} ${names}\n`);
  }
  return lines.sort().join('');
}

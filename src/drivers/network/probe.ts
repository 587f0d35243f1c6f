// Whether a host can carry segments, told as sentences an operator can act on.
import { codeOf, reasonOf } from '../../../actors/kernel/errors.ts';
import type { Exec } from '../exec.ts';
import { Host, type Errand } from './host.ts';
import { parseJson } from './listing.ts';

export interface HostProbe {
  /** Version line per tool. */
  readonly versions: Readonly<Record<string, string>>;
  /** Nothing works until these are solved. */
  readonly problems: readonly string[];
  /** Things that may bite: somebody else's firewall in the way. */
  readonly warnings: readonly string[];
}

const TOOLS: readonly (readonly [string, readonly string[], string])[] = [
  ['ip', ['-V'], 'iproute2'],
  ['bridge', ['-V'], 'iproute2'],
  ['nft', ['--version'], 'nftables'],
  ['dnsmasq', ['--version'], 'dnsmasq-base'],
  ['nsenter', ['--version'], 'util-linux'],
];

/** Link types are tried in a namespace of their own, so that the host sees none of it. */
const TRIALS: readonly (readonly [string, string])[] = [
  ['bridge', 'ip link add t0 type bridge'],
  ['veth', 'ip link add t1 type veth peer name t2'],
  ['vxlan', 'ip link add t3 type vxlan id 1 dstport 4789 nolearning'],
  ['tun', 'ip tuntap add dev t4 mode tap vnet_hdr'],
  ['nf_tables', 'nft add table bridge t5'],
];

/** Tries everything the driver needs; changes nothing on the host. */
export async function probeHost(exec: Exec, trace: string): Promise<HostProbe> {
  const host = new Host(exec);
  const errand = { trace };
  const versions: Record<string, string> = {};
  const problems: string[] = [];
  for (const [tool, args, debianPackage] of TOOLS) {
    try {
      const { stdout, stderr } = await host.run(tool, args, errand);
      versions[tool] = (stdout || stderr).split('\n')[0] ?? '';
    } catch (error) {
      problems.push(
        `${tool} does not run (${reasonOf(error)}); install the package ${debianPackage}`,
      );
    }
  }
  if (problems.length > 0) return { versions, problems, warnings: [] };
  problems.push(...(await tryKernel(host, errand)));
  const warnings = problems.length > 0 ? [] : await firewallsInTheWay(host, errand);
  return { versions, problems, warnings };
}

async function tryKernel(host: Host, errand: Errand): Promise<string[]> {
  const problems: string[] = [];
  for (const [name, command] of TRIALS) {
    try {
      await host.run('unshare', ['--net', '--', ...command.split(' ')], errand);
    } catch (error) {
      if (codeOf(error) === 'host/no-privilege') {
        return [
          `this process may not make network devices: run the daemon as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN (${reasonOf(error)})`,
        ];
      }
      problems.push(
        `the kernel cannot make a ${name} (${reasonOf(error)}); load it with \`modprobe ${name}\``,
      );
    }
  }
  return problems;
}

/**
 * A base chain that drops forwarded packets by default cannot be overruled from another table: where there is one
 * (Docker, ufw, firewalld), the operator has to let our bridges through.
 */
async function firewallsInTheWay(host: Host, errand: Errand): Promise<string[]> {
  const { stdout } = await host.run('nft', ['-j', 'list', 'chains'], errand);
  const dropping = chainsIn(parseJson(stdout)).filter(
    (chain) =>
      chain['hook'] === 'forward' && chain['policy'] === 'drop' && chain['family'] !== 'bridge',
  );
  if (dropping.length === 0) return [];
  const names = dropping.map(
    (chain) => `${String(chain['family'])} ${String(chain['table'])} ${String(chain['name'])}`,
  );
  const warnings = [
    `the firewall drops forwarded packets by default (${names.join(', ')}): guests reach nothing outside until it accepts the bridge egress-*, with Docker for example: iptables -I DOCKER-USER -i egress-+ -j ACCEPT; iptables -I DOCKER-USER -o egress-+ -j ACCEPT`,
  ];
  const { stdout: callsIptables } = await host.run(
    'cat',
    ['/proc/sys/net/bridge/bridge-nf-call-iptables'],
    errand,
    { okCodes: [0, 1] },
  );
  if (callsIptables.trim() === '1') {
    warnings.push(
      'bridged packets pass that firewall too (net.bridge.bridge-nf-call-iptables = 1): guests of one network do not reach each other until it accepts the bridges br-*, for example: iptables -I DOCKER-USER -i br-+ -o br-+ -j ACCEPT; or set that to 0 where nothing needs it',
    );
  }
  return warnings;
}

function chainsIn(listing: unknown): Record<string, unknown>[] {
  const rows = isRecord(listing) && Array.isArray(listing['nftables']) ? listing['nftables'] : [];
  return rows.flatMap((row: unknown) => {
    const chain = isRecord(row) ? row['chain'] : undefined;
    return isRecord(chain) ? [chain] : [];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

// What this machine is: the facts that its node object records and that scheduling reads.
import { statfsSync, readFileSync } from 'node:fs';
import { availableParallelism, networkInterfaces, totalmem } from 'node:os';
import { readFile } from 'node:fs/promises';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { HypervisorCapabilities } from '../../actors/instance/ports.ts';
import { segmentMtu } from '../../actors/network/mtu.ts';
import { LIMITS } from '../../actors/node/capacity.ts';
import type { Gauges, Limits, Machine } from '../../actors/node/state.ts';
import type { Config } from '../config.ts';
import type { Underlay } from '../drivers/network/segment-wanted.ts';
import type { Exec } from '../drivers/exec.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** Of all memory: what a small machine keeps for itself instead of the contract's 2 GiB. */
const KEPT_SHARE = 8;
/** Of a machine that is alone and has no link at all. */
const LONELY_MTU = 1500;

/** The link to the other machines: as configured, else that of the mesh, else that of the default route, else none. */
export async function findUnderlay(
  { underlay: config, mesh }: Pick<Config, 'underlay' | 'mesh'>,
  exec: Exec,
  trace: string,
): Promise<Underlay> {
  const ofMesh = mesh === null ? null : deviceWith(mesh.host);
  const device = config.device ?? ofMesh ?? (await defaultDevice(exec, trace));
  const { vxlanPort: port } = config;
  if (device === null) return { address: config.address, mtu: config.mtu ?? LONELY_MTU, port };
  const mtu =
    config.mtu ??
    Number(await readFile(`/sys/class/net/${device}/mtu`, 'utf8').catch(() => missing(device)));
  const first = networkInterfaces()[device]?.find((one) => one.family === 'IPv4')?.address;
  const address = config.address ?? (device === ofMesh ? mesh?.host : first);
  return { address: address ?? null, mtu, port };
}

/** Null: the mesh is reached through something that this machine does not see, such as a NAT. */
function deviceWith(address: string): string | null {
  const all = Object.entries(networkInterfaces());
  const found = all.find(([, addresses]) => addresses?.some((one) => one.address === address));
  return found?.[0] ?? null;
}

function missing(device: string): never {
  throw new TroupeError(
    'config/invalid',
    `setting underlay-device: there is no device ${device} on this machine`,
  );
}

async function defaultDevice(exec: Exec, trace: string): Promise<string | null> {
  const { stdout } = await exec('ip', ['-json', 'route', 'show', 'default'], { trace });
  const [route] = JSON.parse(stdout || '[]') as { dev?: string }[];
  return route?.dev ?? null;
}

/** Facts for the node object. */
export function describeMachine(
  {
    dataDir,
    roles,
    failureDomain,
    image,
    etcd,
  }: Pick<Config, 'dataDir' | 'roles' | 'failureDomain' | 'image' | 'etcd'>,
  underlay: Underlay,
  capabilities: HypervisorCapabilities,
): Machine {
  const disk = statfsSync(dataDir);
  const memoryMiB = Math.floor(totalmem() / MIB);
  const { accelerator, cpuModel, warning, libvirtVersion, qemuVersion } = capabilities;
  return {
    roles: [...roles],
    failureDomain,
    limits: limitsOf(memoryMiB, image.keepFreeBytes),
    vtep: underlay.address ?? '',
    mtu: segmentMtu(underlay.mtu),
    cpus: availableParallelism(),
    memoryMiB,
    diskGiB: Math.floor((disk.blocks * disk.bsize) / GIB),
    accelerator,
    cpuModel,
    warning,
    versions: {
      libvirt: libvirtVersion,
      qemu: qemuVersion,
      node: process.version,
      // An etcd of our own runs here; of another it is not known where.
      ...(etcd.endpoints.length === 0 ? { etcd: 'own' } : {}),
    },
  };
}

/** The contract's, made smaller for a machine on which nothing would fit otherwise. */
function limitsOf(memoryMiB: number, keepFreeBytes: number): Limits {
  const share = Math.floor(memoryMiB / KEPT_SHARE);
  const reservedMemoryMiB = Math.min(LIMITS.reservedMemoryMiB, share);
  return { ...LIMITS, reservedMemoryMiB, reservedDiskGiB: Math.ceil(keepFreeBytes / GIB) };
}

/** What changes by the minute. */
export function readGauges(dataDir: string): Gauges {
  const disk = statfsSync(dataDir);
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  const [load] = readFileSync('/proc/loadavg', 'utf8').split(' ');
  return {
    availableMemoryMiB: Math.floor(Number(available ?? 0) / 1024),
    freeDiskGiB: Math.floor((disk.bavail * disk.bsize) / GIB),
    load: Number(load),
  };
}

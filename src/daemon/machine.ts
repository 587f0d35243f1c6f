// What this machine is: the facts that its node object records and that scheduling reads.
import { statfsSync, readFileSync } from 'node:fs';
import { availableParallelism, networkInterfaces, totalmem } from 'node:os';
import { readFile } from 'node:fs/promises';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { HypervisorCapabilities } from '../../actors/instance/ports.ts';
import { segmentMtu } from '../../actors/network/mtu.ts';
import type { Machine } from '../../actors/node/state.ts';
import type { Config } from '../config.ts';
import type { Underlay } from '../drivers/network/segment-wanted.ts';
import type { Exec } from '../drivers/exec.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** Of a machine that is alone and has no link at all. */
const LONELY_MTU = 1500;

/** The link to the other machines: as configured, else that of the default route, else none. */
export async function findUnderlay(
  config: Config['underlay'],
  exec: Exec,
  trace: string,
): Promise<Underlay> {
  const device = config.device ?? (await defaultDevice(exec, trace));
  const { vxlanPort: port } = config;
  if (device === null) return { address: config.address, mtu: config.mtu ?? LONELY_MTU, port };
  const mtu =
    config.mtu ??
    Number(await readFile(`/sys/class/net/${device}/mtu`, 'utf8').catch(() => missing(device)));
  const first = networkInterfaces()[device]?.find((one) => one.family === 'IPv4')?.address;
  return { address: config.address ?? first ?? null, mtu, port };
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
  dataDir: string,
  underlay: Underlay,
  capabilities: HypervisorCapabilities,
): Machine {
  const disk = statfsSync(dataDir);
  const { accelerator, cpuModel, warning, libvirtVersion, qemuVersion } = capabilities;
  return {
    vtep: underlay.address ?? '',
    mtu: segmentMtu(underlay.mtu),
    cpus: availableParallelism(),
    memoryMiB: Math.floor(totalmem() / MIB),
    diskGiB: Math.floor((disk.blocks * disk.bsize) / GIB),
    accelerator,
    cpuModel,
    warning,
    versions: { libvirt: libvirtVersion, qemu: qemuVersion, node: process.version },
  };
}

/** What changes by the minute. */
export interface Load {
  readonly availableMemoryMiB: number;
  readonly freeDiskGiB: number;
  /** Of the last minute. */
  readonly load: number;
}

/** Looked up when somebody is to be placed. */
export function currentLoad(dataDir: string): Load {
  const disk = statfsSync(dataDir);
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  const [load] = readFileSync('/proc/loadavg', 'utf8').split(' ');
  return {
    availableMemoryMiB: Math.floor(Number(available ?? 0) / 1024),
    freeDiskGiB: Math.floor((disk.bavail * disk.bsize) / GIB),
    load: Number(load),
  };
}

// What a machine has and uses, by the names that existing clients know (contract: nodes 1.6): asked for when somebody
// wants to know, and told as an event now and then (resource-reports.ts). Nothing of it is kept.
import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { RuntimeStats } from '../../actors/kernel/runtime.ts';
import { hasRole } from '../../actors/node/capacity.ts';
import type { NodeState, Reservation } from '../../actors/node/state.ts';
import { OBJECT_VERSIONS } from '../api/objects/versions.ts';

export type Resources = Record<string, number | boolean>;

export interface ResourceSources {
  readonly dataDir: string;
  /** Undefined: its record has not come yet. */
  readonly state: NodeState | undefined;
  readonly stats: Pick<RuntimeStats, 'effects' | 'mailbox'>;
  /** Where the kernel tells; `/` but in tests. */
  readonly root?: string;
}

const SECTOR_BYTES = 512;
const KSM = 'sys/kernel/mm/ksm';

/** Reads some small files; a part that this kernel does not tell is left out. */
export function readResources({ dataDir, state, stats, root = '/' }: ResourceSources): Resources {
  const read = (path: string) => textOf(join(root, path));
  const { machine = null, reservations = {} } = state ?? {};
  const all = Object.values(reservations);
  const running = all.filter((one) => one.isRunning);
  return {
    ...rolesOf(state),
    ...cpuOf(machine, all, running, read('proc/loadavg')),
    ...memoryOf(read('proc/meminfo'), all, running),
    ...sharedPages(root, read),
    ...diskOf(dataDir),
    ...diskTraffic(read('proc/diskstats')),
    ...networkTraffic(read('proc/net/dev')),
    instances_total: all.length,
    instances_active: running.length,
    ...queuesOf(stats),
    ...versions(),
  };
}

function rolesOf(state: NodeState | undefined): Resources {
  const machine = state?.machine ?? null;
  return {
    is_etcd_master: machine?.versions['etcd'] !== undefined,
    is_hypervisor: hasRole({ machine }, 'hypervisor'),
    is_network_node: false,
    is_eventlog_node: machine?.roles.some((role: string) => role === 'events') === true,
  };
}

function cpuOf(
  machine: NodeState['machine'],
  all: readonly Reservation[],
  running: readonly Reservation[],
  loadavg: string,
): Resources {
  const [one = 0, five = 0, fifteen = 0] = loadavg.split(' ').map(Number);
  const { cpus = 0, limits } = machine ?? {};
  const reserved = sum(all, 'cpus');
  return {
    cpu_max: cpus,
    cpu_available: Math.floor(cpus * (limits?.cpuRatio ?? 1)) - reserved,
    cpu_max_per_instance: limits?.maxCpusPerInstance ?? cpus,
    cpu_load_1: one,
    cpu_load_5: five,
    cpu_load_15: fifteen,
    cpu_total_instance_vcpus: sum(running, 'cpus'),
  };
}

function memoryOf(
  meminfo: string,
  all: readonly Reservation[],
  running: readonly Reservation[],
): Resources {
  const line = (name: string) => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1];
    return Math.floor(Number(found ?? 0) / 1024);
  };
  const [max, available] = [line('MemTotal'), line('MemAvailable')];
  return {
    memory_max: max,
    memory_available: available,
    memory_max_libvirt: max,
    memory_available_libvirt: line('MemFree'),
    memory_total_instance_max: sum(all, 'memoryMiB'),
    memory_total_instance_actual: sum(running, 'memoryMiB'),
  };
}

/** Kernel samepage merging, raw. */
function sharedPages(root: string, read: (path: string) => string): Resources {
  const counters = namesIn(join(root, KSM)).map((name) => [name, read(join(KSM, name)).trim()]);
  return Object.fromEntries(
    counters
      .filter(([, text]) => /^\d+$/.test(text ?? ''))
      .map(([name, text]) => [`memory_ksm_${name}`, Number(text)]),
  );
}

/** All that Troupe keeps is in one directory; where a part of it is mounted from elsewhere its own space counts. */
function diskOf(dataDir: string): Resources {
  const { total, free } = spaceOf(dataDir);
  const freeIn = (name: string) => spaceOf(join(dataDir, name), free).free;
  return {
    disk_total: total,
    disk_free: free,
    disk_used: total - free,
    disk_free_sfroot: free,
    disk_free_blobs: freeIn('blobs'),
    disk_free_events: freeIn('events'),
    disk_free_image_cache: freeIn('blobs/.partial'),
    disk_free_instances: freeIn('instances'),
    disk_free_uploads: freeIn('spool'),
  };
}

function spaceOf(path: string, otherwise = 0): { total: number; free: number } {
  try {
    const { blocks, bavail, bsize } = statfsSync(path);
    return { total: blocks * bsize, free: bavail * bsize };
  } catch {
    // Not made yet: it will be where its parent is.
    return { total: 0, free: otherwise };
  }
}

/** Of whole disks: partitions and what is stacked on them would count twice. */
function diskTraffic(diskstats: string): Resources {
  const whole = /^(sd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;
  const rows = diskstats.split('\n').map((row) => row.trim().split(/\s+/));
  const disks = rows.filter(([, , name = '']) => whole.test(name));
  const bytes = (column: number) =>
    disks.reduce((total, row) => total + Number(row[column] ?? 0) * SECTOR_BYTES, 0);
  return { disk_read_bytes: bytes(5), disk_write_bytes: bytes(9) };
}

/** Of all links but the loopback and those that we make: what goes through those goes through others too. */
function networkTraffic(dev: string): Resources {
  const ours = /^(lo|br-|vx-|gw-|eg-|tp|egress-|veth|vnet)/;
  const rows = dev.split('\n').flatMap((row) => {
    const [name, counters] = row.split(':');
    const isCounted = counters !== undefined && !ours.test((name ?? '').trim());
    return isCounted ? [counters.trim().split(/\s+/).map(Number)] : [];
  });
  const bytes = (column: number) => rows.reduce((total, row) => total + (row[column] ?? 0), 0);
  return { network_read_bytes: bytes(0), network_write_bytes: bytes(8) };
}

/** There are no job queues here; what comes closest: effects under way, messages that wait. */
function queuesOf({ effects, mailbox }: ResourceSources['stats']): Resources {
  const processing = Object.values(effects).reduce(
    (total, { started, succeeded, failed, aborted }) =>
      total + started - succeeded - failed - aborted,
    0,
  );
  return {
    node_queue_processing: processing,
    node_queue_waiting: mailbox.total,
    node_queue_deferred: 0,
  };
}

function versions(): Resources {
  return Object.fromEntries(
    Object.entries(OBJECT_VERSIONS).map(([kind, version]) => [`object_version_${kind}`, version]),
  );
}

function sum(reservations: readonly Reservation[], member: 'cpus' | 'memoryMiB'): number {
  return reservations.reduce((total, one) => total + one[member], 0);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // This kernel, or this container, does not tell.
    return '';
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

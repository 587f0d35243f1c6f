// What a machine can still take of instances.
//
// C1  The same for both who ask: the scheduler, of its copy of the node's state, and the node itself when it grants.
// C2  A reservation counts against the limits of overcommit for as long as it is held, whether its guest runs or not.
// C3  Gauges are without what guests used while they were read. A reservation is taken off them until then, and both
//     change in one turn (`measured`): nothing counts twice, or not at all. A guest that is off keeps its claim.
import type { Amount, Gauges, Limits, NodeState, Reservation, Role } from './state.ts';

export interface Capacity {
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly limits: Limits;
  readonly gauges: Gauges;
  /** All reservations together. */
  readonly reserved: Amount;
  /** Of those, what the gauges still show as free: memory of guests that do not run, disks that are not built. */
  readonly outstanding: Omit<Amount, 'cpus'>;
}

export type Check = 'vCPU limit' | 'idle CPU' | 'idle RAM' | 'disk space';

export interface Shortage {
  readonly check: Check;
  /** With numbers. */
  readonly reason: string;
}

/** The contract's default limits (conventions 13). */
export const LIMITS: Limits = {
  cpuRatio: 16,
  memoryRatio: 3,
  reservedMemoryMiB: 2048,
  reservedDiskGiB: 20,
  maxCpusPerInstance: 255,
};

/** False too for a node whose daemon has never registered. */
export function hasRole({ machine }: Pick<NodeState, 'machine'>, role: Role): boolean {
  return machine?.roles.includes(role) ?? false;
}

/** Whether copies of blobs may be kept there for others. A hypervisor without that role keeps what its own guests use. */
export function canHoldBlobs(state: Pick<NodeState, 'phase' | 'machine'>): boolean {
  return state.phase === 'created' && hasRole(state, 'storage');
}

/** As `instanceId` sees it: its own reservation does not stand in its way. Null: nothing is known of the machine. */
export function capacityOf(
  { machine, gauges, reservations }: Pick<NodeState, 'machine' | 'gauges' | 'reservations'>,
  instanceId: string,
): Capacity | null {
  if (machine === null || gauges === null) return null;
  const { cpus, memoryMiB, limits } = machine;
  const others = Object.entries(reservations).flatMap(([id, one]) =>
    id === instanceId ? [] : one,
  );
  const outstanding = {
    memoryMiB: total(others.filter((one) => !one.isRunning)).memoryMiB,
    diskGiB: total(others.filter((one) => !one.isBuilt)).diskGiB,
  };
  return { cpus, memoryMiB, limits, gauges, reserved: total(others), outstanding };
}

function total(reservations: readonly Reservation[]): Amount {
  return reservations.reduce(
    (sum: Amount, { cpus, memoryMiB, diskGiB }) => ({
      cpus: sum.cpus + cpus,
      memoryMiB: sum.memoryMiB + memoryMiB,
      diskGiB: sum.diskGiB + diskGiB,
    }),
    { cpus: 0, memoryMiB: 0, diskGiB: 0 },
  );
}

type Test = (wanted: Amount, capacity: Capacity) => string | null;

/** In the contract's order; each says what is missing, or null. */
export const CHECKS: readonly (readonly [check: Check, test: Test])[] = [
  ['vCPU limit', vcpuLimit],
  ['idle CPU', idleCpu],
  ['idle RAM', idleMemory],
  ['disk space', diskSpace],
];

/** The first check that fails; null: it fits. */
export function shortageOf(wanted: Amount, capacity: Capacity): Shortage | null {
  for (const [check, test] of CHECKS) {
    const reason = test(wanted, capacity);
    if (reason !== null) return { check, reason };
  }
  return null;
}

function vcpuLimit({ cpus }: Amount, { limits: { maxCpusPerInstance: most } }: Capacity) {
  return cpus <= most ? null : `needs ${cpus} vCPUs, an instance may have ${most}`;
}

function idleCpu(wanted: Amount, { cpus, limits: { cpuRatio }, reserved }: Capacity) {
  const most = Math.floor(cpus * cpuRatio);
  const left = most - reserved.cpus;
  if (wanted.cpus <= left) return null;
  return `needs ${wanted.cpus} vCPUs, ${left} left of ${most} (${cpus} CPUs ${cpuRatio} fold), reserved ${reserved.cpus}`;
}

function idleMemory(wanted: Amount, { memoryMiB, limits, gauges, ...held }: Capacity) {
  const { reserved, outstanding } = held;
  const need = `needs ${wanted.memoryMiB} MiB`;
  const kept = limits.reservedMemoryMiB;
  const idle = gauges.availableMemoryMiB - kept - outstanding.memoryMiB;
  if (wanted.memoryMiB > idle) {
    return `${need}, ${idle} MiB available of ${memoryMiB} (${gauges.availableMemoryMiB} free, ${kept} kept for the machine), reserved ${outstanding.memoryMiB} by guests that do not run`;
  }
  const most = Math.floor(memoryMiB * limits.memoryRatio);
  const left = most - reserved.memoryMiB;
  if (wanted.memoryMiB <= left) return null;
  return `${need}, ${left} MiB left of ${most} (${memoryMiB} MiB ${limits.memoryRatio} fold), reserved ${reserved.memoryMiB}`;
}

function diskSpace({ diskGiB }: Amount, { limits, gauges, outstanding }: Capacity) {
  const kept = limits.reservedDiskGiB;
  const left = gauges.freeDiskGiB - kept - outstanding.diskGiB;
  if (diskGiB <= left) return null;
  return `needs ${diskGiB} GiB, ${left} GiB available (${gauges.freeDiskGiB} free, ${kept} kept free), reserved ${outstanding.diskGiB} for disks not built yet`;
}

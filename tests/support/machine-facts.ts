// A machine as its daemon describes it, for tests that need one.
import { LIMITS } from '../../actors/node/capacity.ts';
import { ROLES, type Gauges, type Machine } from '../../actors/node/state.ts';

export const MACHINE: Machine = {
  roles: [...ROLES],
  failureDomain: null,
  limits: LIMITS,
  vtep: '192.0.2.1',
  mtu: 1_450,
  cpus: 4,
  memoryMiB: 16_384,
  diskGiB: 200,
  accelerator: 'tcg',
  cpuModel: 'max',
  warning: null,
  versions: { qemu: '7.2' },
};

export const GAUGES: Gauges = { availableMemoryMiB: 12_000, freeDiskGiB: 100, load: 0 };

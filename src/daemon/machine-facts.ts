// What this machine's daemon tells of itself when it is asked (machine-service/actors.ts), or now and then (resource-reports.ts).
import type { Runtime } from '../../actors/kernel/runtime.ts';
import type { Config } from '../config.ts';
import type { ReadModel } from '../read/read-model.ts';
import type { MachineActors } from './machine-service/actors.ts';
import { processMetrics, serviceProcesses } from './process-metrics.ts';
import { readResources } from './resources.ts';

export type MachineFacts = Pick<MachineActors, 'pid' | 'resources' | 'processes'>;

export function machineFacts(
  { node, dataDir, runDir }: Pick<Config, 'node' | 'dataDir' | 'runDir'>,
  read: Pick<ReadModel, 'nodes'>,
  runtime: Pick<Runtime, 'stats'>,
): MachineFacts {
  return {
    pid: process.pid,
    resources: () => {
      const state = read.nodes.get(node)?.state;
      return readResources({ dataDir, state, stats: runtime.stats() });
    },
    processes: () => processMetrics(serviceProcesses({ dataDir, runDir })),
  };
}

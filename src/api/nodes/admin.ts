// Admin routes (contract: nodes 2): who decides for what and is at work on it, and what the cluster has to give.
//
// Nothing here is locked as the contract means it: a shard is owned under an epoch, and an actor takes one message after
// the other. Both are shown as what they are, in the shape that clients know.
import { createHash } from 'node:crypto';
import { capacityOf, hasRole } from '../../../actors/node/capacity.ts';
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';
import { reasonOf } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import type { NodeState } from '../../../actors/node/state.ts';
import { json, optional, route, type Route } from '../http/route.ts';
import type { ApiServices } from '../services.ts';
import { maintainerOf } from './nodes.ts';

const Lock = Type.Object({
  node: Type.String(),
  /** Of the daemon; 0 when it did not answer. */
  pid: Type.Integer(),
  operation: Type.String(),
  line: Type.String(),
  id: Type.String(),
});
const Locks = Type.Record(Type.String(), Lock);

const PerNode = Type.Object({
  cpu_max_per_instance: Type.Number(),
  cpu_available: Type.Number(),
  cpu_load_1: Type.Number(),
  cpu_load_5: Type.Number(),
  cpu_load_15: Type.Number(),
  ram_max_per_instance: Type.Number(),
  ram_max: Type.Number(),
  ram_available: Type.Number(),
  disk_available: Type.Number(),
  instances_total: Type.Integer(),
  instances_active: Type.Integer(),
});
const ClusterResources = Type.Object({
  total: Type.Object({ cpu_available: Type.Number(), ram_available: Type.Number() }),
  per_node: Type.Record(Type.String(), PerNode),
});

export function adminRoutes(services: ApiServices): Route[] {
  return [
    route('GET /admin/locks', {
      access: 'system',
      summary: 'Show which daemon decides for what, what it is doing, and who waits for it',
      answer: { json: Locks },
      handle: async () => json(await locks(services)),
    }),
    route('POST /admin/rotatetokensecret', {
      access: 'system',
      summary: 'Sign tokens with another secret from now on; at once: every token there is ends',
      body: { at_once: optional(Type.Boolean()) },
      answer: { json: Type.Null() },
      handle: async ({ body, caller, trace }) => {
        const isAtOnce = body.at_once === true;
        await services.tokenSecrets.rotate(isAtOnce);
        services.log('info', 'the token secret was rotated', { trace, isAtOnce, ...caller });
        return json(null);
      },
    }),
    route('GET /admin/resources', {
      access: 'system',
      summary: 'Show what the hypervisors of the cluster have left for instances',
      answer: { json: ClusterResources },
      handle: async () => json(await clusterResources(services)),
    }),
  ];
}

async function locks(services: ApiServices): Promise<JsonObject> {
  const daemons = await services.nodes.busy();
  const pids = new Map(daemons.map(({ node, pid }) => [node, pid]));
  const rows: Record<string, Json> = {};
  const add = (path: string, node: string, line: string, operation: string) => {
    const id = createHash('sha256').update(`${path} ${node} ${line}`).digest('base64url');
    rows[`/sflocks/sf/${path}`] = {
      node,
      pid: pids.get(node) ?? 0,
      operation,
      line,
      id: id.slice(0, 16),
    };
  };
  const maintainer = maintainerOf(services.members());
  if (maintainer !== undefined) add('cluster/', maintainer, 'maintenance', 'Cluster maintenance');
  for (const { shard, node, epoch } of services.nodes.shardOwners()) {
    add(`shard/${shard}`, node, `epoch ${epoch}`, 'decides for its objects');
  }
  for (const { node, busy } of daemons) {
    for (const { address, doing, waiting } of busy) {
      const others = waiting === 0 ? '' : `; ${waiting} messages wait`;
      add(address, node, 'turn', `${doing}${others}`);
    }
  }
  return Object.fromEntries(Object.entries(rows).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

async function clusterResources(services: ApiServices): Promise<JsonObject> {
  const members = new Set(services.members().map(({ node }) => node));
  const hypervisors = [...services.read.nodes.all()].filter(
    ({ id, state }) => members.has(id) && state.phase === 'created' && hasRole(state, 'hypervisor'),
  );
  const rows = await Promise.all(
    hypervisors.map(async ({ id, state }) => [id, await left(services, id, state)] as const),
  );
  const perNode = rows.filter(([, row]) => row !== null) as [string, Record<string, number>][];
  const sum = (name: string) => perNode.reduce((total, [, row]) => total + (row[name] ?? 0), 0);
  return {
    total: { cpu_available: sum('cpu_available'), ram_available: sum('ram_available') },
    per_node: Object.fromEntries(perNode),
  };
}

/** As the scheduler counts; null: the machine has not measured itself yet. */
async function left(
  services: ApiServices,
  node: string,
  state: NodeState,
): Promise<Record<string, number> | null> {
  const capacity = capacityOf(state, '');
  if (capacity === null) return null;
  const { cpus, memoryMiB, limits, gauges, reserved, outstanding } = capacity;
  const ramMax = Math.floor(memoryMiB * limits.memoryRatio);
  const loads = await loadsOf(services, node, gauges.load);
  const kept = limits.reservedMemoryMiB + outstanding.memoryMiB;
  return {
    cpu_max_per_instance: limits.maxCpusPerInstance,
    cpu_available: Math.floor(cpus * limits.cpuRatio) - reserved.cpus,
    ...loads,
    ram_max_per_instance: Math.max(0, gauges.availableMemoryMiB - kept),
    ram_max: ramMax,
    ram_available: ramMax - reserved.memoryMiB,
    disk_available: gauges.freeDiskGiB - limits.reservedDiskGiB - outstanding.diskGiB,
    instances_total: Object.keys(state.reservations).length,
    instances_active: Object.values(state.reservations).filter((one) => one.isRunning).length,
  };
}

/** As the machine has them now; of one that does not answer, what it recorded last. */
async function loadsOf(
  { nodes, log }: ApiServices,
  node: string,
  recorded: number,
): Promise<Record<string, number>> {
  const names = ['cpu_load_1', 'cpu_load_5', 'cpu_load_15'];
  try {
    const said = await nodes.resources(node);
    return Object.fromEntries(names.map((name) => [name, Number(said[name] ?? recorded)]));
  } catch (error) {
    log('debug', 'a machine did not tell its load', { member: node, reason: reasonOf(error) });
    return Object.fromEntries(names.map((name) => [name, recorded]));
  }
}

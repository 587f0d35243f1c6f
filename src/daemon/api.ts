// Joins the API with the daemon's parts.
import { systemClock } from '../../actors/kernel/clock.ts';
import type { Address, Message } from '../../actors/kernel/kind.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import { agentOperation } from '../../actors/agent-operation/agent-operation.ts';
import { diskSnapshot } from '../../actors/disk-snapshot/disk-snapshot.ts';
import { instance } from '../../actors/instance/instance.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import { network } from '../../actors/network/network.ts';
import { artifact } from '../../actors/artifact/artifact.ts';
import { blob } from '../../actors/blob/blob.ts';
import type { StoreJournal } from '../../transport/sharding/journal.ts';
import type { ChannelDialler } from '../../transport/mesh/channel.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import type { Sockets } from '../api/http/channel.ts';
import { AuditTrail } from '../api/identity/audit-trail.ts';
import type { ApiServices, Consoles, Monitoring } from '../api/services.ts';
import type { Hub } from '../api/stream/hub.ts';
import type { TicketBooth } from '../api/stream/tickets.ts';
import type { Config } from '../config.ts';
import type { ReadModel } from '../read/read-model.ts';
import type { Cluster } from './cluster.ts';
import type { NodeHistory } from './archive.ts';
import { NodeRemoval } from './node-removal.ts';
import { consoles, machineBytes, machines, operations, tickets, usageOf } from './cluster-wide.ts';
import { objectEvents } from './object-events.ts';

export interface ApiParts {
  readonly config: Config;
  readonly read: ReadModel;
  readonly router: Router;
  readonly cluster: Pick<Cluster, 'members' | 'nodeOf' | 'shardOwners'>;
  readonly journal: StoreJournal;
  readonly hub: Hub;
  readonly sockets: Sockets;
  /** This node's tickets. */
  readonly booth: TicketBooth;
  /** This machine's consoles. */
  readonly here: Pick<Consoles, 'openConsole'>;
  readonly channels: ChannelDialler;
  readonly past: Pick<NodeHistory, 'reader' | 'history'>;
  readonly random: Random;
  readonly log: Log;
  readonly tokenSecrets: ApiServices['tokenSecrets'];
  readonly consoleAuthority: string;
  readonly monitoring: Monitoring;
  readonly store: Store;
  readonly keys: Keys;
}

export function apiServices(parts: ApiParts): ApiServices {
  const { config, read, router, cluster, journal, past, random, log, tokenSecrets } = parts;
  const { reader: archive } = past;
  const { hub, sockets, booth, here, channels } = parts;
  const members = () => cluster.members ?? [];
  const nodeOf = (address: Address) => cluster.nodeOf(address);
  const wide = { node: config.node, read, router, log, nodeOf, members };
  const removal = new NodeRemoval({ ...parts, node: config.node, clock: systemClock });
  return {
    node: config.node,
    members,
    zone: config.zone,
    imageShortcuts: config.image.shortcuts,
    snapshots: config.image.snapshots,
    uploadIdleMs: config.image.uploadIdleMs,
    read,
    router,
    clock: systemClock,
    random,
    log,
    tokenSecrets,
    consoleAuthority: parts.consoleAuthority,
    audit: new AuditTrail(router, systemClock),
    monitoring: parts.monitoring,
    operations: {
      ...operations(wide),
      cancelMessage: (address) => Promise.resolve(cancelMessage(read, address)),
    },
    consoles: consoles(wide, { here, channels }),
    tickets: tickets(wide, booth),
    hub,
    sockets,
    past,
    usageOf: usageOf(wide),
    nodes: {
      ...machines(wide),
      shardOwners: () => cluster.shardOwners,
      remove: (node, trace) => removal.remove(node, trace),
    },
    bytes: machineBytes(wide),
    events: (address, limit, type) =>
      objectEvents({ archive, outbox: journal }, address, { limit, type }),
  };
}

/** What calls off the object's passing state; every kind says it of itself. */
function cancelMessage(read: ReadModel, { kind, id }: Address): Message | undefined {
  const states = {
    agentoperation: () => passingOf(agentOperation, read.agentOperations.get(id)?.state),
    artifact: () => passingOf(artifact, read.artifacts.get(id)?.state),
    blob: () => passingOf(blob, read.blobs.get(id)?.state),
    disksnapshot: () => passingOf(diskSnapshot, read.diskSnapshots.get(id)?.state),
    instance: () => passingOf(instance, read.instances.get(id)?.state),
    interface: () => passingOf(interfaceKind, read.interfaces.get(id)?.state),
    network: () => passingOf(network, read.networks.get(id)?.state),
  };
  return Object.hasOwn(states, kind) ? states[kind as keyof typeof states]() : undefined;
}

function passingOf<S>(
  kind: { passing(state: S): { readonly cancel: Message | null } | null },
  state: S | undefined,
): Message | undefined {
  return state === undefined ? undefined : (kind.passing(state)?.cancel ?? undefined);
}

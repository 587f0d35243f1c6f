// Joins the API with the daemon's parts.
import { systemClock } from '../../actors/kernel/clock.ts';
import type { Address, Message } from '../../actors/kernel/kind.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import { instance } from '../../actors/instance/instance.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import { network } from '../../actors/network/network.ts';
import { artifact } from '../../actors/artifact/artifact.ts';
import { blob } from '../../actors/blob/blob.ts';
import type { StoreJournal } from '../../transport/sharding/journal.ts';
import type { ChannelDialler } from '../../transport/mesh/channel.ts';
import type { Sockets } from '../api/http/channel.ts';
import type { ApiServices, Consoles } from '../api/services.ts';
import type { Hub } from '../api/stream/hub.ts';
import type { TicketBooth } from '../api/stream/tickets.ts';
import type { Config } from '../config.ts';
import type { ReadModel } from '../read/read-model.ts';
import type { Cluster } from './cluster.ts';
import { consoles, operations, tickets } from './cluster-wide.ts';

export interface ApiParts {
  readonly config: Config;
  readonly read: ReadModel;
  readonly router: Router;
  readonly cluster: Pick<Cluster, 'members' | 'nodeOf'>;
  readonly journal: StoreJournal;
  readonly hub: Hub;
  readonly sockets: Sockets;
  /** This node's tickets. */
  readonly booth: TicketBooth;
  /** This machine's consoles. */
  readonly here: Pick<Consoles, 'openConsole'>;
  readonly channels: ChannelDialler;
  readonly random: Random;
  readonly log: Log;
  readonly tokenSecret: Uint8Array;
}

export function apiServices(parts: ApiParts): ApiServices {
  const { config, read, router, cluster, journal, random, log, tokenSecret: secret } = parts;
  const { hub, sockets, booth, here, channels } = parts;
  const members = () => cluster.members ?? [];
  const nodeOf = (address: Address) => cluster.nodeOf(address);
  const wide = { node: config.node, read, router, log, nodeOf, members };
  return {
    node: config.node,
    members,
    zone: config.zone,
    read,
    router,
    clock: systemClock,
    random,
    log,
    tokenSecret: secret,
    operations: {
      ...operations(wide),
      cancelMessage: (address) => Promise.resolve(cancelMessage(read, address)),
    },
    consoles: consoles(wide, { here, channels }),
    tickets: tickets(wide, booth),
    hub,
    sockets,
    events: (address, limit, type) => journal.events(address, { limit, type }),
  };
}

/** What calls off the object's passing state; every kind says it of itself. */
function cancelMessage(read: ReadModel, { kind, id }: Address): Message | undefined {
  const states = {
    artifact: () => passingOf(artifact, read.artifacts.get(id)?.state),
    blob: () => passingOf(blob, read.blobs.get(id)?.state),
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

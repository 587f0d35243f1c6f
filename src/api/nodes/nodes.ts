// Node routes (contract: nodes 1), and draining, which is ours.
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import { TroupeError, unlessGone } from '../../../actors/kernel/errors.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { bootstrapKey, namespaceRef, SYSTEM } from '../../../actors/namespace/state.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import { Metadata } from '../objects/metadata.ts';
import { hasRole } from '../../../actors/node/capacity.ts';
import { nodeRef, type NodeState } from '../../../actors/node/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { eventList, eventsBody, EventView } from '../objects/events.ts';
import {
  json,
  route,
  type Answer,
  type ObjectRequest,
  type Route,
  finding,
  type Finder,
} from '../http/route.ts';
import { change, notFound, type ApiServices } from '../services.ts';

export const NodeView = closed({
  uuid: Type.String(),
  name: Type.String(),
  /** `created`, `missing` (no member), `error`, `deleted`. */
  state: Type.String(),
  metadata: Metadata,
  version: Type.Integer(),
  ip: Type.String(),
  /** Seconds since the epoch. */
  lastseen: Type.Number(),
  release: nullable(Type.String()),
  is_etcd_master: Type.Boolean(),
  is_hypervisor: Type.Boolean(),
  is_network_node: Type.Boolean(),
  is_eventlog_node: Type.Boolean(),
  is_cluster_maintainer: Type.Boolean(),
  is_draining: Type.Boolean(),
  roles: Type.Array(Type.String()),
  /** What it fails together with; null: it names nothing. */
  failure_domain: nullable(Type.String()),
  instances: Type.Integer(),
});

/** By its exact name. Error: 404. */
export function findNode({ read }: ApiServices): Finder<ReadObject<NodeState>> {
  return finding('node', 'system', ({ params }) => {
    const found = read.nodes.get(params['node'] ?? '');
    if (found === undefined) throw notFound('node');
    return found;
  });
}

export function nodeRoutes(services: ApiServices): Route[] {
  const { read } = services;
  const object = findNode(services);
  return [
    route('GET /nodes', {
      summary: 'The machines of the cluster',
      answer: { json: Type.Array(NodeView) },
      access: 'system',
      handle: () =>
        json([...read.nodes.all()].toSorted(byName).map((one) => nodeView(services, one))),
    }),
    route('GET /nodes/:node', {
      summary: 'One machine',
      answer: { json: NodeView },
      access: 'system',
      object,
      handle: ({ object: found }) => json(nodeView(services, found)),
    }),
    removeRoute(services),
    route('GET /nodes/:node/events', {
      summary: 'Events of a machine, newest first',
      answer: { json: Type.Array(EventView) },
      access: 'system',
      body: eventsBody,
      handle: async ({ params, body }) =>
        json(await eventList(services, [nodeRef(params['node'] ?? '')], body)),
    }),
    route('GET /nodes/:node/processmetrics', {
      access: 'system',
      summary: 'Show the processor time of the processes of the service on a machine',
      answer: { json: Type.Record(Type.String(), Type.Number()) },
      object,
      handle: async ({ object: { id, state } }) => {
        const isThere = stateOf(state, isMember(services, id)) === 'created';
        return json(isThere ? await services.nodes.processes(id) : {});
      },
    }),
    route('POST /nodes/:node/drain', {
      summary: 'Give a machine nothing new',
      answer: { json: NodeView },
      access: 'system',
      object,
      handle: (request) => setDraining(services, request, true),
    }),
    route('POST /nodes/:node/undrain', {
      summary: 'Give a machine work again',
      answer: { json: NodeView },
      access: 'system',
      object,
      handle: (request) => setDraining(services, request, false),
    }),
  ];
}

/** Repeating it is harmless (contract: nodes 1.4). */
function removeRoute(services: ApiServices): Route {
  return route('DELETE /nodes/:node', {
    access: 'system',
    summary: 'Take a machine that will not return out of the cluster, with all that was on it',
    answer: { json: NodeView },
    object: findNode(services),
    handle: async ({ object: { id }, trace }) => {
      await services.read.reached(await services.nodes.remove(id, trace));
      await forgetLogin(services, id, trace);
      return json(nodeView(services, services.read.nodes.get(id) ?? gone(id)));
    },
  });
}

/** The key that the machine's own administrator logs in with (src/daemon/bootstrap.ts). */
async function forgetLogin(services: ApiServices, node: string, trace: string): Promise<void> {
  const name = bootstrapKey(node);
  if (!Object.hasOwn(services.read.namespaces.get(SYSTEM)?.state.keys ?? {}, name)) return;
  const message = { kind: 'remove-key', name } as const;
  await unlessGone(change(services, namespaceRef(SYSTEM), message, trace));
}

function gone(node: string): never {
  throw new TroupeError('api/not-found', `node not found: ${node} was forgotten at once`);
}

async function setDraining(
  services: ApiServices,
  { object: before, trace }: ObjectRequest<unknown, ReadObject<NodeState>>,
  isDraining: boolean,
): Promise<Answer> {
  const { id } = before;
  await change(services, nodeRef(id), { kind: 'set-draining', isDraining }, trace);
  return json(nodeView(services, services.read.nodes.get(id) ?? before));
}

const byName = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);

function nodeView(
  { members, clock }: ApiServices,
  { id, state }: ReadObject<NodeState>,
): JsonObject {
  const all = members();
  const member = all.find(({ node }) => node === id);
  const maintainer = maintainerOf(all);
  return {
    uuid: id,
    name: id,
    state: stateOf(state, member !== undefined),
    metadata: state.metadata as JsonObject,
    version: OBJECT_VERSIONS.node,
    ip: state.machine?.vtep ?? '',
    lastseen: (member === undefined ? state.sinceMs : clock.nowMs()) / 1000,
    release: member?.version ?? null,
    is_etcd_master: state.machine?.versions['etcd'] !== undefined,
    is_hypervisor: hasRole(state, 'hypervisor'),
    // Every hypervisor routes for its own guests: no node does it for all.
    is_network_node: false,
    is_eventlog_node: state.machine?.roles.some((role: string) => role === 'events') === true,
    is_cluster_maintainer: id === maintainer,
    is_draining: state.isDraining,
    roles: [...(state.machine?.roles ?? [])],
    failure_domain: state.machine?.failureDomain ?? null,
    instances: Object.keys(state.reservations).length,
  };
}

function isMember({ members }: ApiServices, node: string): boolean {
  return members().some((one) => one.node === node);
}

/** Nobody is elected here: what has to be done once is done by whoever owns it. The least name stands for all. */
export function maintainerOf(members: readonly { readonly node: string }[]): string | undefined {
  return members.map(({ node }) => node).toSorted()[0];
}

function stateOf({ phase }: NodeState, isMember: boolean): string {
  return phase === 'created' && !isMember ? 'missing' : phase;
}

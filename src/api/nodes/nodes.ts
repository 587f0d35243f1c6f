// Node routes (contract: nodes 1), and draining, which is ours.
import type { JsonObject } from '../../../actors/kernel/json.ts';
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

/** Schema version that existing clients expect. */
const VERSION = 7;

export const NodeView = closed({
  uuid: Type.String(),
  name: Type.String(),
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
    route('GET /nodes/:node/events', {
      summary: 'Events of a machine, newest first',
      answer: { json: Type.Array(EventView) },
      access: 'system',
      body: eventsBody,
      handle: async ({ params, body }) =>
        json(await eventList(services, [nodeRef(params['node'] ?? '')], body)),
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
  const maintainer = all.map(({ node }) => node).toSorted()[0];
  return {
    uuid: id,
    name: id,
    state: stateOf(state, member !== undefined),
    metadata: state.metadata as JsonObject,
    version: VERSION,
    ip: state.machine?.vtep ?? '',
    lastseen: (member === undefined ? state.sinceMs : clock.nowMs()) / 1000,
    release: member?.version ?? null,
    is_etcd_master: false,
    is_hypervisor: hasRole(state, 'hypervisor'),
    // Every hypervisor routes for its own guests: no node does it for all.
    is_network_node: false,
    is_eventlog_node: false,
    is_cluster_maintainer: id === maintainer,
    is_draining: state.isDraining,
    roles: [...(state.machine?.roles ?? [])],
    instances: Object.keys(state.reservations).length,
  };
}

function stateOf({ phase }: NodeState, isMember: boolean): string {
  return phase === 'created' && !isMember ? 'missing' : phase;
}

// Instance routes (contract: instances 4, 7, 8.1, 10).
import { instanceRef, type InstanceState } from '../../../actors/instance/state.ts';
import { TroupeError, isErrorCode, unlessGone } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import { agentRoutes } from './agent-operations.ts';
import { checkNamespace } from '../identity/access.ts';
import { consoleRoutes } from './consoles.ts';
import { deleteAllBody, namespaceToEmpty } from '../objects/delete-all.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import { plugRoute } from './plug.ts';
import { eventList, eventsBody, EventView } from '../objects/events.ts';
import type { ImageCache } from '../artifacts/image-cache.ts';
import { instanceBody, instanceSpec, withArtifacts } from './instance-spec.ts';
import { InstanceView, instanceView, interfacesOf } from './instance-view.ts';
import { findInterface } from './interfaces.ts';
import { InterfaceView, interfaceView } from './interface-view.ts';
import { Rendered } from '../http/rendered.ts';
import { powerRoutes } from './power.ts';
import { screenshotRoute } from './screenshot.ts';
import { snapshotRoutes } from './snapshots.ts';
import { finder, listed } from '../objects/reference.ts';
import { instances } from '../objects/resources.ts';
import { json, optional, route, type Route, type Finder } from '../http/route.ts';
import { change, notFound, type ApiServices } from '../services.ts';

/** How long create waits for addresses and a node before it answers with what there is. */
const PLACEMENT_MS = 20_000;

export type FindInstance = Finder<ReadObject<InstanceState>>;

export function instanceRoutes(services: ApiServices, images: ImageCache): Route[] {
  const { read } = services;
  const resource = instances(read);
  const object = finder(resource, 'instance_ref');
  const rendered = new Rendered<ReadObject<InstanceState>>(
    (one) => instanceView(read, one),
    ({ state }) => interfacesOf(read, state),
  );
  return [
    route('GET /instances', {
      summary: "The caller's instances; system sees everybody's",
      answer: { json: Type.Array(InstanceView) },
      rule: 'own',
      body: { all: optional(Type.Boolean()) },
      handle: ({ body, caller }) => {
        const shown = listed(resource, caller, body.all === true);
        return rendered.list(shown);
      },
    }),
    createRoute(services, images),
    deleteAllRoute(services),
    route('GET /instances/:instance_ref', {
      summary: 'One instance',
      answer: { json: InstanceView },
      object,
      body: { namespace: optional(Type.String()) },
      handle: (request) => rendered.one(request.object),
    }),
    deleteRoute(services, object),
    ...memberRoutes(services, object),
    plugRoute(services, object),
    ...consoleRoutes(services, object),
    ...powerRoutes(services, object),
    ...agentRoutes(services, object),
    screenshotRoute(services, object),
    ...snapshotRoutes(services, object),
  ];
}

function createRoute(services: ApiServices, images: ImageCache): Route {
  const { read, router } = services;
  return route('POST /instances', {
    summary: 'Make an instance; answers once its addresses and its node are decided',
    answer: { json: InstanceView },
    errors: [504, 507],
    rule: 'trusted',
    body: instanceBody,
    handle: async ({ body, caller, newId, trace, dialect = '0.8' }) => {
      const context = { services, images, caller, dialect };
      const spec = instanceSpec(context, body);
      const message = { ...spec.create, disks: await withArtifacts(context, spec, trace) };
      const id = newId();
      await router.ask(instanceRef(id), message, { trace });
      return json(instanceView(read, await placed(services, id)));
    },
  });
}

/** `system` means everybody's (contract: instances 7.4). */
function deleteAllRoute(services: ApiServices): Route {
  const { read, router } = services;
  return route('DELETE /instances', {
    summary: 'Delete all instances of a namespace; of `system`: all there are',
    answer: { json: Type.Array(Type.String()) },
    rule: 'own',
    body: deleteAllBody,
    handle: async ({ body, caller, trace }) => {
      const namespace = namespaceToEmpty(services, caller, body);
      const meant =
        namespace === SYSTEM ? read.instances.all() : read.instances.inNamespace(namespace);
      const ids = [...meant].filter(({ state }) => state.phase !== 'deleted').map(({ id }) => id);
      const replies = await Promise.all(
        ids.map((id) => unlessGone(router.ask(instanceRef(id), { kind: 'delete' }, { trace }))),
      );
      await read.reached(Math.max(0, ...replies.map((reply) => reply?.revision ?? 0)));
      return json(ids);
    },
  });
}

/** 200 with the view as it is now: the client polls by UUID until `deleted`. */
function deleteRoute(services: ApiServices, object: FindInstance): Route {
  const { read } = services;
  return route('DELETE /instances/:instance_ref', {
    summary: 'Delete an instance; poll it until `deleted`',
    answer: { json: InstanceView },
    object,
    body: { namespace: optional(Type.String()) },
    handle: async ({ object: before, body, trace }) => {
      checkNamespace(services, 'instance', before.state, body.namespace);
      if (before.state.phase === 'deleted') throw notFound('instance');
      await change(services, instanceRef(before.id), { kind: 'delete' }, trace);
      return json(instanceView(read, read.instances.get(before.id) ?? before));
    },
  });
}

function memberRoutes(services: ApiServices, object: FindInstance): Route[] {
  return [
    route('GET /instances/:instance_ref/interfaces', {
      summary: 'Interfaces of an instance, in order of attachment',
      answer: { json: Type.Array(InterfaceView) },
      object,
      handle: ({ object: { state }, caller }) => {
        // An interface that has not been made yet has nothing to show.
        const made = state.nics.filter((nic) => nic.phase !== 'none');
        return json(
          made.map((nic) => interfaceView(findInterface(services, nic.interfaceId, caller))),
        );
      },
    }),
    route('GET /instances/:instance_ref/events', {
      summary: 'Events of an instance, newest first',
      answer: { json: Type.Array(EventView) },
      object,
      body: eventsBody,
      handle: async ({ object: { id }, body }) =>
        json(
          await eventList(services, [instanceRef(id)], body, { usage: () => services.usageOf(id) }),
        ),
    }),
  ];
}

/** The instance once its addresses are reserved and a node is chosen. Errors: what made that fail. */
async function placed(services: ApiServices, id: string): Promise<ReadObject<InstanceState>> {
  const { read } = services;
  try {
    return placedOrThrow(await read.when(read.instances, id, isPlaced, PLACEMENT_MS));
  } catch (error) {
    const waiting = read.instances.get(id);
    const isLate = error instanceof TroupeError && error.code === 'actor/timeout';
    // Accepted and on its way: the client polls it like any other.
    if (isLate && waiting !== undefined) return waiting;
    throw error;
  }
}

function isPlaced(state: InstanceState): boolean {
  return state.node !== null || state.failure !== null || state.phase !== 'initial';
}

/** A failed create answers with the error; the instance stays, in `error`, until it is deleted (contract: instances 4). */
function placedOrThrow(object: ReadObject<InstanceState>): ReadObject<InstanceState> {
  const { failure } = object.state;
  if (failure === null) return object;
  const code = isErrorCode(failure.code) ? failure.code : 'api/conflict';
  throw new TroupeError(code, failure.reason, { instance: object.id });
}

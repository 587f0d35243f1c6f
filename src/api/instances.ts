// Instance routes (contract: instances 4, 7, 10, 11).
import { instanceRef, type InstanceState } from '../../actors/instance/state.ts';
import { TroupeError, isErrorCode } from '../../actors/kernel/errors.ts';
import { Type } from '../../actors/kernel/schema.ts';
import { SYSTEM } from '../../actors/namespace/state.ts';
import type { ReadObject } from '../read/collection.ts';
import { cacheImage } from './artifacts.ts';
import { eventList, eventsBody } from './events.ts';
import { instanceBody, instanceSpec } from './instance-spec.ts';
import { instanceView, interfacesOf } from './instance-view.ts';
import { inNamespace, resolve } from './reference.ts';
import { json, optional, route, type Caller, type Route } from './route.ts';
import { badRequest, change, notFound, type ApiServices } from './services.ts';

/** How long create waits for addresses and a node before it answers. */
const PLACEMENT_MS = 20_000;
const CONSOLE_BYTES = 10_240;
const INACTIVE: readonly InstanceState['phase'][] = ['deleted', 'delete-wait-error', 'none'];

export function instanceRoutes(services: ApiServices): Route[] {
  const { read } = services;
  const find = (ref: string | undefined, caller: Caller) =>
    resolve(read.instances, 'instance', ref ?? '', caller);
  return [
    route('GET /instances', {
      body: { all: optional(Type.Boolean()) },
      handle: ({ body, caller }) => {
        const isShown = ({ state }: ReadObject<InstanceState>) =>
          (caller.namespace === SYSTEM || caller.namespace === state.namespace) &&
          (body.all === true || !INACTIVE.includes(state.phase));
        const shown = [...read.instances.all()].filter(isShown);
        return Promise.resolve(json(shown.map((one) => instanceView(read, one))));
      },
    }),
    route('POST /instances', {
      body: instanceBody,
      handle: async ({ body, caller, trace }) => {
        const makeArtifact = (url: string, namespace: string) =>
          cacheImage(services, { caller, url, namespace, isShared: false, trace });
        const message = await instanceSpec(services, caller, body, makeArtifact);
        const id = services.random.uuid();
        const placed = read.when(read.instances, id, isPlaced, PLACEMENT_MS);
        await Promise.all([services.router.ask(instanceRef(id), message, { trace }), placed]);
        return json(instanceView(read, placedOrThrow(await placed)));
      },
    }),
    route('GET /instances/:ref', {
      body: { namespace: optional(Type.String()) },
      handle: ({ params, caller }) =>
        Promise.resolve(json(instanceView(read, find(params['ref'], caller)))),
    }),
    route('DELETE /instances/:ref', {
      body: { namespace: optional(Type.String()) },
      handle: async ({ params, caller, body, trace }) => {
        const { id, state } = find(params['ref'], caller);
        if (body.namespace) inNamespace(services, 'instance', state, body.namespace);
        if (state.phase === 'deleted') throw notFound('instance');
        await change(services, instanceRef(id), { kind: 'delete' }, trace);
        return json(instanceView(read, read.instances.get(id) ?? { id, state, revision: 0 }));
      },
    }),
    route('GET /instances/:ref/interfaces', {
      handle: ({ params, caller }) =>
        Promise.resolve(json(interfacesOf(read, find(params['ref'], caller).state))),
    }),
    route('GET /instances/:ref/events', {
      body: eventsBody,
      handle: async ({ params, caller, body }) => {
        const { id } = find(params['ref'], caller);
        return json(await eventList(services, instanceRef(id), body));
      },
    }),
    route('GET /instances/:ref/metadata', {
      handle: ({ params, caller }) =>
        Promise.resolve(json(instanceView(read, find(params['ref'], caller))['metadata'] ?? {})),
    }),
    ...consoleRoutes(services, find),
  ];
}

function consoleRoutes(
  services: ApiServices,
  find: (ref: string | undefined, caller: Caller) => ReadObject<InstanceState>,
): Route[] {
  return [
    route('GET /instances/:ref/consoledata', {
      body: { length: optional(Type.Union([Type.Integer(), Type.String()])) },
      handle: async ({ params, caller, body }) => {
        const { id } = find(params['ref'], caller);
        const length = Number(body.length ?? CONSOLE_BYTES);
        if (!Number.isInteger(length)) throw badRequest('length is not an integer');
        const bytes = await services.consoles.readConsole(
          id,
          length === 0 ? CONSOLE_BYTES : length,
        );
        return { kind: 'bytes', contentType: 'application/octet-stream', bytes };
      },
    }),
    route('DELETE /instances/:ref/consoledata', {
      handle: async ({ params, caller }) => {
        await services.consoles.clearConsole(find(params['ref'], caller).id);
        return json(null);
      },
    }),
  ];
}

/** Addresses are reserved and a node is chosen, or it has failed. */
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

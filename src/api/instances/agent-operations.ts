// Agent operations (contract: instances 12, nodes-admin-events 3): what is asked of the agent in a guest, and what came of it.
import {
  AgentCommand,
  agentOperationRef,
  AgentResult,
  type AgentOperationState,
} from '../../../actors/agent-operation/state.ts';
import { isAgentReady } from '../../../actors/instance/operations.ts';
import type { InstanceState } from '../../../actors/instance/state.ts';
import { isErrorCode, TroupeError } from '../../../actors/kernel/errors.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import {
  finding,
  json,
  optional,
  route,
  type Answer,
  type ApiRequest,
  type Route,
} from '../http/route.ts';
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import { owns } from '../identity/access.ts';
import { badRequest, change, notFound, type ApiServices } from '../services.ts';
import { fileMode } from './file-mode.ts';
import type { FindInstance } from './instances.ts';

/** How long the answer waits for the place in the instance's queue. */
const ENLISTED_MS = 20_000;
const MAX_COMMAND_LINE = 128 * 1024;
const MAX_PATH = 4_096;

const WAITING: readonly AgentOperationState['phase'][] = ['initial', 'preflight', 'queued'];

export const AgentOperationView = closed({
  uuid: Type.String(),
  state: Type.String(),
  metadata: Type.Record(Type.String(), Type.Unknown()),
  version: Type.Integer(),
  namespace: Type.String(),
  instance_uuid: Type.String(),
  commands: Type.Array(AgentCommand),
  /** By the command's number. */
  results: Type.Record(Type.String(), AgentResult),
});

type Found = ReadObject<AgentOperationState>;

export function agentOperationView({ id, state }: Found): JsonObject {
  return {
    uuid: id,
    state: state.phase,
    metadata: {},
    version: OBJECT_VERSIONS.agentoperation,
    namespace: state.namespace,
    instance_uuid: state.instanceId,
    commands: state.commands.map((command) => ({ ...command })),
    results: resultsOf(state),
  };
}

/** One that ended before its last command has the reason as the answer to the next one. */
function resultsOf({ phase, failure, results, commands }: AgentOperationState): JsonObject {
  const answered = results as JsonObject;
  const next = Object.keys(results).length;
  const isShown = Object.values(results).some(({ message }) => message === failure?.reason);
  if (phase !== 'error' || failure === null || isShown || next >= commands.length) return answered;
  return { ...answered, [next]: { result: false, message: failure.reason } };
}

/** Those below an instance. */
export function agentRoutes(services: ApiServices, object: FindInstance): Route[] {
  return [
    route('POST /instances/:instance_ref/agent/execute', {
      summary: "Run a line of the guest's shell through the agent in it",
      answer: { json: AgentOperationView },
      object,
      body: { command_line: Type.String({ maxLength: MAX_COMMAND_LINE }) },
      handle: ({ object: instance, body, ...request }) => {
        const commandline = withoutNul('command_line', body.command_line);
        const command = { command: 'execute', commandline, 'block-for-result': true } as const;
        return operate(services, instance, [command], request);
      },
    }),
    route('POST /instances/:instance_ref/agent/get', {
      summary: 'Fetch a file from the guest; it becomes a blob',
      answer: { json: AgentOperationView },
      object,
      body: { path: Type.String({ maxLength: MAX_PATH }) },
      handle: ({ object: instance, body, ...request }) => {
        const path = withoutNul('path', body.path);
        return operate(services, instance, [{ command: 'get-file', path }], request);
      },
    }),
    putRoute(services, object),
    listRoute(services, object),
  ];
}

function putRoute(services: ApiServices, object: FindInstance): Route {
  return route('POST /instances/:instance_ref/agent/put', {
    summary: 'Put a blob into the guest as a file',
    answer: { json: AgentOperationView },
    object,
    body: {
      blob_uuid: Type.String(),
      path: Type.String({ maxLength: MAX_PATH }),
      mode: Type.Union([Type.Integer(), Type.String()]),
    },
    handle: ({ object: instance, body, ...request }) => {
      requireReady(instance);
      const { blob_uuid: blobId } = body;
      const path = withoutNul('path', body.path);
      const mode = fileMode(body.mode);
      const blob = services.read.blobs.get(blobId)?.state;
      if (blob === undefined || blob.phase === 'deleted') throw notFound('blob');
      const commands = [
        { command: 'put-blob', blob_uuid: blobId, path },
        { command: 'chmod', path, mode },
      ] as const;
      return operate(services, instance, [...commands], request);
    },
  });
}

/** In the order in which they were asked for. */
function listRoute({ read }: ApiServices, object: FindInstance): Route {
  return route('GET /instances/:instance_ref/agentoperations', {
    summary: 'Agent operations of an instance that have not begun; all of them with `all`',
    answer: { json: Type.Array(AgentOperationView) },
    object,
    body: { all: optional(Type.Boolean()) },
    handle: ({ object: { id, state }, body }) => {
      const order = new Map(state.operations.map((one, index) => [one.id, index]));
      const placeOf = (one: Found) => order.get(one.id) ?? -1;
      const shown = read.agentOperations
        .by('instance', id)
        .filter((one) => body.all === true || WAITING.includes(one.state.phase))
        .toSorted((a, b) => placeOf(a) - placeOf(b) || a.state.sinceMs - b.state.sinceMs);
      return json(shown.map(agentOperationView));
    },
  });
}

/** Those of one operation. */
export function agentOperationRoutes(services: ApiServices): Route[] {
  const { read } = services;
  const object = finding<Found>('agent operation', 'own', ({ params, caller }) => {
    const found = read.agentOperations.get(params['operation_uuid'] ?? '');
    if (found === undefined || !owns(caller, found.state)) throw notFound('agent operation');
    return found;
  });
  return [
    route('GET /agentoperations/:operation_uuid', {
      summary: 'One agent operation, with what the guest has answered',
      answer: { json: AgentOperationView },
      object,
      handle: ({ object: operation }) => json(agentOperationView(operation)),
    }),
    route('DELETE /agentoperations/:operation_uuid', {
      summary: 'Call an agent operation off, or forget it and its results',
      answer: { json: AgentOperationView },
      object,
      handle: async ({ object: before, trace }) => {
        await change(services, agentOperationRef(before.id), { kind: 'delete' }, trace);
        return json(agentOperationView(read.agentOperations.get(before.id) ?? before));
      },
    }),
  ];
}

/** Answers once it has its place in the queue. Errors: what the instance refuses it with. */
async function operate(
  services: ApiServices,
  instance: ReadObject<InstanceState>,
  commands: AgentCommand[],
  { trace, newId }: Pick<ApiRequest<unknown>, 'trace' | 'newId'>,
): Promise<Answer> {
  requireReady(instance);
  const { read, router } = services;
  const id = newId();
  const { namespace } = instance.state;
  const message = { kind: 'create', namespace, instanceId: instance.id, commands } as const;
  const { revision } = await router.ask(agentOperationRef(id), message, { trace });
  await read.reached(revision);
  const isTaken = ({ phase }: AgentOperationState) => phase !== 'initial';
  const { agentOperations } = read;
  const operation = await read
    .when(agentOperations, id, isTaken, ENLISTED_MS)
    .catch((error: unknown) => agentOperations.get(id) ?? Promise.reject(error));
  const { phase, failure } = operation.state;
  if (phase !== 'deleted' || failure === null) return json(agentOperationView(operation));
  throw new TroupeError(isErrorCode(failure.code) ? failure.code : 'api/conflict', failure.reason);
}

function requireReady({ id, state }: ReadObject<InstanceState>): void {
  if (state.phase !== 'created') {
    throw new TroupeError('object/not-ready', `instance ${id} is not ready (${state.phase})`);
  }
  if (!isAgentReady(state)) throw badRequest('instance agent not ready');
}

/** What ends every text in a guest would cut this one short. */
function withoutNul(name: string, text: string): string {
  if (!text.includes('\0')) return text;
  throw badRequest(`${name} should have no character of code 0`);
}

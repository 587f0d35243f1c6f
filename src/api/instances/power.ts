// Power operations (contract: instances 9): carried out by the instance's node; answered once it has said so.
import { instanceRef, type InstanceState } from '../../../actors/instance/state.ts';
import { isErrorCode, TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import {
  json,
  NOTHING,
  route,
  type Answer,
  type ObjectRequest,
  type Route,
  optional,
} from '../http/route.ts';
import type { FindInstance } from './instances.ts';
import { change, type ApiServices } from '../services.ts';

/** How long a client waits for the node; the wish stands, and is tried on afterwards. */
const DONE_MS = 60_000;

type Action = 'poweron' | 'poweroff' | 'pause' | 'unpause' | 'reboothard' | 'rebootsoft';
type Request = ObjectRequest<unknown, ReadObject<InstanceState>>;

export function powerRoutes(services: ApiServices, object: FindInstance): Route[] {
  const handle = (action: Action) => (request: Request) => carryOut(services, request, action);
  return [
    route('POST /instances/:instance_ref/rebootsoft', {
      summary: 'Ask the guest to reboot',
      answer: NOTHING,
      errors: [504],
      object,
      handle: handle('rebootsoft'),
    }),
    route('POST /instances/:instance_ref/reboothard', {
      summary: 'Reset the instance',
      answer: NOTHING,
      errors: [504],
      object,
      handle: handle('reboothard'),
    }),
    // As the Go client sends it.
    route('POST /instances/:instance_ref/reboot', {
      summary: 'Ask the guest to reboot, or reset it with `hard`',
      answer: NOTHING,
      errors: [504],
      object,
      body: { hard: optional(Type.Boolean()) },
      handle: (request) =>
        carryOut(services, request, request.body.hard === true ? 'reboothard' : 'rebootsoft'),
    }),
    route('POST /instances/:instance_ref/poweroff', {
      summary: "Cut the instance's power",
      answer: NOTHING,
      errors: [504],
      object,
      handle: handle('poweroff'),
    }),
    route('POST /instances/:instance_ref/poweron', {
      summary: 'Start an instance that is off',
      answer: NOTHING,
      errors: [504],
      object,
      handle: handle('poweron'),
    }),
    route('POST /instances/:instance_ref/pause', {
      summary: 'Stand the instance still; its memory stays',
      answer: NOTHING,
      errors: [504],
      object,
      handle: handle('pause'),
    }),
    route('POST /instances/:instance_ref/unpause', {
      summary: 'Let a paused instance go on',
      answer: NOTHING,
      errors: [504],
      object,
      handle: handle('unpause'),
    }),
  ];
}

async function carryOut(
  services: ApiServices,
  { object: { id, state }, trace }: Request,
  action: Action,
): Promise<Answer> {
  const { read } = services;
  if (state.phase !== 'created') {
    throw new TroupeError('object/not-ready', `instance ${id} is not ready (${state.phase})`);
  }
  if (isFutile(state, action)) {
    const reason = `Invalid lifecycle state: ${action} failed after 3 attempts`;
    throw new TroupeError('object/wrong-phase', reason);
  }
  await change(services, instanceRef(id), { kind: 'set-power', action }, trace);
  const isDone = (now: InstanceState) =>
    now.observedGeneration >= now.generation || now.setback !== null || now.phase !== 'created';
  const { state: after } = await read.when(read.instances, id, isDone, DONE_MS);
  const refusal = after.setback ?? (after.phase === 'created' ? null : after.failure);
  if (refusal === null) return json(null);
  const code = isErrorCode(refusal.code) ? refusal.code : 'hypervisor/refused';
  throw new TroupeError(code, refusal.reason);
}

/** The reference tries these three times, in vain. */
function isFutile({ power }: InstanceState, action: Action): boolean {
  return (action === 'pause' && power === 'paused') || (action === 'unpause' && power === 'on');
}

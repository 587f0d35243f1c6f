// A picture of an instance's screen (contract: instances 11.5): a new blob, which the instance refers to.
import { blobRef } from '../../../actors/blob/state.ts';
import { instanceRef, type InstanceState } from '../../../actors/instance/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { received, Type } from '../../../actors/kernel/schema.ts';
import { machineRef } from '../../../actors/node/machine-message.ts';
import { json, route, type Route } from '../http/route.ts';
import type { ApiServices } from '../services.ts';
import type { FindInstance } from './instances.ts';

const TAKEN_MS = 20_000;
/** How long the answer waits until the picture can be fetched. */
const KEPT_MS = 20_000;

const decodeId = received('id of a screenshot', Type.String());

export function screenshotRoute(services: ApiServices, object: FindInstance): Route {
  const { read, router } = services;
  return route('GET /instances/:instance_ref/screenshot', {
    summary: "Take a picture of the guest's screen; answers the UUID of a new blob",
    answer: { json: Type.String() },
    errors: [409, 507],
    object,
    handle: async ({ object: { id, state }, trace }) => {
      const node = nodeOfRunning(id, state);
      const message = { kind: 'take-screenshot', instanceId: id } as const;
      const options = { trace, timeoutMs: TAKEN_MS };
      const blobId = decodeId((await router.ask(machineRef(node), message, options)).value);
      // Nothing is made of what the instance does not take: it goes from the spool by itself.
      const keep = { kind: 'keep-screenshot', blobId } as const;
      const { value: isKept } = await router.ask(instanceRef(id), keep, { trace });
      if (isKept !== true) throw new TroupeError('object/not-ready', `instance ${id} is not ready`);
      const source = { kind: 'spool', id: blobId } as const;
      const create = { kind: 'create', source, node, user: `instance/${id}` } as const;
      await router.ask(blobRef(blobId), create, { trace });
      const isThere = ({ phase }: { phase: string }) => phase !== 'initial';
      await read.when(read.blobs, blobId, isThere, KEPT_MS);
      return json(blobId);
    },
  });
}

function nodeOfRunning(id: string, { phase, node, observed }: InstanceState): string {
  if (phase !== 'created' || node === null) {
    throw new TroupeError('object/not-ready', `instance ${id} is not ready (${phase})`);
  }
  const power = observed?.power ?? 'off';
  if (power === 'on' || power === 'paused') return node;
  const reason = `Invalid lifecycle state: a powered ${power} instance has no screen`;
  throw new TroupeError('object/wrong-phase', reason);
}

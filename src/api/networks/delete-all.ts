// Deletion of all networks of a namespace (contract: networks 2.5).
import { codeOf, TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { networkRef, FLOATING, type NetworkState } from '../../../actors/network/state.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { existingNamespace } from '../identity/access.ts';
import { json, optional, route, type Caller, type Route } from '../http/route.ts';
import { networks } from '../objects/resources.ts';
import { badRequest, change, type ApiServices } from '../services.ts';

export function deleteAllRoute(services: ApiServices): Route {
  return route('DELETE /networks', {
    summary: 'Deletes all networks of a namespace; those in use only if they may wait for it.',
    answer: { json: Type.Array(Type.String()) },
    body: {
      confirm: Type.Optional(Type.Unknown()),
      namespace: optional(Type.String()),
      clean_wait: optional(Type.Boolean()),
    },
    handle: async ({ body, caller, trace }) => {
      if (body.confirm !== true) throw badRequest('parameter confirm is not set true');
      const meant = networksOf(services, namespaceFor(services, caller, body.namespace));
      const kind = body.clean_wait === true ? 'delete' : 'delete-unused';
      const asked = await Promise.all(
        meant.map(async ({ id }) => ({ id, isGoing: await isGoing(services, id, kind, trace) })),
      );
      const deleted = asked.filter((one) => one.isGoing).map(({ id }) => id);
      const unable = asked.filter((one) => !one.isGoing).map(({ id }) => id);
      if (unable.length === 0) return json(deleted);
      return { kind: 'refused', status: 403, error: { deleted, unable } };
    },
  });
}

/** Null: every namespace. Errors: 404, 400 and 401 with the contract's texts. */
function namespaceFor(
  services: ApiServices,
  caller: Caller,
  asked: string | null | undefined,
): string | null {
  const given = asked ?? null;
  if (given !== null) existingNamespace(services, given);
  if (caller.namespace === SYSTEM) {
    if (given === null) throw badRequest('system user must specify parameter namespace');
    return given === SYSTEM ? null : given;
  }
  if (given === null || given === caller.namespace) return caller.namespace;
  throw new TroupeError('api/unauthenticated', 'you cannot delete other namespaces');
}

function networksOf({ read }: ApiServices, namespace: string | null): ReadObject<NetworkState>[] {
  const { isActive } = networks(read);
  const all = namespace === null ? read.networks.all() : read.networks.inNamespace(namespace);
  return [...all].filter(({ id, state }) => id !== FLOATING && isActive(state));
}

/** Whether it is gone or will be; the network itself decides whether it is in use. */
async function isGoing(
  services: ApiServices,
  id: string,
  kind: 'delete' | 'delete-unused',
  trace: string,
): Promise<boolean> {
  try {
    await change(services, networkRef(id), { kind }, trace);
    return true;
  } catch (error) {
    // Forgotten in the meantime, it is as gone as it can be.
    if (codeOf(error) === 'object/not-found') return true;
    if (codeOf(error) === 'network/in-use') return false;
    throw error;
  }
}

// Deletion of all networks of a namespace (contract: networks 2.5).
import { codeOf } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { networkRef, FLOATING, type NetworkState } from '../../../actors/network/state.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { json, optional, route, type Route } from '../http/route.ts';
import { deleteAllBody, namespaceToEmpty } from '../objects/delete-all.ts';
import { networks } from '../objects/resources.ts';
import { change, type ApiServices } from '../services.ts';

export function deleteAllRoute(services: ApiServices): Route {
  return route('DELETE /networks', {
    summary: 'Delete all networks of a namespace; those in use only if they may wait for that',
    answer: { json: Type.Array(Type.String()) },
    rule: 'own',
    body: { ...deleteAllBody, clean_wait: optional(Type.Boolean()) },
    handle: async ({ body, caller, trace }) => {
      const meant = networksOf(services, namespaceToEmpty(services, caller, body));
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

/** `system` means everybody's. */
function networksOf({ read }: ApiServices, namespace: string): ReadObject<NetworkState>[] {
  const { isActive } = networks(read);
  const all = namespace === SYSTEM ? read.networks.all() : read.networks.inNamespace(namespace);
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

// Deleting everything of a namespace (contract: instances 7.4, networks 2.5, artifacts 7.3): who may, and whose.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import { existingNamespace } from '../identity/access.ts';
import type { Caller } from '../http/route.ts';
import { badRequest, type ApiServices } from '../services.ts';

export const deleteAllBody = {
  confirm: Type.Optional(Type.Unknown()),
  namespace: Type.Optional(Type.Unknown()),
};

/** The namespace that is meant. Errors: 400, 401, 404. */
export function namespaceToEmpty(
  services: ApiServices,
  caller: Caller,
  { confirm, namespace }: { readonly confirm?: unknown; readonly namespace?: unknown },
): string {
  if (typeof namespace === 'string') existingNamespace(services, namespace);
  if (confirm !== true) throw badRequest('parameter confirm is not set true');
  if (namespace !== undefined && namespace !== null && typeof namespace !== 'string') {
    throw badRequest('namespace is not a string');
  }
  if (caller.namespace === SYSTEM) {
    if (typeof namespace !== 'string' || namespace === '') {
      throw badRequest('system user must specify parameter namespace');
    }
    return namespace;
  }
  if (!namespace || namespace === caller.namespace) return caller.namespace;
  throw new TroupeError('api/unauthenticated', 'you cannot delete other namespaces');
}

// Who uses a blob, as far as a caller may know: one blob serves artifacts and instances of several namespaces.
import type { BlobState } from '../../../actors/blob/state.ts';
import type { Caller } from '../http/route.ts';
import { isTrusted } from '../identity/access.ts';
import type { ApiServices } from '../services.ts';

const INSTANCE = 'instance/';

/** The instances that use it, of those that somebody may see. */
export type InstancesOf = (state: BlobState) => string[];

/** Those of the caller's namespace, and of the ones that trust it. */
export function instancesFor(services: ApiServices, caller: Caller): InstancesOf {
  return ({ users }) => {
    const ids = users.flatMap((user) =>
      user.startsWith(INSTANCE) ? [user.slice(INSTANCE.length)] : [],
    );
    return ids.filter((id) => {
      const namespace = services.read.instances.get(id)?.state.namespace;
      return namespace !== undefined && isTrusted(services, caller, namespace);
    });
  };
}

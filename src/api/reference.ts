// From a reference in a path to an object the caller may see (contract: conventions 7).
//
// A UUID is looked up as it is, in any state and namespace; ownership is checked afterwards, and failing it
// reads exactly like a missing object. A name is looked up among the caller's own objects (system: all).
import { TroupeError } from '../../actors/kernel/errors.ts';
import { SYSTEM } from '../../actors/namespace/state.ts';
import type { Collection, ReadObject } from '../read/collection.ts';
import { badRequest, notFound, type ApiServices } from './services.ts';
import type { Caller } from './route.ts';

const UUID =
  /^(urn:uuid:)?\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?$/i;

interface Owned {
  readonly namespace: string | null;
}

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The one object that `ref` names. Errors: 404 `<what> not found`, 400 when several have the name. */
export function resolve<S extends Owned>(
  collection: Collection<S>,
  what: string,
  ref: string,
  caller: Caller,
): ReadObject<S> {
  const found = isUuid(ref) ? byId(collection, ref) : byName(collection, what, ref, caller);
  if (found === undefined || !owns(caller, found.state)) throw notFound(what);
  return found;
}

/** The 'own' rule: the caller's namespace is the object's, or is system. */
export function owns(caller: Caller, state: Owned): boolean {
  return caller.namespace === SYSTEM || caller.namespace === state.namespace;
}

function byId<S>(collection: Collection<S>, id: string): ReadObject<S> | undefined {
  return collection.get(id);
}

function byName<S>(
  collection: Collection<S>,
  what: string,
  name: string,
  caller: Caller,
): ReadObject<S> | undefined {
  const namespace = caller.namespace === SYSTEM ? null : caller.namespace;
  const [first, ...others] = collection.named(name, namespace);
  if (others.length === 0) return first;
  throw badRequest(`multiple ${what}s have the name "${name}" in namespace "${caller.namespace}"`);
}

/** The safety check of deletes: the namespace must exist, and the object must be in it. */
export function inNamespace(
  services: ApiServices,
  what: string,
  state: Owned,
  namespace: string,
): void {
  if (services.read.namespaces.get(namespace) === undefined) throw notFound('namespace');
  if (state.namespace === namespace) return;
  throw new TroupeError('api/not-found', `${what} not in namespace`);
}

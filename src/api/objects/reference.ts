// From a reference in a path to an object the caller may see (contract: conventions 7), and which objects a
// list shows (contract: conventions 12).
//
// A UUID is looked up as it is, in any state and namespace; access is checked afterwards, and failing it
// reads exactly like a missing object. A name is looked up among the caller's own active objects (system: all).
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { ReadCollection, ReadObject } from '../../read/collection.ts';
import { owns, type Owned } from '../identity/access.ts';
import { finding, type Caller, type Finder, type Rule } from '../http/route.ts';
import { badRequest, notFound } from '../services.ts';

/** A sort of object that paths name. */
export interface Resource<S extends Owned> {
  /** What error texts call one: `instance`. */
  readonly what: string;
  readonly collection: ReadCollection<S>;
  /** Listed without `all`, and found by name (contract: conventions 8.2). */
  readonly isActive: (state: S) => boolean;
  /** In words, who may see one whose UUID they know; maySee() sees to it. */
  readonly rule: Rule;
  readonly maySee: (caller: Caller, state: S) => boolean;
}

const UUID =
  /^(urn:uuid:)?\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?$/i;

/** Whether the reference counts as a UUID, which is generous: only the canonical form is ever found. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** What of a name's several objects is meant. */
export interface Among {
  /** System looks at no other namespace. */
  readonly only?: string | null;
  /** Of several of that name, the one in this namespace. */
  readonly rather?: string | null;
}

/** The one object that `ref` names. Errors: 404 `<what> not found`, 400 when several have the name. */
export function resolve<S extends Owned>(
  resource: Resource<S>,
  ref: string,
  caller: Caller,
  among: Among = {},
): ReadObject<S> {
  const { collection, what } = resource;
  const found = isUuid(ref) ? collection.get(ref) : byName(resource, ref, caller, among);
  if (found === undefined || !resource.maySee(caller, found.state)) throw notFound(what);
  return found;
}

function byName<S extends Owned>(
  { collection, what, isActive }: Resource<S>,
  name: string,
  caller: Caller,
  { only = null, rather = null }: Among,
): ReadObject<S> | undefined {
  const namespace = caller.namespace === SYSTEM ? only : caller.namespace;
  const named = collection.named(name, namespace).filter(({ state }) => isActive(state));
  const own = named.filter(({ state }) => owns(caller, state));
  if (own.length <= 1) return own[0];
  const [there, ...others] = own.filter(({ state }) => state.namespace === rather);
  if (there !== undefined && others.length === 0) return there;
  throw badRequest(`multiple ${what}s have the name "${name}" in namespace "${caller.namespace}"`);
}

/**
 * Finds the object of a route by the path variable. The reads' `namespace` narrows what system looks at; that of a
 * deletion, which is checked afterwards, tells which of several is meant.
 */
export function finder<S extends Owned>(
  resource: Resource<S>,
  variable: string,
): Finder<ReadObject<S>> {
  return finding(resource.what, resource.rule, ({ params, caller, body, method }) => {
    const { namespace } = body as { readonly namespace?: unknown };
    const asked = typeof namespace === 'string' && namespace !== '' ? namespace : null;
    const among = {
      only: method === 'GET' ? asked : null,
      rather: method === 'DELETE' ? asked : null,
    };
    return resolve(resource, params[variable] ?? '', caller, among);
  });
}

/** The caller's own objects, for system everybody's: the active ones, or all that are still kept. */
export function listed<S extends Owned>(
  { collection, isActive }: Resource<S>,
  caller: Caller,
  all: boolean,
): ReadObject<S>[] {
  const { namespace } = caller;
  const visible = namespace === SYSTEM ? collection.all() : collection.inNamespace(namespace);
  return [...visible].filter(({ state }) => all || isActive(state));
}

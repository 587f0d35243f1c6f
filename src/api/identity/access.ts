// Who may do what to whose objects (contract: conventions 6, auth 1). Every rule of access is in this file.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { SYSTEM, type NamespaceState } from '../../../actors/namespace/state.ts';
import type { Caller } from '../http/route.ts';
import { notFound, type ApiServices } from '../services.ts';

/** Null: the floating pool, which is nobody's. */
export interface Owned {
  readonly namespace: string | null;
}

/** 'own': the caller's namespace is the object's, or is system. Trust does not count. */
export function owns(caller: Caller, { namespace }: Owned): boolean {
  return caller.namespace === SYSTEM || caller.namespace === namespace;
}

/** 'trusted': the caller's namespace is this one, or this one trusts it. Everybody trusts system. */
export function isTrusted(services: ApiServices, caller: Caller, namespace: string): boolean {
  return isTrustedNamespace(services, caller.namespace, namespace);
}

/** As isTrusted(), for what is done in the name of a namespace. */
export function isTrustedNamespace(services: ApiServices, trusted: string, by: string): boolean {
  if (trusted === by || trusted === SYSTEM) return true;
  return services.read.namespaces.get(by)?.state.trusts.includes(trusted) === true;
}

/** The namespace of that name. Error: 404 `namespace not found`. */
export function existingNamespace(services: ApiServices, name: string): NamespaceState {
  const state = services.read.namespaces.get(name)?.state;
  if (state === undefined || state.phase === 'deleted') throw notFound('namespace');
  return state;
}

/** The namespace to create in: the caller's, or one that trusts the caller. Error: 404 `namespace not found`. */
export function targetNamespace(
  services: ApiServices,
  caller: Caller,
  asked: string | null | undefined,
): string {
  // Empty is what the Go client sends for none.
  const namespace = asked || caller.namespace;
  existingNamespace(services, namespace);
  if (!isTrusted(services, caller, namespace)) throw notFound('namespace');
  return namespace;
}

/** The safety check of deletes: the namespace exists, and the object is in it. Errors: 404. */
export function checkNamespace(
  services: ApiServices,
  what: string,
  state: Owned,
  asked: string | null | undefined,
): void {
  if (asked === undefined || asked === null || asked === '') return;
  existingNamespace(services, asked);
  if (state.namespace === asked) return;
  throw new TroupeError('api/not-found', `${what} not in namespace`);
}

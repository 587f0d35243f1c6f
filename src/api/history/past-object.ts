// From kind and reference to an object of the present or the past that the caller may see.
import type { Address } from '../../../actors/kernel/kind.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import { namespaceOf } from '../../archive/record.ts';
import type { ReadCollection } from '../../read/collection.ts';
import type { ReadModel } from '../../read/read-model.ts';
import { owns } from '../identity/access.ts';
import type { Caller } from '../http/route.ts';
import { badRequest, notFound, type ApiServices } from '../services.ts';

export interface PastObject extends Address {
  readonly namespace: string;
}

function collections(read: ReadModel): Readonly<Record<string, ReadCollection<unknown>>> {
  return {
    artifact: read.artifacts,
    blob: read.blobs,
    instance: read.instances,
    interface: read.interfaces,
    namespace: read.namespaces,
    network: read.networks,
    node: read.nodes,
  };
}

/** Also what has been removed, by its id. Errors: 400, 404 `<kind> not found`. */
export async function findPast(
  services: ApiServices,
  caller: Caller,
  { kind, ref }: { readonly kind: string; readonly ref: string },
): Promise<PastObject> {
  const all = collections(services.read);
  const collection = Object.hasOwn(all, kind) ? all[kind] : undefined;
  if (collection === undefined)
    throw badRequest(`unknown kind ${JSON.stringify(kind)}; one of ${Object.keys(all).join(', ')}`);
  const id = present(collection, ref, caller) ?? ref;
  const object = { kind, id };
  const namespace =
    present(collection, id, caller) === undefined
      ? (await services.past.reader.version(object, null))?.namespace
      : namespaceOf(kind, id, collection.get(id)?.state);
  if (namespace === undefined || !owns(caller, { namespace })) throw notFound(kind);
  return { ...object, namespace };
}

/** The id of what is there under this id or name. */
function present(
  collection: ReadCollection<unknown>,
  ref: string,
  { namespace }: Caller,
): string | undefined {
  if (collection.get(ref) !== undefined) return ref;
  const named = collection.named(ref, namespace === SYSTEM ? null : namespace);
  const [first, ...others] = named;
  if (others.length === 0) return first?.id;
  throw badRequest(`several have the name ${JSON.stringify(ref)}: give the id of one`);
}

// What is under way: objects past their deadline, what an actor does, and calling a passing state off.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Json } from '../../../actors/kernel/json.ts';
import { formatAddress, type Address } from '../../../actors/kernel/kind.ts';
import type { ReadModel } from '../../read/read-model.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { json, NOTHING, route, type Route } from '../http/route.ts';
import { notFound, type ApiServices } from '../services.ts';

export function operationRoutes(services: ApiServices): Route[] {
  const { operations } = services;
  return [
    route('GET /stuck', {
      summary: 'Objects past their deadline',
      answer: { json: Type.Unknown() },
      access: 'system',
      handle: async () => json(await operations.stuck()),
    }),
    route('GET /actors/:ref', {
      summary: "What an object's actor is doing, and what it waits for",
      answer: { json: Type.Unknown() },
      access: 'system',
      handle: async ({ params }) => {
        const found = findAddresses(services.read, params['ref'] ?? '');
        if (found.length === 0) throw notFound(`object ${params['ref']}`);
        return json(await Promise.all(found.map((address) => shown(services, address))));
      },
    }),
    route('POST /actors/:kind/:id/cancel', {
      summary: "Call off an object's passing state",
      answer: NOTHING,
      access: 'system',
      handle: async ({ params, trace }) => {
        const address = { kind: params['kind'] ?? '', id: params['id'] ?? '' };
        const isKnown = findAddresses(services.read, address.id).some(
          (one) => one.kind === address.kind && one.id === address.id,
        );
        if (!isKnown) throw notFound(formatAddress(address));
        const message = await operations.cancelMessage(address);
        if (message === undefined) {
          const text = `${formatAddress(address)} is in no passing state: there is nothing to call off`;
          throw new TroupeError('object/nothing-to-cancel', text);
        }
        await services.router.ask(address, message, { trace });
        return json(null);
      },
    }),
  ];
}

/** A live actor says what it does; one that is not running has nothing to do. */
async function shown(services: ApiServices, address: Address): Promise<Json> {
  const inspection = await services.operations.inspect(address);
  return inspection ?? { address: formatAddress(address), status: 'not running: nothing to do' };
}

/** Every object with that id or name, of whatever kind. */
function findAddresses(read: ReadModel, ref: string): Address[] {
  const kinds = {
    artifact: read.artifacts,
    blob: read.blobs,
    instance: read.instances,
    interface: read.interfaces,
    namespace: read.namespaces,
    network: read.networks,
    node: read.nodes,
    upload: read.uploads,
  } as const;
  return Object.entries(kinds).flatMap(([kind, collection]) => {
    const ids = new Set(collection.named(ref, null).map(({ id }) => id));
    if (collection.get(ref) !== undefined) ids.add(ref);
    return [...ids].map((id) => ({ kind, id }));
  });
}

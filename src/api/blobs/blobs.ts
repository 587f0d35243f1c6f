// Blob routes (contract: artifacts 11.7): knowing the UUID is the right to read.
import { blobRef, type BlobState } from '../../../actors/blob/state.ts';
import { nullable, Type } from '../../../actors/kernel/schema.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { HASHES } from '../../read/blob-hashes.ts';
import { finding, json, optional, route, type Finder, type Route } from '../http/route.ts';
import { eventList, eventsBody, EventView } from '../objects/events.ts';
import { wholeNumber } from '../objects/whole-number.ts';
import { badRequest, notFound, type ApiServices } from '../services.ts';
import { blobPieces } from './blob-data.ts';
import { instancesFor } from './blob-users.ts';
import { BlobView, blobView, holdersOf } from './blob-view.ts';

const DATA_TYPE = 'text/plain; charset=utf-8';

/** In bytes; a limit of 0: all there is. */
const EXTENT = {
  offset: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
  limit: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
};

export function blobFinder({ read }: ApiServices): Finder<ReadObject<BlobState>> {
  return finding('blob', 'any', ({ params }) => {
    const found = read.blobs.get(params['blob_uuid'] ?? '');
    if (found === undefined) throw notFound('blob');
    return found;
  });
}

export function blobRoutes(services: ApiServices): Route[] {
  const { read, clock } = services;
  const object = blobFinder(services);
  return [
    route('GET /blobs', {
      summary: 'All blobs that are not deleted, if need be those that a node holds',
      answer: { json: Type.Array(BlobView) },
      access: 'system',
      body: { node: optional(Type.String()) },
      handle: ({ body: { node } }) => {
        const shown = [...read.blobs.all()].filter(
          ({ state }) =>
            state.phase !== 'delete-wait' &&
            state.phase !== 'deleted' &&
            (!node || holdersOf(state).includes(node)),
        );
        return json(shown.map((one) => blobView(one, clock.nowMs(), null)));
      },
    }),
    route('GET /blobs/:blob_uuid', {
      summary: 'One blob, with the instances that use it',
      answer: { json: BlobView },
      object,
      handle: ({ object: found, caller }) =>
        json(blobView(found, clock.nowMs(), instancesFor(services, caller))),
    }),
    route('GET /blobs/:blob_uuid/events', {
      summary: 'Events of a blob, newest first',
      answer: { json: Type.Array(EventView) },
      object,
      body: eventsBody,
      handle: async ({ object: { id }, body, caller }) => {
        const isShared = () => caller.namespace !== SYSTEM;
        return json(await eventList(services, [blobRef(id)], body, { isShared }));
      },
    }),
    dataRoute(services, object),
    hashRoute(services),
  ];
}

function dataRoute(services: ApiServices, object: Finder<ReadObject<BlobState>>): Route {
  return route('GET /blobs/:blob_uuid/data', {
    summary: 'The bytes of a blob; `offset` and `limit` in the address choose a part',
    answer: { bytes: DATA_TYPE },
    query: EXTENT,
    object,
    handle: ({ object: found, query, trace }) => {
      const sizeBytes = found.state.content?.sizeBytes ?? 0;
      const offset = Math.min(sizeBytes, amount(query, 'offset'));
      const limit = amount(query, 'limit');
      const left = sizeBytes - offset;
      const lengthBytes = limit === 0 ? left : Math.min(limit, left);
      const pieces = blobPieces(services, found, { offset, lengthBytes }, trace);
      return { kind: 'stream', contentType: DATA_TYPE, sizeBytes: lengthBytes, pieces };
    },
  });
}

/** Error: 400 for anything but a whole number that is not negative. */
function amount(query: URLSearchParams, name: string): number {
  const number = wholeNumber(query.get(name) ?? 0);
  if (number !== undefined && number >= 0) return number;
  throw badRequest(`${name} is not a whole number of bytes`);
}

/** Nothing found is `null`, with 200: what uploads of old depend on (contract: artifacts 11.4). */
function hashRoute(services: ApiServices): Route {
  const { read, clock } = services;
  return route('GET /blob_checksums/:algorithm/:hash', {
    summary: 'The blob that has this hash, or null',
    answer: { json: nullable(BlobView) },
    handle: ({ params, caller }) => {
      const algorithm = params['algorithm'] ?? '';
      const name = HASHES.find((one) => one === algorithm);
      if (name === undefined) throw badRequest('unknown hash algorithm');
      const known = read.blobs.by(name, params['hash'] ?? '');
      const found = known.find(({ state }) => state.phase === 'created');
      return json(
        found === undefined ? null : blobView(found, clock.nowMs(), instancesFor(services, caller)),
      );
    },
  });
}

// Uploads (contract: artifacts 9): bytes brought piece by piece to one node, through whichever node the client talks to.
import { canHoldBlobs } from '../../../actors/node/capacity.ts';
import { PIECE_BYTES } from '../../../actors/node/machine-message.ts';
import { TroupeError, unlessGone } from '../../../actors/kernel/errors.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, Type } from '../../../actors/kernel/schema.ts';
import { isTouchNews } from '../../../actors/upload/upload.ts';
import { uploadRef, type UploadState } from '../../../actors/upload/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { finding, json, NOTHING, route, type Finder, type Route } from '../http/route.ts';
import { Metadata } from '../objects/metadata.ts';
import { wholeNumber } from '../objects/whole-number.ts';
import { badRequest, change, notFound, type ApiServices } from '../services.ts';

/** Schema version that existing clients expect. */
const VERSION = 3;

export const UploadView = closed({
  uuid: Type.String(),
  state: Type.String(),
  metadata: Metadata,
  version: Type.Integer(),
  /** That holds the bytes. */
  node: Type.String(),
  /** Seconds since the epoch. */
  created_at: Type.Number(),
});

/** Knowing the UUID is the right to it. Errors: 404; 503 while its node is away. */
export function findUpload(services: ApiServices, id: string): ReadObject<UploadState> {
  const found = services.read.uploads.get(id);
  if (found?.state.phase !== 'created') throw notFound('upload');
  const { node } = found.state;
  const there = services.members().map((member) => member.node);
  if (there.length === 0 || there.includes(node)) return found;
  const text = `the bytes of this upload are on ${node}, which is away: bring it back, or begin a new upload`;
  throw new TroupeError('mesh/unreachable', text);
}

/** It does not expire while it is used. */
async function touch(
  services: ApiServices,
  { id, state }: ReadObject<UploadState>,
  trace: string,
): Promise<void> {
  if (!isTouchNews(state, services.clock.nowMs())) return;
  await unlessGone(change(services, uploadRef(id), { kind: 'touched' }, trace));
}

export function uploadRoutes(services: ApiServices): Route[] {
  const object = finding('upload', 'any', ({ params }) =>
    findUpload(services, params['upload_uuid'] ?? ''),
  );
  return [
    route('POST /upload', {
      summary: 'Begin an upload: send its bytes next',
      answer: { json: UploadView },
      // By an idempotency key whose upload has become a blob.
      errors: [404, 507],
      handle: async ({ caller, newId, trace }) => {
        const id = newId();
        const message = {
          kind: 'create',
          node: keeper(services),
          namespace: caller.namespace,
          idleMs: services.uploadIdleMs,
        } as const;
        await change(services, uploadRef(id), message, trace);
        return json(uploadView(findUpload(services, id)));
      },
    }),
    appendRoute(services, object),
    truncateRoute(services, object),
  ];
}

/** In pieces, so that little is in memory; answers once all of them are on the disk of the upload's node. */
function appendRoute(services: ApiServices, object: Finder<ReadObject<UploadState>>): Route {
  const { bytes: files } = services;
  return route('POST /upload/:upload_uuid', {
    summary:
      'Append the bytes of the body, or write them at `offset`; answers how many there are then',
    answer: { json: Type.Integer() },
    errors: [409, 504, 507],
    object,
    takesBytes: true,
    query: { offset: Type.Optional(Type.Integer({ minimum: 0 })) },
    handle: async ({ object: upload, bytes, query, trace }) => {
      const { id, state } = upload;
      let sizeBytes = (await files.size(state.node, id, trace)) ?? 0;
      const offset = query.get('offset');
      if (offset !== null) sizeBytes = placeIn(sizeBytes, offset);
      await touch(services, upload, trace);
      for await (const piece of inPieces(bytes)) {
        sizeBytes = await files.write(state.node, id, { offset: sizeBytes, bytes: piece }, trace);
      }
      return json(sizeBytes);
    },
  });
}

/** Errors: 400; 409 beyond what is there. */
function placeIn(sizeBytes: number, given: string): number {
  const offset = wholeNumber(given);
  if (offset === undefined || offset < 0) throw badRequest('offset is not an integer');
  if (offset <= sizeBytes) return offset;
  const text = `${sizeBytes} bytes are there: nothing can be written at ${offset}`;
  throw new TroupeError('api/conflict', text, { sizeBytes });
}

function truncateRoute(services: ApiServices, object: Finder<ReadObject<UploadState>>): Route {
  return route('POST /upload/:upload_uuid/truncate/:offset', {
    summary: 'Cut an upload off, or fill it up with zeros',
    answer: NOTHING,
    errors: [504, 507],
    object,
    handle: async ({ object: upload, params, trace }) => {
      const { id, state } = upload;
      const sizeBytes = wholeNumber(params['offset']);
      if (sizeBytes === undefined || sizeBytes < 0) throw badRequest('offset is not an integer');
      await services.bytes.resize(state.node, id, sizeBytes, trace);
      await touch(services, upload, trace);
      return json(null);
    },
  });
}

/** What comes in, cut and joined to pieces that fit into a message. */
async function* inPieces(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + PIECE_BYTES - sizeBytes);
      waiting.push(part);
      sizeBytes += part.length;
      at += part.length;
      if (sizeBytes < PIECE_BYTES) continue;
      yield Buffer.concat(waiting);
      waiting = [];
      sizeBytes = 0;
    }
  }
  if (sizeBytes > 0) yield Buffer.concat(waiting);
}

/** This node, or if it keeps no blobs, the first that does. Error: 507. */
function keeper({ node, read, members }: ApiServices): string {
  const keeps = (name: string) => {
    const state = read.nodes.get(name)?.state;
    return state !== undefined && canHoldBlobs(state);
  };
  const [first] = [
    node,
    ...members()
      .map((one) => one.node)
      .toSorted(),
  ].filter(keeps);
  if (first !== undefined) return first;
  const message = 'no node of the cluster keeps images: give one the role storage (--roles)';
  throw new TroupeError('scheduler/no-node', message);
}

function uploadView({ id, state }: ReadObject<UploadState>): JsonObject {
  const { phase, node, sinceMs } = state;
  return {
    uuid: id,
    state: phase,
    metadata: {},
    version: VERSION,
    node,
    created_at: sinceMs / 1000,
  };
}

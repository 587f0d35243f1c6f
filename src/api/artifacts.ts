// Artifact routes (contract: artifacts 7): images are cached, listed, shown and deleted.
import { artifactRef, type ArtifactState } from '../../actors/artifact/state.ts';
import type { JsonObject } from '../../actors/kernel/json.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { Type } from '../../actors/kernel/schema.ts';
import { SYSTEM } from '../../actors/namespace/state.ts';
import type { ReadObject } from '../read/collection.ts';
import { findArtifact } from './disk-spec.ts';
import { eventList, eventsBody } from './events.ts';
import { targetNamespace } from './instance-spec.ts';
import { resolve } from './reference.ts';
import { json, optional, route, type Caller, type Route } from './route.ts';
import { badRequest, change, type ApiServices } from './services.ts';

const VERSION = 6;
const MAX_VERSIONS = 3;

interface CacheRequest {
  readonly caller: Caller;
  readonly url: string;
  readonly namespace: string;
  readonly isShared: boolean;
  readonly trace: string;
}

/** Finds or makes the image artifact for a URL; resolves to its id at once, while the fetch goes on. */
export async function cacheImage(services: ApiServices, request: CacheRequest): Promise<string> {
  const { url, namespace, isShared, trace, caller } = request;
  const known = findArtifact(services, namespace, url);
  if (known !== null) return known;
  const source = services.resolveSource(url, caller.namespace === SYSTEM);
  const id = services.random.uuid();
  const message = {
    kind: 'create',
    type: 'image',
    name: url.split('/').at(-1) ?? url,
    namespace,
    sourceUrl: url,
    source,
    shared: isShared,
    maxVersions: MAX_VERSIONS,
    blobId: services.random.uuid(),
    node: services.node,
  } as const;
  await change(services, artifactRef(id), message, trace);
  return id;
}

type Find = (ref: string | undefined, caller: Caller) => ReadObject<ArtifactState>;

export function artifactRoutes(services: ApiServices): Route[] {
  const find: Find = (ref, caller) => findReadable(services, ref ?? '', caller);
  return [...collectionRoutes(services, find), ...objectRoutes(services, find)];
}

function collectionRoutes(services: ApiServices, find: Find): Route[] {
  const { read } = services;
  return [
    route('GET /artifacts', {
      body: { node: optional(Type.String()) },
      handle: ({ body, caller }) => {
        const isShown = ({ state }: ReadObject<ArtifactState>) =>
          state.phase !== 'deleted' &&
          (caller.namespace === SYSTEM || state.shared || state.namespace === caller.namespace) &&
          (!body.node || isOn(services, state, body.node));
        const shown = [...read.artifacts.all()].filter(isShown);
        return Promise.resolve(json(shown.map((one) => artifactView(services, one, false))));
      },
    }),
    route('POST /artifacts', {
      body: {
        url: optional(Type.String()),
        shared: optional(Type.Boolean()),
        namespace: optional(Type.String()),
      },
      handle: async ({ body, caller, trace }) => {
        const namespace = targetNamespace(services, caller, body.namespace ?? null);
        const isShared = body.shared ?? false;
        if (isShared && caller.namespace !== SYSTEM) {
          throw new TroupeError(
            'api/forbidden',
            'only the system namespace can create shared artifacts',
          );
        }
        if (!body.url) throw badRequest("url is missing: give the image's address");
        const id = await cacheImage(services, {
          caller,
          url: body.url,
          namespace,
          isShared,
          trace,
        });
        return json(artifactView(services, find(id, caller), false));
      },
    }),
  ];
}

function objectRoutes(services: ApiServices, find: Find): Route[] {
  const { read } = services;
  return [
    route('GET /artifacts/:ref', {
      handle: ({ params, caller }) =>
        Promise.resolve(json(artifactView(services, find(params['ref'], caller), true))),
    }),
    route('DELETE /artifacts/:ref', {
      handle: async ({ params, caller, trace }) => {
        const { id, state } = resolve(read.artifacts, 'artifact', params['ref'] ?? '', caller);
        if (state.phase === 'deleted') return json(null);
        await change(services, artifactRef(id), { kind: 'delete' }, trace);
        return json(artifactView(services, find(id, caller), false));
      },
    }),
    route('GET /artifacts/:ref/events', {
      body: eventsBody,
      handle: async ({ params, caller, body }) => {
        const { id } = find(params['ref'], caller);
        return json(await eventList(services, artifactRef(id), body));
      },
    }),
  ];
}

/** Read access: the owner's, system's, or anybody's when shared. */
function findReadable(
  services: ApiServices,
  ref: string,
  caller: Caller,
): ReadObject<ArtifactState> {
  const shared = services.read.artifacts.get(ref);
  if (shared?.state.shared === true) return shared;
  return resolve(services.read.artifacts, 'artifact', ref, caller);
}

function isOn(services: ApiServices, state: ArtifactState, node: string): boolean {
  const newest = state.versions.at(-1);
  return (
    newest !== undefined &&
    services.read.blobs.get(newest.blobId)?.state.nodes.includes(node) === true
  );
}

function artifactView(
  services: ApiServices,
  { id, state }: ReadObject<ArtifactState>,
  withInstances: boolean,
): JsonObject {
  const newest = state.versions.at(-1);
  const blobs = state.versions.flatMap(({ index, blobId }) => {
    const view = blobSummary(services, blobId, withInstances);
    return view === null ? [] : [[String(index), view] as const];
  });
  return {
    uuid: id,
    state: state.phase === 'delete-wait' ? 'deleted' : state.phase,
    metadata: state.metadata as JsonObject,
    version: VERSION,
    artifact_type: state.type,
    source_url: state.sourceUrl,
    max_versions: state.maxVersions,
    namespace: state.namespace,
    shared: state.shared,
    index: newest?.index ?? 0,
    ...(newest === undefined ? {} : { blob_uuid: newest.blobId }),
    blobs: Object.fromEntries(blobs),
  };
}

function blobSummary(
  services: ApiServices,
  blobId: string,
  withInstances: boolean,
): JsonObject | null {
  const found = services.read.blobs.get(blobId)?.state;
  if (found === undefined) return null;
  const instances = found.users.filter((user) => user.startsWith('instance/'));
  return {
    uuid: blobId,
    size: found.content?.sizeBytes ?? 0,
    reference_count: found.users.length,
    depends_on: null,
    ...(withInstances
      ? { instances: instances.map((user) => user.slice('instance/'.length)) }
      : {}),
  };
}

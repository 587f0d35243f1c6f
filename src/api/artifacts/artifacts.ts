// Artifact routes (contract: artifacts 7): images are cached, listed, shown and deleted.
import { artifactRef, type ArtifactState } from '../../../actors/artifact/state.ts';
import { blobsOf as blobIdsOf } from '../../../actors/artifact/versions.ts';
import { blobRef } from '../../../actors/blob/state.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { Address } from '../../../actors/kernel/kind.ts';
import { unlessGone } from '../../../actors/kernel/errors.ts';
import type { EventRecord } from '../../../actors/kernel/ports.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { artifactUploadRoute, checkMayShare } from './artifact-upload.ts';
import { versionRoutes } from './versions.ts';
import { deleteAllBody, namespaceToEmpty } from '../objects/delete-all.ts';
import type { ReadObject } from '../../read/collection.ts';
import { isTrusted, targetNamespace } from '../identity/access.ts';
import { instancesFor } from '../blobs/blob-users.ts';
import { ArtifactView, artifactView } from './artifact-view.ts';
import { eventList, eventsBody, EventView } from '../objects/events.ts';
import { urlWithChecksum } from './image-source.ts';
import type { ImageCache } from './image-cache.ts';
import { finder, type Resource } from '../objects/reference.ts';
import { json, optional, route, type Caller, type Route } from '../http/route.ts';
import { badRequest, change, type ApiServices } from '../services.ts';

/** How long a delete waits for the blobs to be given back, so that its answer shows that. */
const RELEASE_MS = 5_000;
const ACTIVE: readonly ArtifactState['phase'][] = ['initial', 'created', 'error'];

export function artifactRoutes(services: ApiServices, images: ImageCache): Route[] {
  const { read } = services;
  const { owned, readable } = artifactResources(services);
  const object = finder(readable, 'artifact_ref');
  return [
    listRoute(services, readable),
    cacheRoute(services, images),
    deleteRoute(services, owned),
    deleteAllRoute(services),
    artifactUploadRoute(services),
    ...versionRoutes(services, object, finder(owned, 'artifact_ref')),
    route('GET /artifacts/:artifact_ref', {
      summary: 'One artifact, with the instances that use its blobs',
      answer: { json: ArtifactView },
      object,
      handle: (request) =>
        json(artifactView(read, request.object, instancesFor(services, request.caller))),
    }),
    route('GET /artifacts/:artifact_ref/events', {
      summary: 'Events of an artifact and its blobs, newest first',
      answer: { json: Type.Array(EventView) },
      object,
      body: eventsBody,
      handle: async ({ object: { id, state }, body, caller }) => {
        const isShared = ({ kind }: Address) => kind === 'blob' && caller.namespace !== SYSTEM;
        const story = [artifactRef(id), ...blobsOf(state)];
        return json(await eventList(services, story, body, { isPart, isShared }));
      },
    }),
  ];
}

/** Artifacts by who may change them, and by who may read them (contract: artifacts 4.2). */
export function artifactResources(services: ApiServices) {
  const { read } = services;
  const owned: Resource<ArtifactState> = {
    what: 'artifact',
    collection: read.artifacts,
    isActive: (state) => ACTIVE.includes(state.phase),
    rule: 'trusted',
    maySee: (caller, state) => isTrusted(services, caller, state.namespace),
  };
  const readable = {
    ...owned,
    rule: 'read' as const,
    maySee: (caller: Caller, state: ArtifactState) => state.shared || owned.maySee(caller, state),
  };
  return { owned, readable };
}

/** Its blobs' events are part of an artifact's story: how far a fetch is, why it failed. */
function blobsOf(state: ArtifactState): Address[] {
  return blobIdsOf(state).map((id) => blobRef(id));
}

/** How far the fetch of a blob is has been told to the artifact as well. */
function isPart({ kind }: Address, { type, message }: EventRecord): boolean {
  return kind !== 'blob' || type !== 'status' || message !== 'fetching';
}

/** Everything active that the caller may read, if need be only what a node holds. */
function listRoute(
  services: ApiServices,
  { collection, isActive, maySee }: Resource<ArtifactState>,
): Route {
  return route('GET /artifacts', {
    summary: 'Artifacts that the caller may read',
    answer: { json: Type.Array(ArtifactView) },
    rule: 'read',
    body: { node: optional(Type.String()) },
    handle: ({ body: { node }, caller }) => {
      const isShown = ({ state }: ReadObject<ArtifactState>) =>
        isActive(state) && maySee(caller, state) && (!node || isOn(services, state, node));
      const shown = [...collection.all()].filter(isShown);
      return json(shown.map((one) => artifactView(services.read, one)));
    },
  });
}

function cacheRoute(services: ApiServices, images: ImageCache): Route {
  const { read } = services;
  return route('POST /artifacts', {
    summary: 'Cache an image from a URL; poll it until `created`',
    answer: { json: ArtifactView },
    errors: [507],
    rule: 'trusted',
    body: {
      url: optional(Type.String()),
      shared: optional(Type.Boolean()),
      namespace: optional(Type.String()),
      /** `sha256:HEX` or `sha512:HEX`: what the bytes at the address have to hash to. */
      checksum: optional(Type.String()),
    },
    handle: async ({
      body: { url: address, shared, namespace: asked, checksum },
      caller,
      trace,
    }) => {
      const namespace = targetNamespace(services, caller, asked);
      const isShared = shared ?? false;
      if (isShared) checkMayShare(caller);
      if (!address) throw badRequest("url is missing: give the image's address");
      const url = checksum ? urlWithChecksum(address, checksum) : address;
      const id = await images.ensure({ caller, url, namespace, isShared, trace });
      // Of one that there was already, too (contract: artifacts 7.2).
      if (isShared)
        await change(services, artifactRef(id), { kind: 'set-shared', shared: true }, trace);
      const made = await read.when(read.artifacts, id, () => true, RELEASE_MS);
      return json(artifactView(read, made));
    },
  });
}

/** Of exactly that namespace (contract: artifacts 7.3). */
function deleteAllRoute(services: ApiServices): Route {
  const { read, router } = services;
  return route('DELETE /artifacts', {
    summary: 'Delete all artifacts of a namespace',
    answer: { json: Type.Array(Type.String()) },
    rule: 'own',
    body: deleteAllBody,
    handle: async ({ body, caller, trace }) => {
      const namespace = namespaceToEmpty(services, caller, body);
      const meant = read.artifacts.inNamespace(namespace);
      const ids = meant.filter(({ state }) => ACTIVE.includes(state.phase)).map(({ id }) => id);
      const replies = await Promise.all(
        ids.map((id) => unlessGone(router.ask(artifactRef(id), { kind: 'delete' }, { trace }))),
      );
      await read.reached(Math.max(0, ...replies.map((reply) => reply?.revision ?? 0)));
      return json(ids);
    },
  });
}

/** Answers once the blobs are given back, or when that takes long: deletion needs no polling (contract: artifacts 7.7). */
function deleteRoute(services: ApiServices, owned: Resource<ArtifactState>): Route {
  const { read } = services;
  const object = finder(owned, 'artifact_ref');
  return route('DELETE /artifacts/:artifact_ref', {
    summary: 'Delete an artifact',
    answer: { json: Type.Union([ArtifactView, Type.Null()]) },
    object,
    handle: async ({ object: { id, state, revision }, trace }) => {
      if (state.phase === 'delete-wait' || state.phase === 'deleted') return json(null);
      await change(services, artifactRef(id), { kind: 'delete' }, trace);
      const isDeleted = ({ phase }: ArtifactState) => phase === 'deleted';
      await read.when(read.artifacts, id, isDeleted, RELEASE_MS).catch(() => undefined);
      return json(artifactView(read, read.artifacts.get(id) ?? { id, state, revision }));
    },
  });
}

/** Whether the newest version has a replica there. */
function isOn(services: ApiServices, state: ArtifactState, node: string): boolean {
  const newest = state.versions.at(-1);
  const found = newest === undefined ? undefined : services.read.blobs.get(newest.blobId);
  // Where it may be as well: a filter on nodes has always shown those that are being fetched.
  return found !== undefined && node in found.state.replicas;
}

// From a finished upload, or a blob that there is, to a version of an artifact (contract: artifacts 7.4).
import type { Addition } from '../../../actors/artifact/state.ts';
import { artifactRef } from '../../../actors/artifact/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import { uploadRef } from '../../../actors/upload/state.ts';
import { isTrusted, targetNamespace } from '../identity/access.ts';
import { json, optional, route, type Caller, type Route } from '../http/route.ts';
import { badRequest, change, notFound, type ApiServices } from '../services.ts';
import { addVersion } from './add-version.ts';
import { ArtifactView, artifactView } from './artifact-view.ts';
import { ensureArtifact, findArtifact } from './find.ts';
import { findUpload } from './uploads.ts';

const MAX_VERSIONS = 3;

export function artifactUploadRoute(services: ApiServices): Route {
  const { read, router } = services;
  return route('POST /artifacts/upload/:artifact_name', {
    summary: 'Make an upload, or a blob, a version of an artifact',
    answer: { json: ArtifactView },
    rule: 'trusted',
    body: {
      upload_uuid: optional(Type.String()),
      blob_uuid: optional(Type.String()),
      source_url: optional(Type.String({ maxLength: 4_096 })),
      shared: optional(Type.Boolean()),
      namespace: optional(Type.String()),
      artifact_type: optional(Type.String()),
    },
    handle: async ({ body, params, caller, trace }) => {
      const name = params['artifact_name'] ?? '';
      const namespace = targetNamespace(services, caller, body.namespace);
      const { upload_uuid: uploadId, blob_uuid: blobId } = body;
      if (uploadId && blobId) throw badRequest('only specify one of upload_uuid and blob_uuid');
      const addition = await additionOf(services, { uploadId, blobId, trace });
      const type = typeOf(body.artifact_type);
      if (body.shared === true) checkMayShare(caller);
      const url = body.source_url ?? `sf://upload/${caller.namespace}/${name}`;
      const sought = { type, url, namespace };
      checkMayChange(
        services,
        caller,
        findArtifact(services, sought)?.state.namespace ?? namespace,
      );
      const artifact = await ensureArtifact(
        services,
        { ...sought, name, maxVersions: MAX_VERSIONS },
        trace,
      );
      const made = await addVersion(services, artifact.id, addition, trace);
      if (uploadId) {
        const ended = router.ask(uploadRef(uploadId), { kind: 'delete' }, { trace });
        await ended.catch(() => undefined);
      }
      if (body.shared === true) {
        await change(
          services,
          artifactRef(artifact.id),
          { kind: 'set-shared', shared: true },
          trace,
        );
      }
      return json(artifactView(read, read.artifacts.get(artifact.id) ?? made));
    },
  });
}

async function additionOf(
  services: ApiServices,
  asked: { uploadId: string | null | undefined; blobId: string | null | undefined; trace: string },
): Promise<Addition> {
  const { uploadId, blobId, trace } = asked;
  if (uploadId) {
    const { id, state } = findUpload(services, uploadId);
    const sizeBytes = await services.bytes.size(state.node, id, trace);
    if (!sizeBytes) throw badRequest('the upload has no data: send some first');
    // The blob's id is the upload's: a conversion that is asked for again makes no second one.
    return { blobId: id, source: { kind: 'spool', id }, node: state.node };
  }
  if (!blobId) throw badRequest('specify upload_uuid or blob_uuid');
  const found = services.read.blobs.get(blobId);
  if (found?.state.phase !== 'created') throw notFound('blob');
  return { blobId, source: null, node: null };
}

function typeOf(type: string | null | undefined): 'image' | 'other' {
  if (type === undefined || type === null) return 'image';
  if (type === 'image' || type === 'other') return type;
  throw new TroupeError('api/forbidden', 'invalid artifact type specified');
}

export function checkMayShare(caller: Caller): void {
  if (caller.namespace === SYSTEM) return;
  throw new TroupeError('api/forbidden', 'only the system namespace can create shared artifacts');
}

/** Somebody else's that is only shared may be used, not changed. */
function checkMayChange(services: ApiServices, caller: Caller, owner: string): void {
  if (!isTrusted(services, caller, owner)) throw notFound('namespace');
}

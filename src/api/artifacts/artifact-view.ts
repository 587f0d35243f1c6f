// An artifact as clients see it (contract: artifacts 2).
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import { parentOf } from '../../../actors/blob/parent.ts';
import type { ArtifactState } from '../../../actors/artifact/state.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import type { InstancesOf } from '../blobs/blob-users.ts';
import { Metadata } from '../objects/metadata.ts';
import type { ReadObject } from '../../read/collection.ts';
import type { ReadModel } from '../../read/read-model.ts';

export const ArtifactView = closed({
  uuid: Type.String(),
  state: Type.String(),
  metadata: Metadata,
  version: Type.Integer(),
  artifact_type: Type.String(),
  source_url: Type.String(),
  max_versions: Type.Integer(),
  /** How many nodes are to keep each version; absent: as many as the cluster keeps. Of this API, not of Shaken Fist's. */
  copies: Type.Optional(Type.Integer()),
  namespace: Type.String(),
  shared: Type.Boolean(),
  /** Of the newest version; 0: there is none. */
  index: Type.Integer(),
  blob_uuid: Type.Optional(Type.String()),
  /** By version. */
  blobs: Type.Record(
    Type.String(),
    closed({
      uuid: Type.String(),
      size: Type.Integer(),
      reference_count: Type.Integer(),
      depends_on: nullable(Type.String()),
      /** Only where one artifact is shown. */
      instances: Type.Optional(Type.Array(Type.String())),
    }),
  ),
});

/** `instancesOf`: each blob also says which instances use it, as only GET of one artifact does. */
export function artifactView(
  read: ReadModel,
  { id, state }: ReadObject<ArtifactState>,
  instancesOf: InstancesOf | null = null,
): JsonObject {
  const newest = state.versions.at(-1);
  const blobs = state.versions.flatMap(({ index, blobId }) => {
    const view = blobSummary(read, blobId, instancesOf);
    return view === null ? [] : [[String(index), view] as const];
  });
  return {
    uuid: id,
    // The API knows no state between usable and gone.
    state: state.phase === 'delete-wait' ? 'deleted' : state.phase,
    metadata: state.metadata as JsonObject,
    version: OBJECT_VERSIONS.artifact,
    artifact_type: state.type,
    source_url: state.sourceUrl,
    max_versions: state.maxVersions,
    ...(state.minCopies === null ? {} : { copies: state.minCopies }),
    namespace: state.namespace,
    shared: state.shared,
    index: newest?.index ?? 0,
    ...(newest === undefined ? {} : { blob_uuid: newest.blobId }),
    blobs: Object.fromEntries(blobs),
  };
}

function blobSummary(
  read: ReadModel,
  blobId: string,
  instancesOf: InstancesOf | null,
): JsonObject | null {
  const found = read.blobs.get(blobId)?.state;
  if (found === undefined) return null;
  return {
    uuid: blobId,
    size: found.content?.sizeBytes ?? 0,
    reference_count: found.users.length,
    depends_on: parentOf(found),
    ...(instancesOf === null ? {} : { instances: instancesOf(found) }),
  };
}

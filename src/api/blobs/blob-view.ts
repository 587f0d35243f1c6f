// A blob as clients see it (contract: artifacts 11.1).
import type { BlobState } from '../../../actors/blob/state.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import { Metadata } from '../objects/metadata.ts';

/** Schema version that existing clients expect. */
const VERSION = 6;
const INSTANCE = 'instance/';

export const blobMembers = {
  uuid: Type.String(),
  state: Type.String(),
  metadata: Metadata,
  version: Type.Integer(),
  /** Bytes. */
  size: Type.Integer(),
  /** Seconds since the epoch. */
  modified: Type.Number(),
  fetched_at: Type.Number(),
  depends_on: nullable(Type.String()),
  transcodes: Type.Record(Type.String(), Type.String()),
  /** Nodes that hold a verified replica. */
  locations: Type.Array(Type.String()),
  reference_count: Type.Integer(),
  sha512: nullable(Type.String()),
  last_used: nullable(Type.Number()),
  /** Absent until the bytes are known. */
  'file format': Type.Optional(Type.String()),
  'virtual size': Type.Optional(Type.Number()),
  'mime-type': Type.Optional(Type.String()),
  /** Only where one blob is shown. */
  instances: Type.Optional(Type.Array(Type.String())),
};

export const BlobView = closed(blobMembers);
/** A version of an artifact: its blob, and its number. */
export const VersionView = closed({ ...blobMembers, index: Type.Integer() });

export function blobView({ id, state }: ReadObject<BlobState>, withInstances: boolean): JsonObject {
  const { content, users, sinceMs } = state;
  const modifiedMs = Date.parse(content?.lastModified ?? '');
  return {
    uuid: id,
    state: stateOf(state),
    metadata: state.metadata as JsonObject,
    version: VERSION,
    size: content?.sizeBytes ?? 0,
    modified: (Number.isNaN(modifiedMs) ? sinceMs : modifiedMs) / 1000,
    fetched_at: sinceMs / 1000,
    depends_on: null,
    transcodes: transcodesOf(state),
    locations: holdersOf(state),
    reference_count: users.length,
    sha512: content?.sha512 ?? null,
    last_used: users.length === 0 ? null : sinceMs / 1000,
    ...(content === null
      ? {}
      : {
          'file format': content.format === 'iso' ? 'raw' : content.format,
          'virtual size': content.virtualSizeBytes,
          'mime-type': content.mimeType,
        }),
    ...(withInstances ? { instances: instancesOf(state) } : {}),
  };
}

/** Nodes with a verified replica, in order of name. */
export function holdersOf({ replicas }: BlobState): string[] {
  const held = Object.entries(replicas).filter(([, replica]) => replica.phase === 'verified');
  return held.map(([node]) => node).toSorted();
}

/** By what they are. */
function transcodesOf({ transcode }: BlobState): JsonObject {
  return transcode?.phase === 'created' ? { qcow2: transcode.blobId } : {};
}

/** Instances that use it. */
export function instancesOf({ users }: BlobState): string[] {
  const used = users.filter((user) => user.startsWith(INSTANCE));
  return used.map((user) => user.slice(INSTANCE.length));
}

/** The API knows no state between usable and gone. */
function stateOf({ phase }: BlobState): string {
  return phase === 'delete-wait' ? 'deleted' : phase;
}

// A blob as clients see it (contract: artifacts 11.1).
import { parentOf } from '../../../actors/blob/parent.ts';
import type { BlobState, Content } from '../../../actors/blob/state.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import type { InstancesOf } from './blob-users.ts';
import { Metadata } from '../objects/metadata.ts';

/** Schema version that existing clients expect. */
const VERSION = 6;

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
  /** On the disk of the node that made it, as people read it: `3.31 GiB`. */
  'disk size': Type.Optional(Type.String()),
  cluster_size: Type.Optional(Type.Number()),
  compat: Type.Optional(Type.Number()),
  'compression type': Type.Optional(Type.String()),
  'extended l2': Type.Optional(Type.String()),
  'mime-type': Type.Optional(Type.String()),
  /** Only where one blob is shown. */
  instances: Type.Optional(Type.Array(Type.String())),
};

export const BlobView = closed(blobMembers);
/** A version of an artifact: its blob, and its number. */
export const VersionView = closed({ ...blobMembers, index: Type.Integer() });

/** `nowMs`: what is used is last used now. `instancesOf` null: it does not say which instances use it. */
export function blobView(
  { id, state }: ReadObject<BlobState>,
  nowMs: number,
  instancesOf: InstancesOf | null,
): JsonObject {
  const { content, users, sinceMs, fetchedAtMs, usedAtMs } = state;
  const cameMs = fetchedAtMs ?? sinceMs;
  const usedMs = users.length > 0 ? nowMs : usedAtMs;
  const modifiedMs = Date.parse(content?.lastModified ?? '');
  return {
    uuid: id,
    state: stateOf(state),
    metadata: state.metadata as JsonObject,
    version: VERSION,
    size: content?.sizeBytes ?? 0,
    modified: (Number.isNaN(modifiedMs) ? cameMs : modifiedMs) / 1000,
    fetched_at: cameMs / 1000,
    depends_on: parentOf(state),
    transcodes: transcodesOf(state),
    locations: holdersOf(state),
    reference_count: users.length,
    sha512: content?.sha512 ?? null,
    last_used: usedMs === null ? null : usedMs / 1000,
    ...(content === null ? {} : imageDetails(content)),
    ...(instancesOf === null ? {} : { instances: instancesOf(state) }),
  };
}

/** As qemu-img prints them (contract: artifacts 11.1). */
function imageDetails({ format, virtualSizeBytes, mimeType, facts }: Content): JsonObject {
  const known = {
    'file format': format === 'iso' ? 'raw' : format,
    'virtual size': virtualSizeBytes,
    'mime-type': mimeType,
  };
  if (facts === undefined) return known;
  const { diskBytes, clusterBytes, compat, compression, extendedL2 } = facts;
  return {
    ...known,
    'disk size': sizeText(diskBytes),
    ...(clusterBytes === null ? {} : { cluster_size: clusterBytes }),
    ...(compat === null ? {} : { compat: Number(compat) }),
    ...(compression === null ? {} : { 'compression type': compression }),
    ...(extendedL2 === null ? {} : { 'extended l2': String(extendedL2) }),
  };
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** Three significant digits, and the next unit from a thousand on. */
export function sizeText(bytes: number): string {
  const rounded = (value: number) => Number(value.toPrecision(3));
  let unit = 0;
  for (; rounded(bytes / 1024 ** unit) >= 1000 && unit < UNITS.length - 1;) unit++;
  return `${rounded(bytes / 1024 ** unit)} ${UNITS[unit]}`;
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

/** The API knows no state between usable and gone. */
function stateOf({ phase }: BlobState): string {
  return phase === 'delete-wait' ? 'deleted' : phase;
}

// An artifact's state and messages: a named list of versions, each of them a blob.
import { blobChanged, blobProgressed, Source } from '../blob/state.ts';
import { lifeMembers } from '../kernel/object.ts';
import { setbackMember } from '../kernel/setback.ts';
import type { Ref } from '../kernel/kind.ts';
import {
  closed,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

/** What artifacts are (contract: artifacts 1). */
export const TYPES = ['image', 'snapshot', 'label', 'other'] as const;

/** A blob that is to become a version; without a source it is there already. */
export const Addition = closed({
  blobId: Type.String(),
  source: nullable(Source),
  /** That makes it from its source. */
  node: nullable(Type.String()),
});
export type Addition = Static<typeof Addition>;

/** Whether it is still to be found out who else fetches the same (origins.ts). */
const isSought = Type.Boolean();

/** By what a source knows the bytes that it gives. */
export const SourceMarks = closed({
  etag: nullable(Type.String()),
  lastModified: nullable(Type.String()),
  sourceSizeBytes: Type.Number(),
});
export type SourceMarks = Static<typeof SourceMarks>;

export const Version = closed({
  index: Type.Integer(),
  blobId: Type.String(),
  /** Of its content, where that was told. */
  sha512: Type.Optional(Type.String()),
  /** What its source called the same bytes when they came again; absent: as when its blob was fetched. */
  marks: Type.Optional(SourceMarks),
});
export type Version = Static<typeof Version>;

/** What the source says, compared with the newest version (refresh.ts). */
export const SourceVerdict = Type.Union([
  closed({ verdict: Type.Literal('same') }),
  closed({
    verdict: Type.Literal('changed'),
    what: Type.String(),
    before: Type.String(),
    now: Type.String(),
  }),
  /** It did not answer as it should. */
  closed({ verdict: Type.Literal('unknown'), reason: Type.String() }),
]);
export type SourceVerdict = Static<typeof SourceVerdict>;

export const ArtifactState = closed({
  phase: oneOf(['none', 'initial', 'created', 'delete-wait', 'deleted', 'error']),
  type: oneOf(TYPES),
  name: Type.String(),
  namespace: Type.String(),
  /** As the API shows it; kept exactly as given. */
  sourceUrl: Type.String(),
  source: nullable(Source),
  shared: Type.Boolean(),
  maxVersions: Type.Integer(),
  /** How many nodes are to keep each version, where there are as many; null: as the cluster does. */
  minCopies: nullable(Type.Integer()),
  /** Complete versions, oldest first. An index is never used again. */
  versions: Type.Array(Version),
  lastIndex: Type.Integer(),
  /** The version being fetched, and the node that fetches it. */
  fetching: nullable(closed({ blobId: Type.String(), node: Type.String(), isSought })),
  /** Versions on their way that are not fetched from `source`. */
  adding: Type.Array(closed({ ...Addition.properties, isSought })),
  /** Bytes that have come, of which is found out whether another blob has them already (twins.ts). */
  settling: Type.Array(
    closed({
      blobId: Type.String(),
      sha512: Type.String(),
      /** That had them first; null: being looked for. */
      twinId: nullable(Type.String()),
    }),
  ),
  /** The source that is being asked for something newer, the node that asks, and the blob that it would become. */
  checking: nullable(closed({ source: Source, blobId: Type.String(), node: Type.String() })),
  /** How often it was asked. */
  checks: Type.Integer(),
  /** Why the latest of them came to nothing. */
  addFailure: nullable(
    closed({ blobId: Type.String(), code: Type.String(), reason: Type.String() }),
  ),
  /** Blobs that are no version any more, until they are given back; `at` tells one time from another. */
  dropped: Type.Array(closed({ blobId: Type.String(), at: Type.Integer() })),
  /** How often something was dropped. */
  drops: Type.Integer(),
  /** When it is deleted by itself, ms since the epoch; absent: never. */
  expiresAtMs: Type.Optional(Type.Number()),
  /** Instances to tell when the newest version is there, or cannot be had. */
  waiters: Type.Array(Type.String()),
  ...setbackMember,
  ...lifeMembers,
});
export type ArtifactState = Static<typeof ArtifactState>;

const MESSAGES = {
  /** Without a version yet. */
  found: {
    type: oneOf(TYPES),
    name: Type.String(),
    namespace: Type.String(),
    sourceUrl: Type.String(),
    shared: Type.Boolean(),
    maxVersions: Type.Integer({ minimum: 1 }),
    expiresAtMs: Type.Optional(Type.Number()),
  },
  /** Replies nothing; the version, or addFailure, tells how it went. */
  'add-version': { addition: Addition },
  /** A version that was promised to come will not. */
  'version-failed': { blobId: Type.String(), code: Type.String(), reason: Type.String() },
  'remove-version': { index: Type.Integer() },
  /** `came`: what the blob that is given back was. */
  'version-released': {
    blobId: Type.String(),
    at: Type.Integer(),
    came: Type.Optional(closed({ sha512: Type.String(), marks: SourceMarks })),
  },
  'set-max-versions': { maxVersions: Type.Integer({ minimum: 1 }) },
  'set-min-copies': { minCopies: nullable(Type.Integer({ minimum: 1 })) },
  'set-shared': { shared: Type.Boolean() },
  create: {
    type: oneOf(['image']),
    name: Type.String(),
    namespace: Type.String(),
    sourceUrl: Type.String(),
    source: Source,
    shared: Type.Boolean(),
    maxVersions: Type.Integer(),
    /** The first version's blob, and where to fetch it. */
    blobId: Type.String(),
    node: Type.String(),
  },
  /** It is used again: ask the source, on this node, whether there is something newer. */
  refresh: { source: Source, blobId: Type.String(), node: Type.String() },
  /** Outcome of check-source. */
  'source-checked': { check: Type.Integer(), outcome: SourceVerdict },
  /** Tell me (artifact-changed) the newest version as soon as there is one. */
  await: { waiter: Type.String() },
  /** The waiter knows, or is gone. */
  'await-done': { waiter: Type.String() },
  /** Outcome of tell-waiters. */
  'waiters-told': { waiters: Type.Array(Type.String()) },
  /** Replies whether the blob is (still) wanted. */
  'blob-changed': blobChanged,
  /** Outcome of find-origin; null: no other blob is to be used. */
  'origin-found': { blobId: Type.String(), otherId: nullable(Type.String()) },
  /** A blob that was to be used goes, or has failed. */
  'origin-gone': { blobId: Type.String(), insteadId: Type.String() },
  /** Outcomes of find-twin (null: none had them first) and hold-twin. */
  'twin-found': { blobId: Type.String(), twinId: nullable(Type.String()) },
  'twin-held': { blobId: Type.String(), isHeld: Type.Boolean() },
  /** Of the one that is being fetched. Replies who waits for it. */
  'blob-progressed': blobProgressed,
  delete: {},
  released: {},
  forgotten: {},
};
export type ArtifactMessage = MessageOf<typeof MESSAGES>;
export const decodeArtifactMessage = messageDecoder('artifact', MESSAGES);

export function artifactRef(id: string): Ref<ArtifactMessage> {
  return { kind: 'artifact', id };
}

/** What an artifact tells those who await it; the instance takes it. */
export const artifactChanged = {
  artifactId: Type.String(),
  /** Null with a failure. */
  blobId: nullable(Type.String()),
  failure: nullable(closed({ code: Type.String(), reason: Type.String() })),
};

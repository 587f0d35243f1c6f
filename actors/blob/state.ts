// A blob's state and messages: immutable bytes, known by their hash, kept as replicas on nodes.
import { Failure, lifeMembers } from '../kernel/object.ts';
import { setbackMember } from '../kernel/setback.ts';
import { nodeGone } from '../node/presence.ts';
import { accountFor } from '../node/account.ts';
import type { Ref } from '../kernel/kind.ts';
import {
  closed,
  received,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

/** The space of claims on contents, by SHA-512: each is held by the blob that had it first (actors/artifact/twins.ts). */
export const CONTENT = 'content';

/** What the bytes of a source have to hash to, as its user said. */
export const Checksum = closed({ algorithm: oneOf(['sha256', 'sha512']), hex: Type.String() });
export type Checksum = Static<typeof Checksum>;
const checksum = Type.Optional(Checksum);

export const Source = Type.Union([
  closed({ kind: Type.Literal('url'), url: Type.String(), checksum }),
  closed({
    kind: Type.Literal('file'),
    path: Type.String(),
    /** That has the file; it is asked again there. */
    node: Type.Optional(Type.String()),
    checksum,
  }),
  closed({
    kind: Type.Literal('spool'),
    id: Type.String(),
    /** The blob from which the bytes hold only what differs (parent.ts). */
    dependsOn: Type.Optional(Type.String()),
  }),
  closed({ kind: Type.Literal('blob'), blobId: Type.String() }),
]);

export type Source = Static<typeof Source>;

/** From a server outside or a file of a node, which may have something newer another time. */
export function isOutsideSource(source: Source | null): boolean {
  return source?.kind === 'url' || source?.kind === 'file';
}

/** What clients are told of it beyond what it takes to use it (see ports.ts ReplicaFacts). */
export const Facts = closed({
  sha1: Type.String(),
  sha256: Type.String(),
  xxh128: Type.String(),
  diskBytes: Type.Number(),
  clusterBytes: nullable(Type.Number()),
  compat: nullable(Type.String()),
  compression: nullable(Type.String()),
  extendedL2: nullable(Type.Boolean()),
});
export type Facts = Static<typeof Facts>;

/** What is known of the bytes once a node has fetched and checked them (see ports.ts ReplicaReport). */
export const Content = closed({
  sizeBytes: Type.Number(),
  sha512: Type.String(),
  sourceSizeBytes: Type.Number(),
  sourceSha256: Type.String(),
  sourceFormat: Type.String(),
  format: oneOf(['qcow2', 'iso', 'raw']),
  mimeType: Type.String(),
  virtualSizeBytes: Type.Number(),
  etag: nullable(Type.String()),
  lastModified: nullable(Type.String()),
  /** The blob that it is read through; absent: none. */
  dependsOn: Type.Optional(Type.String()),
  /** By which a list of its chunks' digests is told from a wrong one; absent: made by an older version. */
  chunksSha256: Type.Optional(Type.String()),
  facts: Type.Optional(Facts),
});
export type Content = Static<typeof Content>;

/** What is known of one node's copy (replicas.ts). */
export const Replica = closed({
  /**
   * `copying`: being fetched, copied, or confirmed by a node that was away. `lost`: its node has been away for long.
   * `failed`: could not be made there. `damaged`: its bytes are not the blob's (any more), and no good one is in reach.
   */
  phase: oneOf(['copying', 'verified', 'lost', 'failed', 'removing', 'damaged']),
  /** Of what its node was last wanted to do with it. */
  generation: Type.Integer(),
  /** Until when the return of its node, which is out of reach, is waited for, ms since the epoch; null: in reach. */
  awayUntilMs: nullable(Type.Number()),
  /** Its node would not remove it: a disk there is based on it. */
  isInUse: Type.Boolean(),
  /** It was whole when its node was last heard of: copying then only confirms it. */
  isWhole: Type.Boolean(),
  /** When something last needed it there, ms since the epoch: of those that are kept as a cache the oldest go first. */
  usedAtMs: Type.Number(),
  failure: nullable(Failure),
  /** In a row, of making it or removing it there. */
  failures: Type.Integer(),
  /** When what failed may be tried again, ms since the epoch. */
  retryAtMs: nullable(Type.Number()),
});
export type Replica = Static<typeof Replica>;

/** Fewer copies than wanted, and no more on their way (shortage.ts). */
export const Shortage = closed({
  copies: Type.Integer(),
  wanted: Type.Integer(),
  /** No room on nodes that could keep one; could not be made there; no such node; nothing to copy from. */
  why: oneOf(['room', 'failed', 'nodes', 'source']),
});
export type Shortage = Static<typeof Shortage>;

const optionalNumber = Type.Optional(nullable(Type.Number()));
/** How far a step is that takes time (../node/progress.ts). */
export const progressMembers = {
  step: Type.String(),
  percent: nullable(Type.Integer()),
  doneBytes: optionalNumber,
  /** Null while unknown, as the two below. */
  totalBytes: optionalNumber,
  bytesPerSecond: optionalNumber,
  secondsLeft: optionalNumber,
};
export const Progress = closed(progressMembers);
export type Progress = Static<typeof Progress>;

export const BlobState = closed({
  phase: oneOf(['none', 'initial', 'created', 'delete-wait', 'deleted', 'error']),
  source: nullable(Source),
  content: nullable(Content),
  /** By node: those that hold, or may hold, a replica. */
  replicas: Type.Record(Type.String(), Replica),
  /** As it was last told; null: as many copies as wanted were there. */
  shortage: nullable(Shortage),
  /** Addresses of what refers to the blob (artifacts, instances): it is deleted when none is left. */
  users: Type.Array(Type.String()),
  /** User to the node on which it needs a replica. */
  needs: Type.Record(Type.String(), Type.String()),
  /** Those of them that base a disk on it. */
  diskUsers: Type.Array(Type.String()),
  /** Those that need not wait for a replica of at least so many bytes (told.ts). */
  lazyFrom: Type.Record(Type.String(), Type.Number()),
  /** What disks start from in its place (transcode.ts). */
  transcode: nullable(
    closed({
      blobId: Type.String(),
      /** That makes it. */
      node: Type.String(),
      phase: oneOf(['making', 'created', 'failed', 'dropping']),
      failure: nullable(Failure),
      /** Since when no disk uses it, and when it is dropped for that, ms since the epoch. */
      idleSinceMs: nullable(Type.Number()),
      dropAtMs: nullable(Type.Number()),
    }),
  ),
  /** It uses the blob that it depends on (parent.ts). */
  isParentHeld: Type.Boolean(),
  /** When the bytes had come, ms since the epoch. */
  fetchedAtMs: nullable(Type.Number()),
  /** When somebody last began, or ceased, to use it. */
  usedAtMs: nullable(Type.Number()),
  /** How often users have gone, or needed it elsewhere: one that comes back is told again. */
  departures: Type.Integer(),
  /** Last progress that was told: of the fetch, or of the copy for a user on this node. */
  progress: closed({ ...progressMembers, node: Type.Optional(Type.String()) }),
  generation: Type.Integer(),
  ...setbackMember,
  ...lifeMembers,
});
export type BlobState = Static<typeof BlobState>;

/** What a blob tells those who use it; artifact and instance take it, and reply whether they still do. */
export const blobChanged = {
  blobId: Type.String(),
  phase: oneOf(['created', 'error']),
  failure: nullable(closed({ code: Type.String(), reason: Type.String() })),
  virtualSizeBytes: Type.Number(),
  sha512: Type.Optional(Type.String()),
  /** The blob that it is read through, which has to be on the node too. */
  dependsOn: Type.Optional(Type.String()),
  /** What a disk starts from, if that is another blob. */
  diskBlobId: Type.Optional(Type.String()),
  /** Its replica on the user's node is being made: until it is there, it is read from other nodes. */
  isOnItsWay: Type.Optional(Type.Boolean()),
};

/** How far a blob is that is being fetched or copied; those who use it take it. */
export const blobProgressed = { blobId: Type.String(), progress: Progress };

/** The reply to holders. */
const Holding = closed({ content: Content, nodes: Type.Array(Type.String()) });
export const decodeHolding = received('holders of a blob', Holding);

const MESSAGES = {
  /** Fetch these bytes on this node, for this user. */
  create: { source: Source, node: Type.String(), user: Type.String() },
  /** Outcome of hold-parent. */
  'parent-held': {},
  /** The node that fetches has no room for it, and has not had for a while. */
  'no-room': { node: Type.String(), reason: Type.String() },
  /** On this node; one that was given up meanwhile is not listened to. */
  fetched: { content: Content, node: Type.Optional(Type.String()) },
  /** Of what this node does: fetches or copies. */
  progressed: { ...progressMembers, node: Type.Optional(Type.String()) },
  /** Keep it, and tell me (blob-changed) when it is there or has failed, unless I am known. Replies its phase. */
  use: { user: Type.String() },
  /** The same, and have a replica on this node before you tell me. */
  need: {
    user: Type.String(),
    node: Type.String(),
    /** To base a disk on it: tell me also which blob a disk has to start from. */
    forDisk: Type.Optional(Type.Boolean()),
    /** If it has at least so many bytes, tell me as soon as that node can read it from others. Left out: I wait. */
    lazyFromBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  /** Replies what it is and which nodes hold it, the first to be asked first, as one that wants to read it there sees it. */
  holders: { node: Type.String() },
  unuse: { user: Type.String() },
  /** Replies its content; null: not known (yet). */
  describe: {},
  /** Outcome of describe (facts.ts). */
  described: { facts: Facts },
  /** These have said that they do not use it, or do not exist. */
  'users-gone': { users: Type.Array(Type.String()) },
  /** The nodes that can hold replicas, as somebody sees them now; one that is not named stays as it was known. */
  'nodes-changed': {
    nodes: Type.Array(
      closed({
        node: Type.String(),
        isUp: Type.Boolean(),
        takesMore: Type.Boolean(),
        sheds: Type.Optional(Type.Boolean()),
        failureDomain: Type.Optional(Type.String()),
        roomBytes: Type.Optional(Type.Number()),
        untilLowBytes: Type.Optional(Type.Number()),
      }),
    ),
    copies: Type.Integer({ minimum: 1 }),
    /** How long one that is away is waited for: a machine that restarts is back within this. */
    patienceMs: Type.Integer({ minimum: 0 }),
  },
  /** It has left the cluster and does not come back. */
  'node-gone': nodeGone,
  /** Outcomes of copy and remove-copy for a node under a generation. */
  copied: { node: Type.String(), generation: Type.Integer() },
  'copy-removed': { node: Type.String(), generation: Type.Integer(), isInUse: Type.Boolean() },
  /** Its node has read a copy of this generation again, and found it damaged; or good, after it had been damaged. */
  'copy-damaged': {
    node: Type.String(),
    generation: Type.Integer(),
    problem: oneOf(['size', 'checksum', 'missing']),
    reason: Type.String(),
  },
  'copy-good': { node: Type.String(), generation: Type.Integer() },
  /** Outcome of remove-replicas under a generation. */
  'replicas-removed': { generation: Type.Integer() },
  /** A node that has something of it, and has not heard of it since it started, asks whether that is to stay. */
  'account-for': accountFor,
  /** Of its transcode. Replies whether that is (still) wanted. */
  'blob-changed': blobChanged,
  /** How long the transcode that has been idle since then is kept, and that it was given back. */
  'transcode-idle': { sinceMs: Type.Number(), untilMs: Type.Number() },
  'transcode-dropped': { blobId: Type.String() },
  /** Calls a fetch off; refused while something uses it. */
  delete: {},
  forgotten: {},
};
export type BlobMessage = MessageOf<typeof MESSAGES>;
export const decodeBlobMessage = messageDecoder('blob', MESSAGES);

export function blobRef(id: string): Ref<BlobMessage> {
  return { kind: 'blob', id };
}

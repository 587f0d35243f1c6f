// A blob's state and messages: immutable bytes, known by their hash, kept as replicas on nodes.
import { Failure, lifeMembers } from '../kernel/object.ts';
import { setbackMember } from '../kernel/setback.ts';
import { nodeGone } from '../node/presence.ts';
import { accountFor } from '../node/account.ts';
import type { Ref } from '../kernel/kind.ts';
import {
  closed,
  decoder,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

export const Source = Type.Union([
  closed({ kind: Type.Literal('url'), url: Type.String() }),
  closed({ kind: Type.Literal('file'), path: Type.String() }),
  closed({ kind: Type.Literal('spool'), id: Type.String() }),
  closed({ kind: Type.Literal('blob'), blobId: Type.String() }),
]);

export type Source = Static<typeof Source>;

/** From a server outside, which may have something newer another time. */
export function isUrlSource(source: Source | null): boolean {
  return source?.kind === 'url';
}

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
});
export type Content = Static<typeof Content>;

/** What is known of one node's copy (replicas.ts). */
export const Replica = closed({
  /**
   * `copying`: being fetched, copied, or confirmed by a node that was away. `lost`: its node has been away for long.
   * `failed`: could not be made there.
   */
  phase: oneOf(['copying', 'verified', 'lost', 'failed', 'removing']),
  /** Of what its node was last wanted to do with it. */
  generation: Type.Integer(),
  /** Until when the return of its node, which is out of reach, is waited for, ms since the epoch; null: in reach. */
  awayUntilMs: nullable(Type.Number()),
  /** Its node would not remove it: a disk there is based on it. */
  isInUse: Type.Boolean(),
  failure: nullable(Failure),
  /** In a row, of making it or removing it there. */
  failures: Type.Integer(),
  /** When what failed may be tried again, ms since the epoch. */
  retryAtMs: nullable(Type.Number()),
});
export type Replica = Static<typeof Replica>;

export const BlobState = closed({
  phase: oneOf(['none', 'initial', 'created', 'delete-wait', 'deleted', 'error']),
  source: nullable(Source),
  content: nullable(Content),
  /** By node: those that hold, or may hold, a replica. */
  replicas: Type.Record(Type.String(), Replica),
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
      phase: oneOf(['making', 'created', 'failed']),
      failure: nullable(Failure),
    }),
  ),
  /** How often users have gone, or needed it elsewhere: one that comes back is told again. */
  departures: Type.Integer(),
  /** Last progress that was worth an event, per cent of the step. */
  progress: closed({ step: Type.String(), percent: nullable(Type.Integer()) }),
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
  /** What a disk starts from, if that is another blob. */
  diskBlobId: Type.Optional(Type.String()),
  /** Its replica on the user's node is being made: until it is there, it is read from other nodes. */
  isOnItsWay: Type.Optional(Type.Boolean()),
};

/** The reply to holders. */
const Holding = closed({ content: Content, nodes: Type.Array(Type.String()) });
export const decodeHolding = decoder('holders of a blob', Holding, 'actor/bad-message');

const MESSAGES = {
  /** Fetch these bytes on this node, for this user. */
  create: { source: Source, node: Type.String(), user: Type.String() },
  fetched: { content: Content },
  progressed: { step: Type.String(), percent: nullable(Type.Integer()) },
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
  /** These have said that they do not use it, or do not exist. */
  'users-gone': { users: Type.Array(Type.String()) },
  /** The nodes that can hold replicas, as somebody sees them now; one that is not named stays as it was known. */
  'nodes-changed': {
    nodes: Type.Array(
      closed({ node: Type.String(), isUp: Type.Boolean(), takesMore: Type.Boolean() }),
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
  /** Outcome of remove-replicas under a generation. */
  'replicas-removed': { generation: Type.Integer() },
  /** A node that has something of it, and has not heard of it since it started, asks whether that is to stay. */
  'account-for': accountFor,
  /** Of its transcode. Replies whether that is (still) wanted. */
  'blob-changed': blobChanged,
  /** Calls a fetch off; refused while something uses it. */
  delete: {},
  forgotten: {},
};
export type BlobMessage = MessageOf<typeof MESSAGES>;
export const decodeBlobMessage = messageDecoder('blob', MESSAGES);

export function blobRef(id: string): Ref<BlobMessage> {
  return { kind: 'blob', id };
}

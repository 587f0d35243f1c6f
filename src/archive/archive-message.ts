// What is asked of an archive: by its own daemon over the thread's port, by other daemons at `archive/<node>`.
//
// M1  Every answer fits into a frame of the mesh: it is cut at ANSWER_BYTES and says where to go on.
import type { Ref } from '../../actors/kernel/kind.ts';
import { messageDecoder, nullable, Type, type MessageOf } from '../../actors/kernel/schema.ts';

/** Of rows in one answer; a single one may be larger. */
export const ANSWER_BYTES = 256 * 1024;
export const MAX_ROWS = 1_000;

const object = { kind: Type.String(), id: Type.String() };
const rows = Type.Integer({ minimum: 1, maximum: MAX_ROWS });

const MESSAGES = {
  /** Replies how far it has recorded, and what it misses: ArchiveStatus. */
  status: {},
  /** Replies rows of revisions after `after` and up to `upTo`, in order: ExportPage. */
  export: { after: Type.Integer(), upTo: Type.Integer() },
  /** Replies a page of events and gaps: HistoryPage. */
  page: {
    after: Type.Integer(),
    upTo: Type.Integer(),
    namespace: nullable(Type.String()),
    of: nullable(Type.String()),
    id: nullable(Type.String()),
    types: nullable(Type.Array(Type.String())),
    limit: rows,
  },
  /** Replies an object's newest events, newest first: NewestPage. `before`: an event's revision and id. */
  newest: {
    of: Type.String(),
    id: Type.String(),
    type: nullable(Type.String()),
    before: nullable(Type.Tuple([Type.Integer(), Type.String()])),
    limit: rows,
  },
  /** Replies the object as it was then (VersionRow), or null. Both null: as it is now. */
  version: {
    of: object.kind,
    id: object.id,
    revision: nullable(Type.Integer()),
    atMs: nullable(Type.Number()),
  },
  /** Replies which version gave each member of the present state its value: Blame[]. */
  blame: { of: object.kind, id: object.id },
  /** Replies events that followed from a request, in order: EventRow[]. `namespace` null: of any. */
  traced: { trace: Type.String(), namespace: nullable(Type.String()), limit: rows },
};
export type ArchiveMessage = MessageOf<typeof MESSAGES>;
export const decodeArchiveMessage = messageDecoder('archive', MESSAGES);

/** The kind in the address; what comes after it is the node. */
export const ARCHIVE = 'archive';

export function archiveRef(node: string): Ref<ArchiveMessage> {
  return { kind: ARCHIVE, id: node };
}

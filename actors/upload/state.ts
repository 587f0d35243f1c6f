// An upload's state and messages: bytes that a client brings piece by piece, kept on one node until they become a blob.
import type { Ref } from '../kernel/kind.ts';
import { nodeGone } from '../node/presence.ts';
import { lifeMembers } from '../kernel/object.ts';
import {
  closed,
  messageDecoder,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

export const UploadState = closed({
  phase: oneOf(['none', 'created', 'delete-wait']),
  /** Holds the bytes, in its spool under the upload's id. */
  node: Type.String(),
  /** Who began it. */
  namespace: Type.String(),
  /** When bytes came last, roughly, ms since the epoch. */
  touchedAtMs: Type.Number(),
  /** It is removed when none have come for so long. */
  idleMs: Type.Integer(),
  ...lifeMembers,
});
export type UploadState = Static<typeof UploadState>;

const MESSAGES = {
  create: {
    node: Type.String(),
    namespace: Type.String(),
    idleMs: Type.Integer({ minimum: 1 }),
  },
  /** Bytes have come, or gone. */
  touched: {},
  /** Its node has left the cluster for good, and the bytes with it. */
  'node-gone': nodeGone,
  /** Its bytes have become a blob, or nobody wants them. */
  delete: {},
  'file-removed': {},
};
export type UploadMessage = MessageOf<typeof MESSAGES>;
export const decodeUploadMessage = messageDecoder('upload', MESSAGES);

export function uploadRef(id: string): Ref<UploadMessage> {
  return { kind: 'upload', id };
}

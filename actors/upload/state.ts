// An upload's state and messages: bytes that a client brings piece by piece, kept on one node until they become a blob.
import type { Ref } from '../kernel/kind.ts';
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
  ...lifeMembers,
});
export type UploadState = Static<typeof UploadState>;

const MESSAGES = {
  create: { node: Type.String(), namespace: Type.String() },
  /** Its bytes have become a blob, or nobody wants them. */
  delete: {},
  'file-removed': {},
};
export type UploadMessage = MessageOf<typeof MESSAGES>;
export const decodeUploadMessage = messageDecoder('upload', MESSAGES);

export function uploadRef(id: string): Ref<UploadMessage> {
  return { kind: 'upload', id };
}

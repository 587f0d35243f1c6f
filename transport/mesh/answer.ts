// What an ask is answered with, as it goes onto the wire.
//
// A1  Every answer can be sent: what the peer's decoder would refuse, or what is too large, becomes a failure of
//     that ask alone. A frame that the peer refuses would end the link, and every other ask on it.
import { codeOf, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { AskReply } from '../../actors/kernel/ports.ts';
import { oddIn } from '../plain-data.ts';
import { encodeItem, MAX_ITEM_BYTES, type Failure } from './frame.ts';

/** The item that says `reply`. */
export function encodeReply(seq: number, { value, revision }: AskReply): Uint8Array {
  const odd = oddIn(value) ?? (isRevision(revision) ? null : `revision ${revision}`);
  if (odd !== null) {
    return encodeFailure(seq, new TroupeError('actor/crashed', `an answer holds ${odd}`));
  }
  const bytes = encodeItem({ kind: 'reply', seq, revision, value });
  if (bytes.byteLength <= MAX_ITEM_BYTES) return bytes;
  return encodeFailure(seq, tooLarge('an answer', bytes.byteLength));
}

/** The item that says what was thrown; a detail that cannot be sent is left out. */
export function encodeFailure(seq: number, error: unknown): Uint8Array {
  const bytes = encodeItem(failureOf(seq, error));
  if (bytes.byteLength <= MAX_ITEM_BYTES) return bytes;
  return encodeItem(failureOf(seq, tooLarge(`the error ${codeOf(error)}`, bytes.byteLength)));
}

export function tooLarge(what: string, sizeBytes: number): TroupeError {
  const text = `${what} takes at most ${MAX_ITEM_BYTES} bytes, this has ${sizeBytes}`;
  return new TroupeError('mesh/too-large', text, { sizeBytes });
}

function failureOf(seq: number, error: unknown): Failure {
  const detail = error instanceof TroupeError && oddIn(error.detail) === null ? error.detail : {};
  return { kind: 'failure', seq, code: codeOf(error), message: reasonOf(error), detail };
}

function isRevision(revision: number): boolean {
  return Number.isSafeInteger(revision) && revision >= 0;
}

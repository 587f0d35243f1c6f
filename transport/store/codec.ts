// Values as stored: an envelope {schema, state} as MessagePack, plain maps only.
//
// V1  What decodes is what was encoded: text, finite numbers, booleans, null, undefined fields,
//     arrays, plain objects and Uint8Array. encodeEnvelope() refuses anything else, because msgpackr
//     would quietly turn a Map into an object, a Set into an array, a function into undefined.
// V2  decodeEnvelope() never throws, and gives nothing but V1's types: msgpackr alone would also
//     build a RegExp, an Error, dates and bigints from hostile bytes.
// V3  512 KiB at most, checked before a byte is decoded; nesting at most 64 deep.
// V4  Decoded bytes are copies: they keep no answer of the store alive.
import { Packr } from 'msgpackr';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { oddIn } from '../plain-data.ts';

/** Bytes of one stored value. What is larger is a blob; the store holds its digest. */
export const MAX_VALUE_BYTES = 512 * 1024;

const packr = new Packr({ useRecords: false, structuredClone: false, int64AsType: 'number' });

/** A stored state and the version of the schema it follows (1 and up). */
export interface Envelope {
  readonly schema: number;
  readonly state: unknown;
  /** Of the request that wrote it, where there was one. */
  readonly trace?: string;
}

export type DecodedEnvelope =
  | { readonly ok: true; readonly envelope: Envelope }
  | { readonly ok: false; readonly reason: string };

/** Errors: store/bad-value for what is not plain data, store/too-large above MAX_VALUE_BYTES. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const odd = oddIn(envelope.state);
  if (odd !== null) {
    throw new TroupeError('store/bad-value', `a stored state is plain data, found ${odd}`);
  }
  const { schema, state, trace } = envelope;
  const bytes = packr.pack(trace === undefined ? { schema, state } : { schema, state, trace });
  if (bytes.byteLength <= MAX_VALUE_BYTES) return bytes;
  const message = `a stored value takes at most ${MAX_VALUE_BYTES} bytes, this one has ${bytes.byteLength}; keep the bulk in a blob`;
  throw new TroupeError('store/too-large', message, { sizeBytes: bytes.byteLength });
}

/** Never throws: bytes from the store may be of another version, or damaged. */
export function decodeEnvelope(bytes: Uint8Array): DecodedEnvelope {
  if (bytes.byteLength > MAX_VALUE_BYTES) {
    return { ok: false, reason: `${bytes.byteLength} bytes are over the limit` };
  }
  let value: unknown;
  try {
    // A copy, so that views inside the result (V4) are of memory that is ours alone.
    value = packr.unpack(Uint8Array.from(bytes));
  } catch (error) {
    return { ok: false, reason: `not MessagePack: ${String(error)}` };
  }
  if (!isEnvelope(value)) return { ok: false, reason: 'not an envelope {schema, state}' };
  const odd = oddIn(value.state);
  if (odd !== null) return { ok: false, reason: `not plain data: ${odd}` };
  const { schema, state, trace } = value;
  return { ok: true, envelope: trace === undefined ? { schema, state } : { schema, state, trace } };
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null) return false;
  if (!('schema' in value) || !('state' in value)) return false;
  if ('trace' in value && typeof value.trace !== 'string') return false;
  return typeof value.schema === 'number' && Number.isSafeInteger(value.schema) && value.schema > 0;
}

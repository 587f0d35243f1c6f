// Frames of a blob transfer, protocol 3. One WebSocket, at the path /blobs, brings chunks of one blob from one node
// that holds it (the server) to one that wants it (the dialler). A binary WebSocket message is either a control
// message, a MessagePack array that begins with its kind, or a part: bare bytes of the chunk that was announced.
//
//   who wants  hello   [0, protocolMin, protocolMax, cluster, node, blob, sha512, urgent]
//                      urgent: true when somebody waits for it, so that no limit on copies holds it up; else left out
//              want    [1, index, ...others]       one of these chunks; MAX_WANTED at most that have not come yet
//              credit  [2, grantedBytes]           all the bytes of parts that may have been sent since hello
//              list    [3, first]                  the digests of DIGESTS_PER_PAGE chunks (2)
//              seek    [4, index, ...others]       as want, but only one that has not just been given to others (3)
//   who holds  hello   [0, protocolMin, protocolMax, cluster, node, sizeBytes, chunkBytes, offers]
//              chunk   [1, index, digest]          SHA-256 of the chunk; its parts follow, nothing in between
//              refusal [3, code, message]          instead of hello; then it closes
//              have    [4, first, bits]            these chunks too, bit 0 of byte 0 is the first; who has all:
//                                                  these have been given to others (2)
//              list    [5, first, digests]         of the chunks from there on (2)
//              elsewhere [6]                       in answer to a seek: others have just been given all of these (3)
//              listed  [7]                         who has a part: it can be asked for the list too (3)
//              waiting [8]                         others are served first; said every few seconds (3)
//
// (2), (3): only between two that both speak this protocol.
// offers: 2 all chunks; 1 those that it says it has; 0 none, only the list. Absent: 2.
// F1  The socket enforces MAX_MESSAGE_BYTES (maxPayload) before a byte is decoded.
// F2  decodeControl() never throws: a bad message closes one link, not the daemon.
// F3  Fields are only ever appended, and extra ones ignored.
// F4  A part belongs to the last chunk announced and has PART_BYTES at most; the parts of a chunk have its length.
import { Packr } from 'msgpackr';

export const CHUNK_BYTES = 1024 * 1024;
export const PART_BYTES = 128 * 1024;
export const MAX_MESSAGE_BYTES = 256 * 1024;
/** Chunks that one link may owe. */
export const MAX_WANTED = 16;
/** Longest that credit may run ahead of what was sent, bytes. */
export const MAX_WINDOW_BYTES = 16 * 1024 * 1024;
export const DIGEST_BYTES = 32;
/** Protocols that this version speaks. */
export const PROTOCOL = { protocolMin: 1, protocolMax: 3 } as const;

/** From which on there are holders of a part, and lists. */
export const SWARM_PROTOCOL = 2;
/** From which on chunks are sought, and who has a part may give the list. */
export const SEEK_PROTOCOL = 3;
/** Chunks that one want may name. */
export const MAX_CHOICES = 64;
/** Digests in one answer. */
export const DIGESTS_PER_PAGE = 1_024;
/** Bytes of bits in one message. */
export const HAVE_BYTES = 4_096;

const [HELLO, WANT_OR_CHUNK, CREDIT, REFUSAL_OR_LIST, HAVE_OR_SEEK] = [0, 1, 2, 3, 4];
const [LIST, ELSEWHERE, LISTED, WAITING] = [5, 6, 7, 8];
const MAX_CONTROL_BYTES = 64 * 1024;
const packr = new Packr({ useRecords: false, structuredClone: false, int64AsType: 'number' });

interface Greeting {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly cluster: string;
  readonly node: string;
}

/** What the dialler says first. */
export interface WanterHello extends Greeting {
  readonly kind: 'hello';
  readonly blobId: string;
  readonly sha512: string;
  /** Somebody waits for it: not held up by the holder's limit on copies. */
  readonly isUrgent?: boolean;
}

/** What a holder is ready to send: all chunks, those that it says it has, or only the list of digests. */
export type Offers = 'all' | 'some' | 'list';
const OFFERS: readonly Offers[] = ['list', 'some', 'all'];

/** What the server says first. */
export interface HolderHello extends Greeting {
  readonly kind: 'hello';
  readonly sizeBytes: number;
  readonly chunkBytes: number;
  readonly offers: Offers;
}

/** One of these chunks; sought: one that has not just been given to others. */
export interface Wish {
  readonly kind: 'want' | 'seek';
  readonly index: number;
  readonly others?: readonly number[];
}

export type FromWanter =
  | WanterHello
  /** `others` would do as well: the holder chooses. */
  | Wish
  | { readonly kind: 'list'; readonly first: number }
  | { readonly kind: 'credit'; readonly grantedBytes: number };

export type FromHolder =
  | HolderHello
  | { readonly kind: 'chunk'; readonly index: number; readonly digest: Uint8Array }
  | { readonly kind: 'refusal'; readonly code: string; readonly message: string }
  | { readonly kind: 'have'; readonly first: number; readonly bits: Uint8Array }
  | { readonly kind: 'list'; readonly first: number; readonly digests: Uint8Array }
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'listed' }
  | { readonly kind: 'waiting' };

export type Decoded<T> =
  | { readonly ok: true; readonly message: T }
  | { readonly ok: false; readonly reason: string };

export function encodeWanter(message: FromWanter): Uint8Array {
  switch (message.kind) {
    case 'hello': {
      const { protocolMin, protocolMax, cluster, node, blobId, sha512, isUrgent } = message;
      const urgent = isUrgent === true ? [true] : [];
      return packr.pack([
        HELLO,
        protocolMin,
        protocolMax,
        cluster,
        node,
        blobId,
        sha512,
        ...urgent,
      ]);
    }
    case 'want':
      return packr.pack([WANT_OR_CHUNK, message.index, ...(message.others ?? [])]);
    case 'seek':
      return packr.pack([HAVE_OR_SEEK, message.index, ...(message.others ?? [])]);
    case 'list':
      return packr.pack([REFUSAL_OR_LIST, message.first]);
    case 'credit':
      return packr.pack([CREDIT, message.grantedBytes]);
  }
}

export function encodeHolder(message: FromHolder): Uint8Array {
  switch (message.kind) {
    case 'hello': {
      const { protocolMin, protocolMax, cluster, node, sizeBytes, chunkBytes } = message;
      const greeting = [HELLO, protocolMin, protocolMax, cluster, node, sizeBytes, chunkBytes];
      return packr.pack([...greeting, OFFERS.indexOf(message.offers)]);
    }
    case 'chunk':
      return packr.pack([WANT_OR_CHUNK, message.index, message.digest]);
    case 'refusal':
      return packr.pack([REFUSAL_OR_LIST, message.code, message.message.slice(0, 1_000)]);
    case 'have':
      return packr.pack([HAVE_OR_SEEK, message.first, message.bits]);
    case 'list':
      return packr.pack([LIST, message.first, message.digests]);
    case 'elsewhere':
      return packr.pack([ELSEWHERE]);
    case 'listed':
      return packr.pack([LISTED]);
    case 'waiting':
      return packr.pack([WAITING]);
  }
}

export function decodeWanter(bytes: Uint8Array): Decoded<FromWanter> {
  const fields = unpackArray(bytes);
  const [kind, first] = fields;
  if (kind === HELLO) return wanterHello(fields);
  if (kind === WANT_OR_CHUNK && isCount(first)) return wish('want', first, fields.slice(2));
  if (kind === HAVE_OR_SEEK && isCount(first)) return wish('seek', first, fields.slice(2));
  if (kind === REFUSAL_OR_LIST && isCount(first)) return ok({ kind: 'list', first });
  if (kind === CREDIT && isCount(first)) return ok({ kind: 'credit', grantedBytes: first });
  return malformed(kind);
}

export function decodeHolder(bytes: Uint8Array): Decoded<FromHolder> {
  const fields = unpackArray(bytes);
  const [kind, first, second] = fields;
  if (kind === HELLO) return holderHello(fields);
  if (kind === WANT_OR_CHUNK && isCount(first) && isDigest(second)) {
    return ok({ kind: 'chunk', index: first, digest: Uint8Array.from(second) });
  }
  if (kind === REFUSAL_OR_LIST && isText(first) && isText(second)) {
    return ok({ kind: 'refusal', code: first, message: second });
  }
  if (kind === HAVE_OR_SEEK && isCount(first) && isBytes(second) && second.length <= HAVE_BYTES) {
    return ok({ kind: 'have', first, bits: Uint8Array.from(second) });
  }
  if (kind === LIST && isCount(first) && isBytes(second) && second.length % DIGEST_BYTES === 0) {
    return ok({ kind: 'list', first, digests: Uint8Array.from(second) });
  }
  if (kind === ELSEWHERE) return ok({ kind: 'elsewhere' });
  if (kind === LISTED) return ok({ kind: 'listed' });
  if (kind === WAITING) return ok({ kind: 'waiting' });
  return malformed(kind);
}

/** How many chunks a blob of this size has. */
export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES);
}

/** The last chunk is shorter. */
export function chunkLength(sizeBytes: number, index: number): number {
  return Math.min(CHUNK_BYTES, sizeBytes - index * CHUNK_BYTES);
}

function wanterHello(fields: readonly unknown[]): Decoded<FromWanter> {
  const [, , , , , blobId, sha512, urgent] = fields;
  const greeting = greetingOf(fields);
  if (greeting === undefined || !isText(blobId) || !isText(sha512)) return malformed(HELLO);
  const isUrgent = urgent === true ? { isUrgent: true } : {};
  return ok({ kind: 'hello', ...greeting, blobId, sha512, ...isUrgent });
}

/** Alternatives beyond MAX_CHOICES, and what is no number, are ignored: the first will do. */
function wish(kind: Wish['kind'], index: number, rest: readonly unknown[]): Decoded<FromWanter> {
  const others = rest.slice(0, MAX_CHOICES - 1).filter(isCount);
  return ok({ kind, index, ...(others.length > 0 ? { others } : {}) });
}

function holderHello(fields: readonly unknown[]): Decoded<FromHolder> {
  const [, , , , , sizeBytes, chunkBytes, said = 2] = fields;
  const greeting = greetingOf(fields);
  const offers = isCount(said) ? OFFERS[said] : undefined;
  if (greeting === undefined || !isCount(sizeBytes) || !isCount(chunkBytes) || !offers) {
    return malformed(HELLO);
  }
  return ok({ kind: 'hello', ...greeting, sizeBytes, chunkBytes, offers });
}

function greetingOf([, min, max, cluster, node]: readonly unknown[]): Greeting | undefined {
  if (!isCount(min) || !isCount(max) || !isText(cluster) || !isText(node)) return undefined;
  return { protocolMin: min, protocolMax: max, cluster, node };
}

/** Empty for whatever is no array. */
function unpackArray(bytes: Uint8Array): readonly unknown[] {
  if (bytes.byteLength > MAX_CONTROL_BYTES) return [];
  try {
    const value: unknown = packr.unpack(bytes);
    return Array.isArray(value) ? value : [];
  } catch {
    // Truncated, nested too deep, an extension that nobody knows: all the same to us.
    return [];
  }
}

function ok<T>(message: T): Decoded<T> {
  return { ok: true, message };
}

function malformed(kind: unknown): Decoded<never> {
  const what = typeof kind === 'number' ? `a malformed message of kind ${kind}` : 'no message';
  return { ok: false, reason: what };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

function isDigest(value: unknown): value is Uint8Array {
  return isBytes(value) && value.byteLength === DIGEST_BYTES;
}

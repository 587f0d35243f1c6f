// Mesh frames, protocol 1. One binary WebSocket message is one frame: a MessagePack array of items, each an array
// that begins with its kind.
//
//   hello    [0, protocolMin, protocolMax, cluster, node, bootId, version, features]   first, and alone in its frame
//   ask      [1, seq, timeoutMs, kind, id, trace, body]   time left, not a date; answered by reply or failure
//   reply    [2, seq, revision, value]
//   failure  [3, seq, code, message, detail]
//   ping     [4, count]                                    answered by pong with the same count
//   pong     [5, count]
//   goodbye  [6]                                           no asks will follow; those under way are answered
//
// F1  The socket enforces MAX_FRAME_BYTES (maxPayload) before a byte is decoded.
// F2  decodeFrame() never throws: a bad frame closes one link, not the daemon.
// F3  Fields are only ever appended, and extra ones ignored. An item of an unknown kind is counted and skipped.
// F4  A body is plain data (plain-data.ts), and `unknown` until its receiver's decoder accepts it.
import { Packr } from 'msgpackr';
import type { Detail } from '../../actors/kernel/errors.ts';
import { oddIn } from '../plain-data.ts';

export const MAX_FRAME_BYTES = 1024 * 1024;
export const MAX_ITEMS = 128;
/** Of one item: a frame of it alone still fits. */
export const MAX_ITEM_BYTES = MAX_FRAME_BYTES - 16;

const [HELLO, ASK, REPLY, FAILURE, PING, PONG, GOODBYE] = [0, 1, 2, 3, 4, 5, 6];
const packr = new Packr({ useRecords: false, structuredClone: false, int64AsType: 'number' });

export interface Hello {
  readonly kind: 'hello';
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly cluster: string;
  readonly node: string;
  readonly bootId: string;
  /** Of the software; for people. */
  readonly version: string;
  readonly features: readonly string[];
}

export interface Ask {
  readonly kind: 'ask';
  readonly seq: number;
  readonly timeoutMs: number;
  readonly to: { readonly kind: string; readonly id: string };
  readonly trace: string;
  readonly body: unknown;
}

export interface Reply {
  readonly kind: 'reply';
  readonly seq: number;
  readonly revision: number;
  readonly value: unknown;
}

export interface Failure {
  readonly kind: 'failure';
  readonly seq: number;
  readonly code: string;
  readonly message: string;
  readonly detail: Detail;
}

export type Item =
  | Hello
  | Ask
  | Reply
  | Failure
  | { readonly kind: 'ping' | 'pong'; readonly count: number }
  | { readonly kind: 'goodbye' };

export type DecodedFrame =
  | { readonly ok: true; readonly items: readonly Item[]; readonly unknown: number }
  | { readonly ok: false; readonly reason: string };

/** One item as it stands in a frame. The caller has made sure that its body is plain data. */
export function encodeItem(item: Item): Uint8Array {
  return packr.pack(fieldsOf(item));
}

/** A frame of encoded items, MAX_ITEMS at most. */
export function joinItems(items: readonly Uint8Array[]): Uint8Array {
  // MessagePack's array of 16-bit length.
  const head = Uint8Array.of(0xdc, items.length >> 8, items.length & 0xff);
  return Buffer.concat([head, ...items]);
}

function fieldsOf(item: Item): readonly unknown[] {
  switch (item.kind) {
    case 'hello': {
      const { protocolMin, protocolMax, cluster, node, bootId, version, features } = item;
      return [HELLO, protocolMin, protocolMax, cluster, node, bootId, version, features];
    }
    case 'ask':
      return [ASK, item.seq, item.timeoutMs, item.to.kind, item.to.id, item.trace, item.body];
    case 'reply':
      return [REPLY, item.seq, item.revision, item.value];
    case 'failure':
      return [FAILURE, item.seq, item.code, item.message, item.detail];
    case 'ping':
      return [PING, item.count];
    case 'pong':
      return [PONG, item.count];
    case 'goodbye':
      return [GOODBYE];
  }
}

export function decodeFrame(bytes: Uint8Array): DecodedFrame {
  const raw = unpackArray(bytes);
  if (raw === undefined || raw.length > MAX_ITEMS) return { ok: false, reason: 'not a frame' };
  const items: Item[] = [];
  let unknown = 0;
  for (const fields of raw) {
    if (!Array.isArray(fields)) return { ok: false, reason: 'an item is no array' };
    // Field by field, so that a body may be nested here as deep as where it was sent.
    if (fields.some((field) => oddIn(field) !== null)) {
      return { ok: false, reason: 'not a frame: it holds more than plain data' };
    }
    const kind: unknown = fields[0];
    if (!isCount(kind)) return { ok: false, reason: 'an item has no kind' };
    const decode = DECODERS[kind];
    if (decode === undefined) {
      unknown++;
      continue;
    }
    const item = decode(fields);
    if (item === undefined) return { ok: false, reason: `malformed item of kind ${kind}` };
    items.push(item);
  }
  return { ok: true, items, unknown };
}

function unpackArray(bytes: Uint8Array): unknown[] | undefined {
  if (bytes.byteLength > MAX_FRAME_BYTES) return undefined;
  try {
    // A copy: what is kept of the body must not keep the socket's chunk alive.
    const value: unknown = packr.unpack(Uint8Array.from(bytes));
    return Array.isArray(value) ? value : undefined;
  } catch {
    // Truncated, nested too deep, an extension that nobody knows: all the same to us.
    return undefined;
  }
}

type Decode = (fields: readonly unknown[]) => Item | undefined;

/** By kind. */
const DECODERS: readonly Decode[] = [
  decodeHello,
  decodeAsk,
  ([, seq, revision, value]) =>
    isCount(seq) && isCount(revision) ? { kind: 'reply', seq, revision, value } : undefined,
  ([, seq, code, message, detail]) =>
    isCount(seq) && isText(code) && isText(message) && isDetail(detail)
      ? { kind: 'failure', seq, code, message, detail }
      : undefined,
  ([, count]) => (isCount(count) ? { kind: 'ping', count } : undefined),
  ([, count]) => (isCount(count) ? { kind: 'pong', count } : undefined),
  () => ({ kind: 'goodbye' }),
];

function decodeHello(fields: readonly unknown[]): Hello | undefined {
  const [, protocolMin, protocolMax, cluster, node, bootId, version, features] = fields;
  if (!isCount(protocolMin) || !isCount(protocolMax)) return undefined;
  if (!isText(cluster) || !isText(node) || !isText(bootId) || !isText(version)) return undefined;
  if (!Array.isArray(features) || !features.every(isText)) return undefined;
  return { kind: 'hello', protocolMin, protocolMax, cluster, node, bootId, version, features };
}

function decodeAsk(fields: readonly unknown[]): Ask | undefined {
  const [, seq, timeoutMs, kind, id, trace, body] = fields;
  if (!isCount(seq) || typeof timeoutMs !== 'number' || timeoutMs < 0) return undefined;
  if (!isText(kind) || !isText(id) || !isText(trace)) return undefined;
  return { kind: 'ask', seq, timeoutMs, to: { kind, id }, trace, body };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isDetail(value: unknown): value is Detail {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((one) => ['string', 'number', 'boolean'].includes(typeof one));
}

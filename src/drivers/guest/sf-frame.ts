// Frames of the `sf-agent` side channel (contract: instances 12.1): `*SFv001*`, the body's length as decimal digits in square
// brackets, the body: a JSON object.
//
// F1  What is not part of a frame is skipped, and so is a frame whose body is no JSON object: the reader goes on behind it.
// F2  A body has MAX_BODY_BYTES at most; more is not waited for, nor kept.
// F3  The length counts bytes. It is written with eight digits; fewer are read too. Bodies are written in ASCII: there are
//     agents that count characters.

const PREAMBLE = Buffer.from('*SFv001*');
const MAX_DIGITS = 8;
export const MAX_BODY_BYTES = 24 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

export type SfPacket = Readonly<Record<string, unknown>> & { readonly command: string };

export function encodePacket(packet: SfPacket): Buffer {
  const body = Buffer.from(JSON.stringify(packet).replace(/[\u0080-\uffff]/g, escaped), 'latin1');
  const length = String(body.length).padStart(MAX_DIGITS, '0');
  return Buffer.concat([PREAMBLE, Buffer.from(`[${length}]`), body]);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Takes bytes as they come; gives the packets that are complete. */
export class PacketReader {
  /** What has come and is not yet part of a packet: joined only when it is looked at. */
  #chunks: Buffer[] = [];
  #sizeBytes = 0;
  /** Nothing can come of it before there is as much. */
  #neededBytes = 1;

  push(chunk: Buffer): SfPacket[] {
    this.#chunks.push(chunk);
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes < this.#neededBytes) return [];
    let bytes: Buffer = Buffer.concat(this.#chunks, this.#sizeBytes);
    const packets: SfPacket[] = [];
    this.#neededBytes = 1;
    for (;;) {
      const found = nextFrame(bytes);
      bytes = found.rest;
      if (found.kind === 'incomplete') {
        this.#neededBytes = found.neededBytes;
        break;
      }
      const packet = found.kind === 'body' ? parsePacket(found.body) : undefined;
      if (packet !== undefined) packets.push(packet);
    }
    this.#chunks = bytes.length > 0 ? [bytes] : [];
    this.#sizeBytes = bytes.length;
    return packets;
  }
}

type Found =
  | { readonly kind: 'incomplete'; readonly rest: Buffer; readonly neededBytes: number }
  | { readonly kind: 'body'; readonly rest: Buffer; readonly body: Buffer }
  /** What looked like the beginning of a frame is none. */
  | { readonly kind: 'noise'; readonly rest: Buffer };

function nextFrame(bytes: Buffer): Found {
  const at = bytes.indexOf(PREAMBLE);
  if (at < 0) {
    const rest = afterNoise(bytes);
    return { kind: 'incomplete', rest, neededBytes: rest.length + 1 };
  }
  const head = bytes.subarray(at);
  const close = head.indexOf(']', PREAMBLE.length);
  const digitsEnd = PREAMBLE.length + 1 + MAX_DIGITS;
  if (close < 0 && head.length <= digitsEnd) {
    return { kind: 'incomplete', rest: head, neededBytes: head.length + 1 };
  }
  const behind = head.subarray(PREAMBLE.length);
  const length = /^\[(\d{1,8})\]/.exec(behind.toString('latin1', 0, MAX_DIGITS + 2))?.[1];
  const sizeBytes = Number(length ?? NaN);
  if (!(sizeBytes <= MAX_BODY_BYTES)) return { kind: 'noise', rest: behind };
  const from = close + 1;
  const until = from + sizeBytes;
  if (head.length < until) return { kind: 'incomplete', rest: head, neededBytes: until };
  return { kind: 'body', body: head.subarray(from, until), rest: head.subarray(until) };
}

/** The end of it may be the beginning of a preamble. */
function afterNoise(bytes: Buffer): Buffer {
  for (let kept = Math.min(bytes.length, PREAMBLE.length - 1); kept > 0; kept--) {
    const end = bytes.subarray(bytes.length - kept);
    if (end.equals(PREAMBLE.subarray(0, kept))) return end;
  }
  return NOTHING;
}

function parsePacket(body: Buffer): SfPacket | undefined {
  try {
    const value = JSON.parse(body.toString()) as unknown;
    return isPacket(value) ? value : undefined;
  } catch {
    // F1.
    return undefined;
  }
}

function isPacket(value: unknown): value is SfPacket {
  if (typeof value !== 'object' || value === null) return false;
  return 'command' in value && typeof value.command === 'string';
}

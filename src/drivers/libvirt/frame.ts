// Frames of libvirt's RPC (virnetprotocol):
//   length      u32, of the whole frame, itself included
//   program     u32    version u32    procedure i32
//   type        u32    call 0, reply 1, message (an event) 2, stream 3
//   serial      u32    the caller's number, echoed in the reply and on its stream; 0 in messages
//   status      u32    ok 0, error 1, continue 2 (more of the stream follows)
//   payload     the rest
//
// F1  The length is checked before a byte of the frame is kept: at most MAX_FRAME_BYTES are buffered.
// F2  FrameReader.push() never throws: it says what is wrong and the caller closes the connection.
// F3  An unknown type or status is malformed. Unknown programs and procedures are the caller's matter.

/** Length word, then header. */
const LENGTH_BYTES = 4;
const HEADER_BYTES = 24;
/** libvirt's VIR_NET_MESSAGE_MAX plus the length word. */
export const MAX_FRAME_BYTES = 32 * 1024 * 1024 + LENGTH_BYTES;
/** What one stream frame may carry to any libvirtd (its legacy payload limit). */
export const MAX_STREAM_PAYLOAD_BYTES = 262_144 - HEADER_BYTES;

export const REMOTE_PROGRAM = 0x20008086;
export const QEMU_PROGRAM = 0x20008087;
export const KEEPALIVE_PROGRAM = 0x6b656570;

const TYPES = ['call', 'reply', 'message', 'stream'] as const;
const STATUSES = ['ok', 'error', 'continue'] as const;

export type FrameType = (typeof TYPES)[number];
export type FrameStatus = (typeof STATUSES)[number];

export interface Frame {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly type: FrameType;
  readonly serial: number;
  readonly status: FrameStatus;
  readonly payload: Buffer;
}

/** The frames that a chunk completed, and why nothing after them can be read, if so. */
export interface Pushed {
  readonly frames: readonly Frame[];
  readonly malformed?: string;
}

/** One frame as bytes. Version 1 of every program is the only one there has been. */
export function encodeFrame(frame: Omit<Frame, 'version'>): Buffer {
  const bytes = Buffer.alloc(LENGTH_BYTES + HEADER_BYTES + frame.payload.length);
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.writeUInt32BE(frame.program, 4);
  bytes.writeUInt32BE(1, 8);
  bytes.writeInt32BE(frame.procedure, 12);
  bytes.writeUInt32BE(TYPES.indexOf(frame.type), 16);
  bytes.writeUInt32BE(frame.serial, 20);
  bytes.writeUInt32BE(STATUSES.indexOf(frame.status), 24);
  frame.payload.copy(bytes, LENGTH_BYTES + HEADER_BYTES);
  return bytes;
}

/** Cuts a byte stream into frames. Useless after it has said `malformed`. */
export class FrameReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #buffered = 0;
  /** Bytes of the frame that is being collected; 0 while its length word is not complete. */
  #wanted = 0;

  constructor(maxBytes = MAX_FRAME_BYTES) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): Pushed {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const frames: Frame[] = [];
    for (;;) {
      if (this.#wanted === 0) {
        if (this.#buffered < LENGTH_BYTES) return { frames };
        this.#wanted = this.#joined().readUInt32BE(0);
        if (this.#wanted < LENGTH_BYTES + HEADER_BYTES || this.#wanted > this.#maxBytes) {
          return { frames, malformed: `a frame of ${this.#wanted} bytes` };
        }
      }
      if (this.#buffered < this.#wanted) return { frames };
      const frame = parseFrame(this.#shift(this.#wanted));
      this.#wanted = 0;
      if (typeof frame === 'string') return { frames, malformed: frame };
      frames.push(frame);
    }
  }

  /** Everything buffered as one piece. Called once per frame and length word, never per chunk. */
  #joined(): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && this.#chunks.length === 1) return first;
    const joined = Buffer.concat(this.#chunks, this.#buffered);
    this.#chunks = [joined];
    return joined;
  }

  #shift(size: number): Buffer {
    const joined = this.#joined();
    this.#chunks = joined.length > size ? [joined.subarray(size)] : [];
    this.#buffered = joined.length - size;
    return joined.subarray(0, size);
  }
}

/** The frame, or what is wrong with it. */
function parseFrame(bytes: Buffer): Frame | string {
  const type = TYPES[bytes.readUInt32BE(16)];
  const status = STATUSES[bytes.readUInt32BE(24)];
  if (type === undefined) return `a frame of type ${bytes.readUInt32BE(16)}`;
  if (status === undefined) return `a frame with status ${bytes.readUInt32BE(24)}`;
  return {
    program: bytes.readUInt32BE(4),
    version: bytes.readUInt32BE(8),
    procedure: bytes.readInt32BE(12),
    type,
    serial: bytes.readUInt32BE(20),
    status,
    payload: bytes.subarray(LENGTH_BYTES + HEADER_BYTES),
  };
}

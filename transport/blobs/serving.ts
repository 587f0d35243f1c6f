// One transfer, from the side of the node that holds the blob.
//
// V1  Never more in memory than the credit: a part is read only when it may be sent, and its buffer is used again.
// V2  What the peer says is checked before anything is done for it: hello first, an index within the blob, MAX_WANTED
//     chunks at most, credit that only grows and does not run ahead by more than MAX_WINDOW_BYTES.
// V3  Silence of SILENCE_MS ends it, so a peer that is gone keeps neither a file nor a buffer.
// V4  Nothing is thrown: a blob that cannot be read ends this transfer with the reason.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { codeOf, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import { judgeHello } from '../mesh/hello.ts';
import {
  CHUNK_BYTES,
  chunkCount,
  chunkLength,
  decodeWanter,
  encodeHolder,
  MAX_WANTED,
  MAX_WINDOW_BYTES,
  PART_BYTES,
  PROTOCOL,
  type FromWanter,
  type WanterHello,
} from './frame.ts';
import type { RateLimit } from './rate-limit.ts';
import { CLOSE, shortReason, type BlobWire } from './wire.ts';

/** A complete, verified replica that is open for reading. */
export interface HeldBlob {
  readonly sizeBytes: number;
  readonly sha512: string;
  /** SHA-256 of a chunk, as it was when the replica was verified. */
  digestOf(index: number): Uint8Array;
  /** Fills all of `into`. */
  read(into: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

export interface BlobHolder {
  /** Errors: `image/missing` when there is no complete replica of a blob of this id, which may be any text. */
  open(blobId: string): Promise<HeldBlob>;
}

/** Of this daemon. */
export interface BlobSelf {
  readonly cluster: string;
  readonly node: string;
}

export interface ServingOptions {
  readonly self: BlobSelf;
  /** The peer's name by its certificate. */
  readonly name: string;
  readonly wire: BlobWire;
  readonly clock: Clock;
  readonly holder: BlobHolder;
  /** False: too many others are being served. */
  readonly isWelcome: boolean;
  /** On what is sent. */
  readonly rate?: RateLimit;
  /** Once. */
  readonly onClosed: (reason: string) => void;
}

export const SILENCE_MS = 30_000;

/** The part being sent: a chunk, and how far it is. */
interface Current {
  readonly index: number;
  readonly lengthBytes: number;
  sentBytes: number;
}

export class Serving {
  readonly #options: ServingOptions;
  readonly #wanted: number[] = [];
  readonly #free: Buffer[] = [];
  #blob: HeldBlob | null = null;
  #isGreeted = false;
  #isUrgent = false;
  #isPumping = false;
  #isClosed = false;
  #current: Current | null = null;
  #grantedBytes = 0;
  #sentBytes = 0;
  #timer: Timer;

  constructor(options: ServingOptions) {
    this.#options = options;
    this.#timer = this.#listen();
  }

  /** Parts that were handed to the socket since hello, bytes. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** A message has come. */
  received(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#timer.cancel();
    this.#timer = this.#listen();
    const decoded = decodeWanter(bytes);
    if (!decoded.ok) return this.end(CLOSE.protocol, decoded.reason);
    this.#take(decoded.message);
  }

  wireClosed(reason: string): void {
    this.#close(reason);
  }

  end(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#options.wire.close(code, shortReason(reason));
    this.#close(reason);
  }

  #take(message: FromWanter): void {
    if (message.kind === 'hello') {
      if (this.#isGreeted) return this.end(CLOSE.protocol, 'a second hello');
      this.#isGreeted = true;
      this.#isUrgent = message.isUrgent === true;
      return void this.#greet(message);
    }
    if (this.#blob === null) return this.end(CLOSE.protocol, `${message.kind} before hello`);
    if (message.kind === 'want') this.#want(message.index, this.#blob);
    else this.#grant(message.grantedBytes);
    if (!this.#isClosed) void this.#pump(this.#blob);
  }

  async #greet(hello: WanterHello): Promise<void> {
    const { self, name, holder, isWelcome } = this.#options;
    const own = { ...PROTOCOL, ...self };
    const verdict = judgeHello(own, hello, name);
    if (!verdict.ok) return this.end(CLOSE.refused, verdict.reason);
    try {
      if (!isWelcome) throw new TroupeError('mesh/overloaded', 'too many transfers are under way');
      const blob = await holder.open(hello.blobId);
      // The peer may have gone while the file was opened.
      if (this.#isClosed) return void blob.close().catch(ignore);
      this.#blob = blob;
      if (blob.sha512 !== hello.sha512) throw otherContent(hello.blobId);
      const { sizeBytes } = blob;
      this.#send(encodeHolder({ kind: 'hello', ...own, sizeBytes, chunkBytes: CHUNK_BYTES }));
    } catch (error) {
      this.#refuse(error);
    }
  }

  #refuse(error: unknown): void {
    if (this.#isClosed) return;
    const [code, message] = [codeOf(error), reasonOf(error)];
    this.#send(encodeHolder({ kind: 'refusal', code, message }));
    this.end(CLOSE.refused, message);
  }

  #want(index: number, blob: HeldBlob): void {
    if (index >= chunkCount(blob.sizeBytes)) {
      return this.end(CLOSE.protocol, `there is no chunk ${index}`);
    }
    if (this.#wanted.length >= MAX_WANTED) {
      return this.end(CLOSE.protocol, `more than ${MAX_WANTED} chunks are wanted at once`);
    }
    this.#wanted.push(index);
  }

  #grant(grantedBytes: number): void {
    const isBackwards = grantedBytes < this.#grantedBytes;
    if (isBackwards || grantedBytes - this.#sentBytes > MAX_WINDOW_BYTES) {
      return this.end(CLOSE.protocol, `credit of ${grantedBytes} after ${this.#grantedBytes}`);
    }
    this.#grantedBytes = grantedBytes;
  }

  /** Sends while there is something to send and credit for it; one of these runs at a time. */
  async #pump(blob: HeldBlob): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      for (let part = this.#nextPart(blob); part !== null; part = this.#nextPart(blob)) {
        await this.#sendPart(blob, part);
      }
    } catch (error) {
      this.end(CLOSE.refused, `the replica cannot be read: ${reasonOf(error)}`);
    } finally {
      this.#isPumping = false;
      // Its file was in use until here.
      if (this.#isClosed) this.#closeBlob();
    }
  }

  #nextPart(blob: HeldBlob): Current | null {
    const credit = this.#grantedBytes - this.#sentBytes;
    if (this.#isClosed || credit <= 0) return null;
    if (this.#current !== null) return this.#current;
    const index = this.#wanted.shift();
    if (index === undefined) return null;
    this.#send(encodeHolder({ kind: 'chunk', index, digest: blob.digestOf(index) }));
    const lengthBytes = chunkLength(blob.sizeBytes, index);
    return (this.#current = { index, lengthBytes, sentBytes: 0 });
  }

  async #sendPart(blob: HeldBlob, chunk: Current): Promise<void> {
    const credit = this.#grantedBytes - this.#sentBytes;
    const length = Math.min(PART_BYTES, credit, chunk.lengthBytes - chunk.sentBytes);
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(PART_BYTES);
    const part = buffer.subarray(0, length);
    await this.#options.rate?.pass(length, this.#isUrgent);
    await blob.read(part, chunk.index * CHUNK_BYTES + chunk.sentBytes);
    if (this.#isClosed) return;
    this.#sentBytes += length;
    chunk.sentBytes += length;
    if (chunk.sentBytes === chunk.lengthBytes) this.#current = null;
    this.#options.wire.send(part, () => this.#free.push(buffer));
  }

  #send(bytes: Uint8Array): void {
    this.#options.wire.send(bytes);
  }

  #listen(): Timer {
    return this.#options.clock.after(SILENCE_MS, () => this.end(CLOSE.silent, 'silent'));
  }

  #close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.cancel();
    if (!this.#isPumping) this.#closeBlob();
    this.#options.onClosed(reason);
  }

  #closeBlob(): void {
    // It was only read: nothing is lost when the file system complains about the closing.
    void this.#blob?.close().catch(ignore);
    this.#blob = null;
  }
}

function otherContent(blobId: string): TroupeError {
  const text = `the replica of blob ${blobId} here has other content than wanted`;
  return new TroupeError('image/damaged', text);
}

function ignore(): void {}

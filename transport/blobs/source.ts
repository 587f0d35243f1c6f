// One transfer, from the side of the node that wants the blob: the link to one node that holds it.
//
// S1  A chunk counts when its bytes have the digest that was announced with it; the first that has not ends the link.
// S2  Credit is given for what was taken in, so at most WINDOW_BYTES are on their way or wait in the socket.
// S3  A source that owes something and sends nothing for STALL_MS is ended, if it does not say that others are served
//     first; so is one that does not say hello.
// S4  What was not asked for ends the link.
//     Where the list of digests is known (swarm-view.ts), the digest that is announced has to be the one listed.
// S5  A chunk that another brings by now is taken in and checked, but goes nowhere, also when it is asked for again.
import { createHash, type Hash } from 'node:crypto';
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { isErrorCode, type ErrorCode } from '../../actors/kernel/errors.ts';
import { judgeHello } from '../mesh/hello.ts';
import {
  CHUNK_BYTES,
  chunkLength,
  decodeHolder,
  encodeWanter,
  PART_BYTES,
  PROTOCOL,
  SEEK_PROTOCOL,
  SWARM_PROTOCOL,
  type FromHolder,
  type HolderHello,
  type Offers,
  type Wish,
} from './frame.ts';
import type { BlobSelf } from './serving.ts';
import type { RateLimit } from './rate-limit.ts';
import { CLOSE, shortReason, type BlobWire } from './wire.ts';

export const WINDOW_BYTES = 1024 * 1024;
/** Credit is told when this much has been taken in. */
const GRANT_BYTES = WINDOW_BYTES / 2;

/** The blob that is wanted. */
export interface WantedBlob {
  readonly blobId: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha512: string;
  /** Of the digests of its chunks, one after the other, hex; absent: not known (a blob of an older version). */
  readonly chunksSha256?: string;
  /** Somebody waits for it. */
  readonly isUrgent?: boolean;
}

export interface SourceTiming {
  readonly greetingMs: number;
  readonly stallMs: number;
}

/** Why a source has ended: `code` says whether asking it again has a point. */
export interface SourceEnd {
  readonly code: ErrorCode;
  readonly reason: string;
}

export interface SourceOptions {
  readonly self: BlobSelf;
  /** The peer's name, proved by its certificate. */
  readonly name: string;
  readonly blob: WantedBlob;
  readonly wire: BlobWire;
  readonly clock: Clock;
  readonly timing: SourceTiming;
  /** On what is taken in. */
  readonly rate?: RateLimit;
  readonly onOpen: () => void;
  /** The digest that a chunk has to have; null: not known, the holder's word counts if it has all chunks. */
  readonly digestOf: (index: number) => Uint8Array | null;
  /** It begins to send this chunk. False: the bytes are of no use. */
  readonly onBegin: (index: number) => boolean;
  /** It has these chunks too, or has given them to others if it has all; false: it cannot have. */
  readonly onHave: (first: number, bits: Uint8Array) => boolean;
  /** It brings none of the chunks that were sought with this one: others have just been given them. */
  readonly onElsewhere: (index: number) => void;
  /** It can be asked for the list, though it has a part only. */
  readonly onListed: () => void;
  /** Digests that were asked for; false: not those. */
  readonly onList: (first: number, digests: Uint8Array) => boolean;
  /** Bytes of a chunk, in order, not verified yet. */
  readonly onPart: (index: number, offset: number, bytes: Uint8Array) => void;
  /** All bytes of a chunk have come and are right. */
  readonly onChunk: (index: number, digest: Uint8Array) => void;
  /** Once. */
  readonly onEnd: (end: SourceEnd) => void;
}

interface Owed {
  /** One of these. */
  readonly choices: readonly number[];
  readonly isSeek: boolean;
  isForsaken: boolean;
}

interface Coming {
  readonly index: number;
  readonly owed: Owed;
  readonly lengthBytes: number;
  readonly digest: Uint8Array;
  readonly hash: Hash;
  gotBytes: number;
}

export class Source {
  readonly #options: SourceOptions;
  /** In the order asked, which is the order in which they come. */
  readonly #owed: Owed[] = [];
  #state: 'greeting' | 'open' | 'closed' = 'greeting';
  #coming: Coming | null = null;
  #offers: Offers = 'all';
  #protocol = 1;
  #hasList = false;
  #isListAsked = false;
  #takenBytes = 0;
  #grantedBytes = 0;
  #timer: Timer;
  /** Credit that a limit holds back. */
  #later: Timer | null = null;

  constructor(options: SourceOptions) {
    this.#options = options;
    const { self, blob, clock, timing } = options;
    const { blobId, sha512, isUrgent = false } = blob;
    this.#timer = clock.after(timing.greetingMs, () => this.#stalled('no hello in time'));
    this.#send(encodeWanter({ kind: 'hello', ...PROTOCOL, ...self, blobId, sha512, isUrgent }));
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Chunks asked for that have not come. */
  get owed(): number {
    return this.#owed.length;
  }

  /** What it is ready to send. */
  get offers(): Offers {
    return this.#offers;
  }

  /** It knows of lists, parts and choices. */
  get isSwarm(): boolean {
    return this.#protocol >= SWARM_PROTOCOL;
  }

  /** It knows of seeking. */
  get isSought(): boolean {
    return this.#protocol >= SEEK_PROTOCOL;
  }

  /** It can be asked for the list; `isVerifiable`: also if it has a part only. */
  canList(isVerifiable: boolean): boolean {
    if (!this.isOpen || !this.isSwarm) return false;
    return this.#offers !== 'some' || (isVerifiable && this.#hasList);
  }

  /** `others` would do as well; it may be named only to one that knows of choices. */
  want(index: number, others: readonly number[] = []): void {
    this.#ask({ kind: 'want', index, others });
  }

  /** The same, but it may refuse (onElsewhere); only to one that knows of seeking. */
  seek(index: number, others: readonly number[]): void {
    this.#ask({ kind: 'seek', index, others });
  }

  #ask(wish: Wish): void {
    if (this.#state !== 'open') return;
    const { kind, index, others = [] } = wish;
    this.#owed.push({ choices: [index, ...others], isSeek: kind === 'seek', isForsaken: false });
    if (this.#owed.length === 1) this.#watch();
    this.#send(encodeWanter(wish));
  }

  /** Asks for digests, from this chunk on; one answer at a time. */
  askList(first: number): void {
    if (this.#state !== 'open') return;
    this.#isListAsked = true;
    if (this.#owed.length === 0) this.#watch();
    this.#send(encodeWanter({ kind: 'list', first }));
  }

  /** Another brings this chunk now. */
  forsake(index: number): void {
    for (const owed of this.#owed) {
      const [first, ...others] = owed.choices;
      const isIt = others.length === 0 ? first === index : this.#coming?.owed === owed;
      if (isIt && (others.length === 0 || this.#coming?.index === index)) owed.isForsaken = true;
    }
  }

  received(bytes: Uint8Array): void {
    if (this.#state === 'closed') return;
    if (this.#coming !== null) return this.#takePart(bytes, this.#coming);
    const decoded = decodeHolder(bytes);
    if (!decoded.ok) return this.#broken(decoded.reason);
    this.#take(decoded.message);
  }

  wireClosed(reason: string): void {
    this.#close({ code: 'image/unreachable', reason });
  }

  /** Ends it now. */
  end(code: number, end: SourceEnd): void {
    if (this.#state === 'closed') return;
    this.#options.wire.close(code, shortReason(end.reason));
    this.#close(end);
  }

  #take(message: FromHolder): void {
    switch (message.kind) {
      case 'hello':
        return this.#greet(message);
      case 'chunk':
        return this.#begin(message.index, message.digest);
      case 'have': {
        const isGood = this.#state === 'open' && this.#options.onHave(message.first, message.bits);
        return isGood ? undefined : this.#broken(`it cannot have chunks from ${message.first} on`);
      }
      case 'list':
        return this.#takeList(message.first, message.digests);
      case 'listed': {
        if (this.#state !== 'open' || !this.isSought)
          return this.#broken('a list that is too early');
        this.#hasList = true;
        return this.#options.onListed();
      }
      case 'elsewhere':
        return this.#takeElsewhere();
      case 'waiting':
        return this.#wait();
      case 'refusal': {
        const { code, message: reason } = message;
        // A peer of a newer version may know codes that we don't.
        const known = isErrorCode(code) ? code : 'mesh/foreign-error';
        return this.end(CLOSE.done, { code: known, reason });
      }
    }
  }

  #greet(hello: HolderHello): void {
    const { self, name, blob, onOpen } = this.#options;
    if (this.#state !== 'greeting') return this.#broken('a second hello');
    const verdict = judgeHello({ ...PROTOCOL, ...self }, hello, name);
    if (!verdict.ok) {
      return this.end(CLOSE.refused, { code: 'mesh/foreign-error', reason: verdict.reason });
    }
    if (hello.sizeBytes !== blob.sizeBytes || hello.chunkBytes !== CHUNK_BYTES) {
      const reason = `a blob of ${hello.sizeBytes} bytes in chunks of ${hello.chunkBytes}, not of ${blob.sizeBytes} in chunks of ${CHUNK_BYTES}`;
      return this.end(CLOSE.protocol, { code: 'image/damaged', reason });
    }
    this.#state = 'open';
    this.#offers = hello.offers;
    this.#protocol = verdict.protocol;
    this.#timer.cancel();
    this.#grant(WINDOW_BYTES);
    onOpen();
  }

  #takeList(first: number, digests: Uint8Array): void {
    if (this.#state !== 'open' || !this.#isListAsked) return this.#broken('a list not asked for');
    this.#isListAsked = false;
    this.#watch();
    if (!this.#options.onList(first, digests)) this.#broken('not the digests that were asked for');
  }

  /** Both sides hear that the other is there. */
  #wait(): void {
    if (this.#owed.length === 0) return this.#broken('nothing is waited for');
    this.#watch();
    this.#grant(this.#grantedBytes);
  }

  #takeElsewhere(): void {
    const [owed] = this.#owed;
    const [first] = owed?.choices ?? [];
    if (owed?.isSeek !== true || first === undefined) return this.#broken('nothing was sought');
    this.#owed.shift();
    this.#watch();
    this.#options.onElsewhere(first);
  }

  #begin(index: number, digest: Uint8Array): void {
    const { blob, digestOf, onBegin } = this.#options;
    const [owed] = this.#owed;
    if (!owed?.choices.includes(index)) return this.#broken(`chunk ${index} was not asked for`);
    const known = digestOf(index);
    const isRight =
      known === null ? this.#offers === 'all' : known.every((b, i) => b === digest[i]);
    if (!isRight) {
      const reason = `chunk ${index} is damaged: it has another digest there than listed`;
      return this.end(CLOSE.protocol, { code: 'image/damaged', reason });
    }
    const lengthBytes = chunkLength(blob.sizeBytes, index);
    this.#coming = { index, owed, lengthBytes, digest, hash: createHash('sha256'), gotBytes: 0 };
    if (!onBegin(index)) owed.isForsaken = true;
  }

  #takePart(bytes: Uint8Array, chunk: Coming): void {
    const { index, owed, lengthBytes, gotBytes: offset } = chunk;
    const isTooLong = bytes.byteLength > Math.min(PART_BYTES, lengthBytes - offset);
    if (isTooLong || bytes.byteLength === 0) {
      return this.#broken(`a part of ${bytes.byteLength} bytes at ${offset} of chunk ${index}`);
    }
    if (this.#takenBytes + bytes.byteLength > this.#grantedBytes) {
      return this.#broken('it sent more than it had credit for');
    }
    chunk.hash.update(bytes);
    chunk.gotBytes += bytes.byteLength;
    this.#takenBytes += bytes.byteLength;
    if (!owed.isForsaken) this.#options.onPart(index, offset, bytes);
    if (chunk.gotBytes === lengthBytes) this.#complete(chunk);
    if (this.#state !== 'open') return;
    this.#watch();
    if (this.#takenBytes + WINDOW_BYTES - this.#grantedBytes >= GRANT_BYTES) {
      this.#grantInTime();
    }
  }

  #complete({ index, owed, hash, digest }: Coming): void {
    const { isForsaken } = owed;
    this.#coming = null;
    this.#owed.shift();
    if (!hash.digest().equals(digest)) {
      const reason = `chunk ${index} is damaged: it does not have its digest`;
      return this.end(CLOSE.protocol, { code: 'image/damaged', reason });
    }
    if (!isForsaken) this.#options.onChunk(index, digest);
  }

  /** Credit is what a limit holds back: the holder sends no more until it comes. */
  #grantInTime(): void {
    const { rate, blob, clock } = this.#options;
    if (this.#later !== null) return;
    const upTo = this.#takenBytes + WINDOW_BYTES;
    const waitMs = rate?.take(upTo - this.#grantedBytes, blob.isUrgent === true) ?? 0;
    if (waitMs === 0) return this.#grant(upTo);
    this.#later = clock.after(waitMs, () => {
      this.#later = null;
      this.#grant(upTo);
      // What has come meanwhile makes room for more, and nothing may be left to say so.
      if (this.#takenBytes + WINDOW_BYTES > upTo) this.#grantInTime();
    });
  }

  #grant(upTo: number): void {
    this.#grantedBytes = upTo;
    this.#send(encodeWanter({ kind: 'credit', grantedBytes: upTo }));
  }

  #watch(): void {
    const { clock, timing } = this.#options;
    this.#timer.cancel();
    if (this.#owed.length === 0 && !this.#isListAsked) return;
    const { stallMs } = timing;
    this.#timer = clock.after(stallMs, () => this.#stalled(`stalled: nothing for ${stallMs} ms`));
  }

  #stalled(reason: string): void {
    this.end(CLOSE.silent, { code: 'image/unreachable', reason });
  }

  #broken(reason: string): void {
    this.end(CLOSE.protocol, { code: 'mesh/foreign-error', reason });
  }

  #send(bytes: Uint8Array): void {
    this.#options.wire.send(bytes);
  }

  #close(end: SourceEnd): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#timer.cancel();
    this.#later?.cancel();
    this.#options.onEnd(end);
  }
}

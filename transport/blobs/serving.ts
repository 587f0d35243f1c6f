// One transfer, from the side of the node that holds the blob.
//
// V1  Never more in memory than the credit: a part is read only when it may be sent, and its buffer is used again.
// V2  What the peer says is checked before anything is done for it: hello first, an index within the blob, MAX_WANTED
//     chunks at most, credit that only grows and does not run ahead by more than MAX_WINDOW_BYTES.
// V3  Silence of SILENCE_MS ends it, so a peer that is gone keeps neither a file nor a buffer.
// V4  Nothing is thrown: a blob that cannot be read ends this transfer with the reason.
// V5  Of the chunks that a peer would take alike it gets the one that was sent least often from here (sent-counts.ts):
//     many who fetch at once get different ones, and bring them to each other.
// V6  A replica that is still coming in is served too, to who speaks protocol 2: the chunks that are here and verified,
//     told when they have come; and the list of digests to who speaks protocol 3, once it is known to be right. Who takes
//     from it is copying too, and is told to the copy: it may have something to give.
//     A complete one tells in the same way which chunks it has given to others: those are best had from them. What has
//     just been given to others it does not send to who only seeks it (sent-counts.ts).
// V7  One transfer too many is still given the list: with it, the peer can take from the others.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { codeOf, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import { judgeHello } from '../mesh/hello.ts';
import {
  CHUNK_BYTES,
  chunkCount,
  chunkLength,
  decodeWanter,
  DIGEST_BYTES,
  DIGESTS_PER_PAGE,
  encodeHolder,
  HAVE_BYTES,
  MAX_WANTED,
  MAX_WINDOW_BYTES,
  PART_BYTES,
  PROTOCOL,
  SEEK_PROTOCOL,
  SWARM_PROTOCOL,
  type FromWanter,
  type Offers,
  type WanterHello,
  type Wish,
} from './frame.ts';
import type { RateLimit } from './rate-limit.ts';
import type { SendSlots } from './send-slots.ts';
import type { SentCounts } from './sent-counts.ts';
import { CLOSE, shortReason, type BlobWire } from './wire.ts';

/** What is here, of a replica that is still coming in. */
export interface PartlyHere {
  /** Verified chunks; only grows. */
  readonly count: number;
  has(index: number): boolean;
  /** The digests of all chunks are here, and right. */
  readonly isListed: boolean;
  /** Somebody takes from it who copies it too. */
  takenBy(node: string): void;
}

/** A verified replica, or the verified chunks of one that is coming in, open for reading. */
export interface HeldBlob {
  /** Absent: it is complete. */
  readonly partly?: PartlyHere;
  readonly sizeBytes: number;
  readonly sha512: string;
  /** SHA-256 of a chunk, as it was when the replica was verified; of a part: of what is here, or of all that are listed. */
  digestOf(index: number): Uint8Array;
  /** Fills all of `into`. */
  read(into: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

export interface BlobHolder {
  /** Errors: `image/missing` when nothing is here of a blob of this id, which may be any text. */
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
  /** Shared with the other transfers of this node. */
  readonly counts: SentCounts;
  /** Likewise: those of transfers that somebody waits for, and of the others. */
  readonly slots: { readonly urgent: SendSlots; readonly usual: SendSlots };
  /** Once. */
  readonly onClosed: (reason: string) => void;
}

export const SILENCE_MS = 30_000;
/** How often it is looked for chunks that have come, ms; rarer for a blob of many. */
const HAVE_EVERY_MS = 25;
const CHUNKS_LOOKED_AT_PER_MS = 100;

/** Chunks of which one is wanted. */
interface Wanted {
  readonly choices: readonly number[];
  readonly isSeek: boolean;
}

/** How often who waits for others to be served is told so; well below the patience of who wants. */
const WAITING_MS = 3_000;

/** The part being sent: a chunk, and how far it is. */
interface Current {
  readonly index: number;
  readonly lengthBytes: number;
  readonly begunAtMono: number;
  sentBytes: number;
}

export class Serving {
  readonly #options: ServingOptions;
  readonly #wanted: Wanted[] = [];
  readonly #free: Buffer[] = [];
  #blob: HeldBlob | null = null;
  #isGreeted = false;
  #isUrgent = false;
  #isPumping = false;
  #isClosed = false;
  #current: Current | null = null;
  /** Chunks of which the socket has all parts, and has not let go of the last. */
  readonly #leaving = new Set<Current>();
  /** Gives back the slot that the chunk is sent in. */
  #release: (() => void) | null = null;
  #isQueued = false;
  #grantedBytes = 0;
  #sentBytes = 0;
  #offers: Offers = 'all';
  #protocol = 1;
  /** First chunk of a page of digests that is to be sent after the chunk that is on its way. */
  #listAsked: number | null = null;
  /** Of a replica that is coming in: which chunks the peer has been told of, and how many were there then. */
  #told = new Uint8Array();
  #toldCount = -1;
  #isListTold = false;
  #timer: Timer;
  #look: Timer | null = null;
  /** While others are served first. */
  #waiting: Timer | null = null;

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
    switch (message.kind) {
      case 'want':
      case 'seek':
        this.#want(message, this.#blob);
        break;
      case 'list':
        this.#list(message.first, this.#blob);
        break;
      case 'credit':
        this.#grant(message.grantedBytes);
    }
    if (!this.#isClosed) void this.#pump(this.#blob);
  }

  async #greet(hello: WanterHello): Promise<void> {
    const { self, name, holder, isWelcome } = this.#options;
    const own = { ...PROTOCOL, ...self };
    const verdict = judgeHello(own, hello, name);
    if (!verdict.ok) return this.end(CLOSE.refused, verdict.reason);
    this.#protocol = verdict.protocol;
    try {
      if (!isWelcome && !this.#isSwarm) throw tooMany();
      const blob = await holder.open(hello.blobId);
      // The peer may have gone while the file was opened.
      if (this.#isClosed) return void blob.close().catch(ignore);
      this.#blob = blob;
      if (blob.sha512 !== hello.sha512) throw otherContent(hello.blobId);
      this.#offer(blob, isWelcome, hello.blobId);
      const { sizeBytes } = blob;
      const hi = { ...own, sizeBytes, chunkBytes: CHUNK_BYTES, offers: this.#offers };
      this.#send(encodeHolder({ kind: 'hello', ...hi }));
      this.#announce(blob);
      blob.partly?.takenBy(name);
    } catch (error) {
      this.#refuse(error);
    }
  }

  get #isSwarm(): boolean {
    return this.#protocol >= SWARM_PROTOCOL;
  }

  #offer(blob: HeldBlob, isWelcome: boolean, blobId: string): void {
    const { partly, sizeBytes } = blob;
    if (partly === undefined) this.#offers = isWelcome ? 'all' : 'list';
    else if (!isWelcome) throw tooMany();
    else if (!this.#isSwarm) {
      throw new TroupeError('image/missing', `the replica of blob ${blobId} here is not complete`);
    } else this.#offers = 'some';
    this.#told = new Uint8Array(Math.ceil(chunkCount(sizeBytes) / 8));
    this.#options.counts.begin(blob.sha512, chunkCount(sizeBytes));
  }

  /** Tells of chunks that have come since; nothing may come between the parts of a chunk. */
  #announce(blob: HeldBlob): void {
    if (!this.#isSwarm || this.#offers === 'list' || this.#isClosed) return;
    const here = blob.partly ?? this.#options.counts.given(blob.sha512);
    const count = chunkCount(blob.sizeBytes);
    if (this.#current === null) {
      if (here.count !== this.#toldCount) this.#tellOf(here, count);
      this.#toldCount = here.count;
      if (this.#hasList(blob) && !this.#isListTold) this.#send(encodeHolder({ kind: 'listed' }));
      this.#isListTold = this.#hasList(blob);
    }
    if (this.#toldCount === count) return;
    const everyMs = Math.max(HAVE_EVERY_MS, count / CHUNKS_LOOKED_AT_PER_MS);
    this.#look?.cancel();
    this.#look = this.#options.clock.after(everyMs, () => this.#announce(blob));
  }

  /** Of who has a part. */
  #hasList({ partly }: HeldBlob): boolean {
    return this.#protocol >= SEEK_PROTOCOL && partly?.isListed === true;
  }

  #tellOf(here: Pick<PartlyHere, 'has'>, count: number): void {
    for (let at = 0; at < this.#told.length; at += HAVE_BYTES) {
      const known = this.#told.subarray(at, at + HAVE_BYTES);
      let isNews = false;
      for (let bit = 0; bit < known.length * 8 && at * 8 + bit < count; bit++) {
        const mask = 1 << (bit & 7);
        if (((known[bit >> 3] ?? 0) & mask) !== 0 || !here.has(at * 8 + bit)) continue;
        known[bit >> 3] = (known[bit >> 3] ?? 0) | mask;
        isNews = true;
      }
      if (isNews) this.#send(encodeHolder({ kind: 'have', first: at * 8, bits: known }));
    }
  }

  #list(first: number, blob: HeldBlob): void {
    const count = chunkCount(blob.sizeBytes);
    const hasList = blob.partly === undefined || this.#hasList(blob);
    if (!this.#isSwarm || !hasList || first >= count) {
      return this.end(CLOSE.protocol, `there are no digests from ${first} on`);
    }
    // Nothing may come between the parts of a chunk.
    if (this.#current !== null) this.#listAsked = first;
    else this.#sendList(first, blob);
  }

  #sendList(first: number, blob: HeldBlob): void {
    const last = Math.min(chunkCount(blob.sizeBytes), first + DIGESTS_PER_PAGE);
    const digests = new Uint8Array((last - first) * DIGEST_BYTES);
    for (let at = first; at < last; at++) {
      digests.set(blob.digestOf(at), (at - first) * DIGEST_BYTES);
    }
    this.#send(encodeHolder({ kind: 'list', first, digests }));
  }

  #refuse(error: unknown): void {
    if (this.#isClosed) return;
    const [code, message] = [codeOf(error), reasonOf(error)];
    this.#send(encodeHolder({ kind: 'refusal', code, message }));
    this.end(CLOSE.refused, message);
  }

  #want({ kind, index: first, others = [] }: Wish, blob: HeldBlob): void {
    const choices = [first, ...others];
    const count = chunkCount(blob.sizeBytes);
    const wrong = choices.find((index) => index >= count || blob.partly?.has(index) === false);
    if (wrong !== undefined || this.#offers === 'list') {
      return this.end(CLOSE.protocol, `there is no chunk ${wrong ?? 'for one transfer too many'}`);
    }
    if (this.#wanted.length >= MAX_WANTED) {
      return this.end(CLOSE.protocol, `more than ${MAX_WANTED} chunks are wanted at once`);
    }
    this.#wanted.push({ choices, isSeek: kind === 'seek' });
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
    this.#sendElsewhere(blob);
    if (this.#wanted.length === 0 || !this.#hasSlot(blob)) return null;
    const { counts } = this.#options;
    const { choices = [], isSeek = false } = this.#wanted.shift() ?? {};
    const index = counts.choose(
      blob.sha512,
      isSeek ? counts.notFresh(blob.sha512, choices) : choices,
    );
    this.#send(encodeHolder({ kind: 'chunk', index, digest: blob.digestOf(index) }));
    const lengthBytes = chunkLength(blob.sizeBytes, index);
    const begunAtMono = this.#options.clock.monoMs();
    return (this.#current = { index, lengthBytes, begunAtMono, sentBytes: 0 });
  }

  /** Answers those who seek what others have just been given, up to the first who gets something. */
  #sendElsewhere(blob: HeldBlob): void {
    const { counts } = this.#options;
    for (;;) {
      const [next] = this.#wanted;
      const isFresh = next?.isSeek && counts.notFresh(blob.sha512, next.choices).length === 0;
      if (isFresh !== true) return;
      this.#wanted.shift();
      this.#announce(blob);
      this.#send(encodeHolder({ kind: 'elsewhere' }));
    }
  }

  #hasSlot(blob: HeldBlob): boolean {
    if (this.#isQueued) return false;
    const { urgent, usual } = this.#options.slots;
    this.#release = (this.#isUrgent ? urgent : usual).take(() => {
      this.#isQueued = false;
      this.#waiting?.cancel();
      if (!this.#isClosed) void this.#pump(blob);
    });
    this.#isQueued = this.#release === null;
    if (this.#isQueued) this.#sayWaiting();
    return !this.#isQueued;
  }

  /** Else who waits in a long queue takes us for dead. */
  #sayWaiting(): void {
    if (this.#protocol < SEEK_PROTOCOL) return;
    this.#waiting = this.#options.clock.after(WAITING_MS, () => {
      this.#send(encodeHolder({ kind: 'waiting' }));
      this.#sayWaiting();
    });
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
    const isLast = chunk.sentBytes === chunk.lengthBytes;
    const release = isLast ? this.#release : null;
    if (isLast) this.#leaving.add(chunk);
    this.#options.wire.send(part, () => {
      this.#free.push(buffer);
      release?.();
      if (isLast) this.#left(chunk, blob);
    });
    if (!isLast) return;
    this.#current = null;
    if (this.#listAsked !== null) this.#sendList(this.#listAsked, blob);
    this.#listAsked = null;
    this.#announce(blob);
  }

  #left(chunk: Current, { sha512 }: HeldBlob): void {
    if (!this.#leaving.delete(chunk)) return;
    const { clock, counts } = this.#options;
    counts.out(sha512, chunk.index, clock.monoMs() - chunk.begunAtMono);
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
    this.#look?.cancel();
    this.#waiting?.cancel();
    this.#release?.();
    if (!this.#isPumping) this.#closeBlob();
    this.#options.onClosed(reason);
  }

  #closeBlob(): void {
    // It was only read: nothing is lost when the file system complains about the closing.
    void this.#blob?.close().catch(ignore);
    if (this.#blob !== null && this.#told.length > 0) this.#uncount(this.#blob);
    this.#blob = null;
  }

  #uncount({ sha512 }: HeldBlob): void {
    const { counts } = this.#options;
    if (this.#current !== null) this.#leaving.add(this.#current);
    for (const { index } of this.#leaving) counts.brokenOff(sha512, index);
    this.#leaving.clear();
    counts.end(sha512);
  }
}

function tooMany(): TroupeError {
  return new TroupeError('mesh/overloaded', 'too many transfers are under way');
}

function otherContent(blobId: string): TroupeError {
  const text = `the replica of blob ${blobId} here has other content than wanted`;
  return new TroupeError('image/damaged', text);
}

function ignore(): void {}

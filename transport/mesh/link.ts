// One link to one peer: hello, then asks and answers in both directions until it ends.
//
//   greeting --hello--> open --goodbye, or the other's--> draining --nothing under way--> closed
//
// L1  Nothing but hello is sent or taken before both hellos have been judged (hello.ts).
// L2  A link that ends fails its asks at once with `mesh/unreachable`, detail.ambiguous true: the peer may have
//     carried them out.
// L3  At most MAX_IN_FLIGHT asks wait for answers in each direction, and MAX_BUFFERED_BYTES for the socket: more
//     asks are refused with `mesh/overloaded`, here and there: the two ends do not give up an ask at the same
//     moment, so they count differently. A peer that does not read what it is sent loses the link.
// L4  Silence of SILENCE_MS ends the link; a ping every PING_MS asks for a sign of life.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress, type Address } from '../../actors/kernel/kind.ts';
import type { AskReply, Log } from '../../actors/kernel/ports.ts';
import { oddIn } from '../plain-data.ts';
import { encodeFailure, encodeReply, tooLarge } from './answer.ts';
import { decodeFrame, encodeItem, MAX_ITEM_BYTES } from './frame.ts';
import type { Ask, Hello, Item } from './frame.ts';
import { judgeHello } from './hello.ts';
import { Outbox } from './outbox.ts';
import { PendingAsks } from './pending.ts';

export const MAX_IN_FLIGHT = 4_096;
export const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
const GREETING_MS = 5_000;
const PING_MS = 5_000;
const SILENCE_MS = 15_000;
/** What is longer is cut: nobody waits for a day. */
const LONGEST_ASK_MS = 24 * 60 * 60 * 1_000;
/** A close takes 123 bytes, and ws throws at more. */
const MAX_REASON_BYTES = 120;

/** WebSocket close codes of ours. */
export const CLOSE = { protocol: 4000, refused: 4001, done: 4002, silent: 4003 } as const;

/** What a link needs of a socket. */
export interface Wire {
  send(frame: Uint8Array): void;
  readonly bufferedBytes: number;
  close(code: number, reason: string): void;
}

/** Carries out what a peer asks; rejects as Router.ask does. */
export type Handler = (
  to: Address,
  body: unknown,
  options: { readonly trace: string; readonly timeoutMs: number },
) => Promise<AskReply>;

export interface AskOptions {
  readonly trace: string;
  readonly timeoutMs: number;
}

export interface LinkOptions {
  readonly own: Hello;
  /** The peer's name by its certificate. */
  readonly name: string;
  readonly isDialler: boolean;
  readonly wire: Wire;
  readonly clock: Clock;
  readonly log: Log;
  readonly handle: Handler;
  readonly onOpen: (link: Link) => void;
  /** Once; `isRefused`: by a hello that was judged, here or there. */
  readonly onClosed: (link: Link, reason: string, isRefused: boolean) => void;
}

export type LinkState = 'greeting' | 'open' | 'draining' | 'closed';

type Outcome = ({ readonly ok: true } & AskReply) | { readonly ok: false; readonly error: unknown };

export class Link {
  readonly name: string;
  readonly isDialler: boolean;
  readonly #options: LinkOptions;
  readonly #outbox: Outbox;
  readonly #asks: PendingAsks;
  #state: LinkState = 'greeting';
  #peer: Hello | null = null;
  #served = 0;
  #isPeerDone = false;
  #heardAtMono: number;
  #timer: Timer;
  #pings = 0;

  constructor(options: LinkOptions) {
    const { own, name, isDialler, wire, clock } = options;
    this.#options = options;
    this.name = name;
    this.isDialler = isDialler;
    this.#outbox = new Outbox((frame) => wire.send(frame));
    this.#asks = new PendingAsks(clock);
    this.#asks.onEmpty = () => this.#closeWhenDone();
    this.#heardAtMono = clock.monoMs();
    this.#timer = clock.after(GREETING_MS, () => this.end(CLOSE.silent, 'no hello in time'));
    this.#push(own);
    this.#outbox.flush();
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Null before its hello. */
  get peer(): Hello | null {
    return this.#peer;
  }

  /** Rejects with what the peer's actor says, or with `mesh/*` or `actor/timeout`. */
  async ask(to: Address, body: unknown, options: AskOptions): Promise<AskReply> {
    const what = `${formatAddress(to)} on ${this.name}`;
    if (this.#state !== 'open') throw unreachable(this.name, `the link is ${this.#state}`, false);
    this.#checkRoom(what);
    const { trace } = options;
    const timeoutMs = Math.min(options.timeoutMs, LONGEST_ASK_MS);
    if (!(timeoutMs > 0)) throw new TroupeError('actor/timeout', `no time was left to ask ${what}`);
    const odd = oddIn(body);
    if (odd !== null) throw new TroupeError('actor/bad-message', `a message holds ${odd}`);
    const { kind, id } = to;
    const { seq, answer } = this.#asks.add(timeoutMs, what);
    const bytes = encodeItem({ kind: 'ask', seq, timeoutMs, to: { kind, id }, trace, body });
    if (bytes.byteLength <= MAX_ITEM_BYTES) this.#outbox.add(bytes);
    else this.#asks.fail(seq, tooLarge(what, bytes.byteLength));
    return answer;
  }

  /** A frame has come. */
  received(bytes: Uint8Array): void {
    if (this.#state === 'closed') return;
    this.#heardAtMono = this.#options.clock.monoMs();
    const frame = decodeFrame(bytes);
    if (!frame.ok) return this.end(CLOSE.protocol, frame.reason);
    if (frame.unknown > 0) {
      const fields = { peer: this.name, items: frame.unknown };
      this.#options.log('debug', 'items of an unknown kind, skipped', fields);
    }
    for (const item of frame.items) {
      if (this.state === 'closed') return;
      this.#take(item);
    }
  }

  /** The socket has closed, or failed. */
  wireClosed(code: number, reason: string): void {
    this.#close(reason || `the connection ended (${code})`, code === CLOSE.refused);
  }

  /** Sends no more asks; closes once nothing is under way in either direction. */
  drain(): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.#push({ kind: 'goodbye' });
    this.#closeWhenDone();
  }

  /** Ends it now. */
  end(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#outbox.flush();
    // It may quote the peer, so its length is the peer's choice.
    const short = cut(reason, MAX_REASON_BYTES);
    this.#options.wire.close(code, short);
    this.#close(short, code === CLOSE.refused);
  }

  #take(item: Item): void {
    if (this.#peer === null) {
      if (item.kind === 'hello') return this.#greet(item);
      return this.end(CLOSE.protocol, `${item.kind} before hello`);
    }
    switch (item.kind) {
      case 'hello':
        return this.end(CLOSE.protocol, 'a second hello');
      case 'ask':
        return this.#serve(item);
      case 'reply':
      case 'failure':
        return this.#asks.settle(item);
      case 'ping':
        return this.#push({ kind: 'pong', count: item.count });
      case 'pong':
        return;
      case 'goodbye':
        this.#isPeerDone = true;
        if (this.#state === 'open') return this.drain();
        return this.#closeWhenDone();
    }
  }

  #greet(peer: Hello): void {
    const { own, onOpen } = this.#options;
    const verdict = judgeHello(own, peer, this.name);
    if (!verdict.ok) return this.end(CLOSE.refused, verdict.reason);
    this.#peer = peer;
    this.#state = 'open';
    this.#timer.cancel();
    this.#beat();
    onOpen(this);
  }

  #serve(ask: Ask): void {
    if (this.#served >= MAX_IN_FLIGHT) {
      const { node } = this.#options.own;
      const text = `${formatAddress(ask.to)}: too much is under way on ${node}; try again`;
      return this.#send(encodeFailure(ask.seq, new TroupeError('mesh/overloaded', text)));
    }
    this.#served++;
    void this.#answer(ask);
  }

  async #answer(ask: Ask): Promise<void> {
    const outcome = await this.#carryOut(ask);
    this.#served--;
    // Encoded only here: for a peer that has gone there may be thousands.
    if (this.#state === 'closed') return;
    this.#send(outcome.ok ? encodeReply(ask.seq, outcome) : encodeFailure(ask.seq, outcome.error));
    this.#closeWhenDone();
  }

  /** Never rejects: a handler that throws or answers nonsense has failed, as one that rejects. */
  async #carryOut({ to, body, trace, timeoutMs }: Ask): Promise<Outcome> {
    try {
      const { value, revision } = await this.#options.handle(to, body, { trace, timeoutMs });
      return { ok: true, value, revision };
    } catch (error) {
      return { ok: false, error };
    }
  }

  #checkRoom(what: string): void {
    const isFull = this.#asks.size >= MAX_IN_FLIGHT || this.#buffered > MAX_BUFFERED_BYTES;
    if (!isFull) return;
    throw new TroupeError('mesh/overloaded', `${what}: too much is on its way there; try again`);
  }

  get #buffered(): number {
    return this.#outbox.bytes + this.#options.wire.bufferedBytes;
  }

  #beat(): void {
    const { clock } = this.#options;
    this.#timer = clock.after(PING_MS, () => {
      const silentMs = clock.monoMs() - this.#heardAtMono;
      if (silentMs >= SILENCE_MS)
        return this.end(CLOSE.silent, `silent for ${Math.round(silentMs)} ms`);
      this.#push({ kind: 'ping', count: ++this.#pings });
      this.#beat();
    });
  }

  #push(item: Item): void {
    this.#send(encodeItem(item));
  }

  /** For what is not refused when the socket is full: answers, and signs of life. */
  #send(item: Uint8Array): void {
    this.#outbox.add(item);
    if (this.#buffered > 2 * MAX_BUFFERED_BYTES)
      this.end(CLOSE.protocol, 'the peer does not read what it is sent');
  }

  /** The last answer must be out before the socket is closed: end() flushes. */
  #closeWhenDone(): void {
    if (this.#state !== 'draining' || !this.#isPeerDone) return;
    if (this.#asks.size === 0 && this.#served === 0) this.end(CLOSE.done, 'done');
  }

  #close(reason: string, isRefused: boolean): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#timer.cancel();
    this.#asks.failAll(unreachable(this.name, reason, true));
    this.#options.onClosed(this, reason, isRefused);
  }
}

/** `isAmbiguous`: the peer may have carried the ask out. */
export function unreachable(node: string, why: string, isAmbiguous: boolean): TroupeError {
  const text = `${node} is out of reach: ${why}`;
  return new TroupeError('mesh/unreachable', text, { node, ambiguous: isAmbiguous });
}

/** At most `maxBytes` of UTF-8, no character cut in two. */
function cut(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text).subarray(0, maxBytes);
  return new TextDecoder().decode(bytes, { stream: true });
}

// What a daemon knows of one peer: the link in use, the dialling, and how it went.
//
// E1  One link per pair. When both have dialled, the link that the lower name dialled stays; the other is drained,
//     so nothing on it is lost. Both ends judge alike, in whatever order they see the links. An end may hear of
//     the draining before it sees the other link: messages then wait for that one.
// E2  A peer with another boot id is a new one: links to the old one end at once.
// E3  After a failure it is not dialled for a while (back-off with jitter), and asks fail at once with the reason.
//     A link that has held for HELD_MS ends the back-off.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress, type Address } from '../../actors/kernel/kind.ts';
import type { AskReply } from '../../actors/kernel/ports.ts';
import { CLOSE, unreachable, type AskOptions, type Link } from './link.ts';

const HELD_MS = 5_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** Asks that may wait for one dialling. */
const MAX_WAITING = 1_000;

export interface PeerOptions {
  /** Of this daemon. */
  readonly self: string;
  readonly name: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Begins to dial; ends in opened() or failed(). */
  readonly dial: () => void;
}

export class Peer {
  readonly #options: PeerOptions;
  #link: Link | null = null;
  #openedAtMono = 0;
  /** What messages wait for while there is no link. */
  #coming: PromiseWithResolvers<Link> | null = null;
  /** Until our dialling has come to a link or nothing; another link may have come before that. */
  #isDialling = false;
  #waiting = 0;
  #failures = 0;
  #blocked: { readonly untilMono: number; readonly reason: string } | null = null;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  /** The link that takes asks. */
  get link(): Link | null {
    return this.#link?.state === 'open' ? this.#link : null;
  }

  /** Why it is not dialled at the moment. */
  get trouble(): string | null {
    return this.#isBlocked ? (this.#blocked?.reason ?? null) : null;
  }

  async ask(to: Address, body: unknown, options: AskOptions): Promise<AskReply> {
    if (this.link !== null) return this.link.ask(to, body, options);
    const { clock } = this.#options;
    const endAtMono = clock.monoMs() + options.timeoutMs;
    const link = await this.#linkBy(endAtMono, to);
    const left = { ...options, timeoutMs: endAtMono - clock.monoMs() };
    // A better one may have come in between.
    return (this.link ?? link).ask(to, body, left);
  }

  /** Both hellos of a link have been accepted (E1, E2). */
  opened(link: Link): void {
    if (link.isDialler) this.#isDialling = false;
    const current = this.#link;
    const isRestarted = current !== null && current.peer?.bootId !== link.peer?.bootId;
    if (current !== null && !isRestarted && this.#isBetter(current, link)) return link.drain();
    this.#link = link;
    this.#openedAtMono = this.#options.clock.monoMs();
    this.#blocked = null;
    this.#coming?.resolve(link);
    this.#coming = null;
    if (isRestarted) current.end(CLOSE.done, 'the peer has restarted');
    else current?.drain();
  }

  /** A link that was opened has ended. */
  closed(link: Link, reason: string): void {
    if (this.#link !== link) return;
    this.#link = null;
    const heldMs = this.#options.clock.monoMs() - this.#openedAtMono;
    if (heldMs >= HELD_MS) this.#failures = 0;
    else this.#block(reason);
  }

  /** The dialling has come to nothing. */
  failed(reason: string): void {
    this.#isDialling = false;
    if (this.link !== null) return;
    this.#block(reason);
    this.#coming?.reject(unreachable(this.#options.name, reason, false));
    this.#coming = null;
  }

  #isBetter(current: Link, link: Link): boolean {
    return current.state === 'open' && this.#diallerOf(current) < this.#diallerOf(link);
  }

  #diallerOf(link: Link): string {
    return link.isDialler ? this.#options.self : link.name;
  }

  async #linkBy(endAtMono: number, to: Address): Promise<Link> {
    const { name, clock } = this.#options;
    if (this.#isBlocked) throw unreachable(name, this.#blocked?.reason ?? '', false);
    if (this.#waiting >= MAX_WAITING) {
      const text = `${name} is being dialled and too many messages wait for it; try again`;
      throw new TroupeError('mesh/overloaded', text);
    }
    const coming = this.#dialled();
    let timer: Timer | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const text = `${formatAddress(to)}: ${name} could not be reached in time`;
      timer = clock.after(endAtMono - clock.monoMs(), () =>
        reject(new TroupeError('actor/timeout', text)),
      );
    });
    this.#waiting++;
    try {
      return await Promise.race([coming, late]);
    } finally {
      this.#waiting--;
      timer?.cancel();
    }
  }

  /** The link to come, of a dialling that is under way or begins. */
  #dialled(): Promise<Link> {
    const coming = (this.#coming ??= Promise.withResolvers<Link>());
    // Each waiter hears of a failure by itself; one whose time is up does not listen any more.
    coming.promise.catch(() => undefined);
    if (!this.#isDialling) {
      this.#isDialling = true;
      // May fail at once.
      this.#options.dial();
    }
    return coming.promise;
  }

  get #isBlocked(): boolean {
    return this.#blocked !== null && this.#options.clock.monoMs() < this.#blocked.untilMono;
  }

  #block(reason: string): void {
    const { clock, random } = this.#options;
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures++;
    const untilMono = clock.monoMs() + (longest * (1 + random())) / 2;
    this.#blocked = { untilMono, reason };
  }
}

// Keeps one lease alive and knows, by our own clock, until when its holder may act on it. Both stores
// use it; how a renewal travels is the link's business.
//
// A1  Valid until: the sending of the last *answered* renewal + TTL - margin, monotonic. The server
//     counts its TTL from a later moment (when the renewal arrived), so it cannot be over there first.
// A2  Once the deadline has passed the lease is lost for good: an answer that arrives later, as after
//     a pause of the process, revives nothing.
// A3  Renewals go out every third of the TTL. One that is not answered within a quarter of it is given
//     up and the link is made anew, so that a dead connection costs one renewal and not the lease.
// A4  Exactly one end: lost (once, to every listener) or revoked.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { backoff, type Backoff } from './backoff.ts';
import type { Lease, LeaseEnd } from './store.ts';

/** How renewals travel. */
export interface LeaseLink {
  /** Sends one renewal; resolves to whether the server still has the lease. Rejects when the link failed. */
  renew(id: string): Promise<boolean>;
  /** Drops the connection; the next renewal makes a new one. */
  reset(): void;
  /** Ends the link for good. */
  close(): void;
  /** Deletes the lease on the server. */
  revoke(id: string): Promise<void>;
}

export interface Grant {
  readonly id: string;
  readonly ttlMs: number;
  /** Clock.monoMs() just before the grant was asked for. */
  readonly sentAtMono: number;
}

export interface LeaseKeeperOptions {
  readonly clock: Clock;
  readonly link: LeaseLink;
  readonly random: () => number;
  /** Called when nothing is left to keep: the lease ended, whichever way. */
  readonly onEnd: () => void;
}

/** Clock drift between us and the server, and a turn of a busy event loop. */
export function leaseMarginMs(ttlMs: number): number {
  return Math.max(500, ttlMs / 10);
}

export class LeaseKeeper implements Lease {
  readonly id: string;
  readonly ttlMs: number;
  readonly #clock: Clock;
  readonly #link: LeaseLink;
  readonly #backoff: Backoff;
  readonly #onEnd: () => void;
  readonly #listeners: ((end: LeaseEnd) => void)[] = [];
  #validUntil: number;
  #ended: LeaseEnd | 'revoked' | null = null;
  /** Answers to renewals before the current one are ignored. */
  #attempt = 0;
  #deadline: Timer | undefined;
  #next: Timer | undefined;

  constructor(grant: Grant, options: LeaseKeeperOptions) {
    this.id = grant.id;
    this.ttlMs = grant.ttlMs;
    this.#clock = options.clock;
    this.#link = options.link;
    this.#onEnd = options.onEnd;
    this.#backoff = backoff(50, grant.ttlMs / 10, options.random);
    this.#validUntil = grant.sentAtMono + grant.ttlMs - leaseMarginMs(grant.ttlMs);
    this.#armDeadline();
    this.#renewIn(grant.ttlMs / 3);
  }

  validUntilMono(): number {
    return this.#ended === null ? this.#validUntil : -Infinity;
  }

  onLost(listener: (end: LeaseEnd) => void): void {
    if (this.#ended === null) this.#listeners.push(listener);
    else if (this.#ended !== 'revoked') listener(this.#ended);
  }

  async revoke(): Promise<void> {
    if (this.#ended === null) this.#stop('revoked');
    await this.#link.revoke(this.id);
  }

  /** The store is closing: over for the holder, left to expire on the server. */
  close(): void {
    this.#lose('closed');
  }

  #renewIn(delayMs: number): void {
    this.#next = this.#clock.after(delayMs, () => this.#renew());
  }

  #renew(): void {
    if (this.#isOver()) return;
    const attempt = ++this.#attempt;
    const sentAtMono = this.#clock.monoMs();
    this.#next = this.#clock.after(this.ttlMs / 4, () => this.#failed(attempt));
    this.#link.renew(this.id).then(
      (alive) => this.#answered(attempt, sentAtMono, alive),
      () => this.#failed(attempt),
    );
  }

  #answered(attempt: number, sentAtMono: number, alive: boolean): void {
    if (attempt !== this.#attempt || this.#isOver()) return;
    if (!alive) return this.#lose('gone');
    this.#attempt++;
    this.#next?.cancel();
    this.#backoff.reset();
    this.#validUntil = sentAtMono + this.ttlMs - leaseMarginMs(this.ttlMs);
    this.#armDeadline();
    this.#renewIn(sentAtMono + this.ttlMs / 3 - this.#clock.monoMs());
  }

  #failed(attempt: number): void {
    if (attempt !== this.#attempt || this.#isOver()) return;
    this.#attempt++;
    this.#next?.cancel();
    this.#link.reset();
    this.#renewIn(this.#backoff.nextMs());
  }

  #armDeadline(): void {
    this.#deadline?.cancel();
    this.#deadline = this.#clock.after(this.#validUntil - this.#clock.monoMs(), () => {
      if (!this.#isOver()) this.#armDeadline();
    });
  }

  /** Also notices a deadline that passed while no timer could fire (A2). */
  #isOver(): boolean {
    if (this.#ended === null && this.#clock.monoMs() >= this.#validUntil) this.#lose('deadline');
    return this.#ended !== null;
  }

  #lose(end: LeaseEnd): void {
    if (this.#ended !== null) return;
    this.#stop(end);
    for (const listener of this.#listeners.splice(0)) listener(end);
  }

  #stop(end: LeaseEnd | 'revoked'): void {
    this.#ended = end;
    this.#deadline?.cancel();
    this.#next?.cancel();
    this.#link.close();
    this.#onEnd();
  }
}

// Notices a daemon that no longer answers although its socket is open (virkeepaliveprotocol).
//
// K1  Any bytes from the peer count as life. Only silence for an interval is answered with a ping.
// K2  Each timer tick counts one silence, so a process that was stopped for a while and wakes up does
//     not take its own sleep for the daemon's.

/** virkeepaliveprotocol's two procedures; messages with serial 0 and no payload. */
export const KEEPALIVE_PING = 1;
export const KEEPALIVE_PONG = 2;

export interface KeepaliveOptions {
  readonly intervalMs: number;
  /** Unanswered pings after which the peer is taken for dead. */
  readonly misses: number;
}

export class Keepalive {
  readonly #options: KeepaliveOptions;
  readonly #timer: NodeJS.Timeout;
  #heard = true;
  #unanswered = 0;

  constructor(options: KeepaliveOptions, act: { ping: () => void; dead: () => void }) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(act), options.intervalMs);
    this.#timer.unref();
  }

  /** Something arrived. */
  heard(): void {
    this.#heard = true;
    this.#unanswered = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(act: { ping: () => void; dead: () => void }): void {
    if (this.#heard) {
      this.#heard = false;
      return;
    }
    if (this.#unanswered === this.#options.misses) return act.dead();
    this.#unanswered++;
    act.ping();
  }
}

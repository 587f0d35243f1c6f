// One ask as its sender sees it: a promise with a deadline, settled exactly once.
import { TroupeError } from './errors.ts';
import type { Timer } from './clock.ts';
import { formatAddress, type Address } from './kind.ts';
import type { Reply } from './mail.ts';
import type { AskReply } from './ports.ts';
import type { Timers } from './timers.ts';

/** Rejects with `actor/timeout` after `timeoutMs`. */
export class PendingAsk implements Reply {
  readonly promise: Promise<AskReply>;
  readonly #timer: Timer;
  readonly #resolve: (reply: AskReply) => void;
  readonly #reject: (error: TroupeError) => void;
  #isSettled = false;

  constructor(timers: Timers, timeoutMs: number, to: Address) {
    const { promise, resolve, reject } = Promise.withResolvers<AskReply>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = timers.after(timeoutMs, () => {
      this.reject(
        new TroupeError('actor/timeout', `no reply within ${timeoutMs} ms: ${formatAddress(to)}`),
      );
    });
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  resolve(reply: AskReply): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#timer.cancel();
    this.#resolve(reply);
  }

  reject(error: TroupeError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#timer.cancel();
    this.#reject(error);
  }
}

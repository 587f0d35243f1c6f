// Unary calls to etcd: deadlines, retries where a retry is harmless, and an end that waits for them.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { backoff } from './backoff.ts';
import { isUnsent, toTroupeError } from './etcd-error.ts';

/** gRPC's deadline is a wall-clock instant; grpc-js turns it into a timer at once. */
export interface CallOptions {
  readonly deadline: number;
}

type Attempt<T> = (call: CallOptions) => Promise<T>;

export interface EtcdCallsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** From the caller's call to its answer or error, tries included. */
  readonly timeoutMs: number;
}

export class EtcdCalls {
  readonly #options: EtcdCallsOptions;
  readonly #underWay = new Set<Promise<unknown>>();
  /**
   * Neither our clock's timers nor gRPC's keep a process alive. While a call is under way something
   * must: a daemon that stops would end in the middle of its last write.
   */
  #hold: NodeJS.Timeout | undefined;
  isClosed = false;

  constructor(options: EtcdCallsOptions) {
    this.#options = options;
  }

  /** Throws store/closed after close(). */
  checkOpen(): void {
    if (this.isClosed) throw new TroupeError('store/closed', 'the store client is closed');
  }

  /** For what may run twice. One try takes at most half the time, so a stalled connection leaves a second chance on a fresh one. */
  repeatable<T>(attempt: Attempt<T>): Promise<T> {
    return this.#track(this.#run(attempt, this.#options.timeoutMs / 2, () => true, false));
  }

  /** For what must not run twice: tried again only when it provably never left. */
  once<T>(attempt: Attempt<T>): Promise<T> {
    return this.#track(this.#run(attempt, this.#options.timeoutMs, isUnsent, true));
  }

  /** Refuses new calls, and resolves when those under way have ended. */
  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.allSettled(this.#underWay);
  }

  async #run<T>(
    attempt: Attempt<T>,
    tryMs: number,
    mayRepeat: (error: unknown) => boolean,
    changes: boolean,
  ): Promise<T> {
    const { clock, random, timeoutMs } = this.#options;
    const endAtMono = clock.monoMs() + timeoutMs;
    const pauses = backoff(20, 500, random);
    for (;;) {
      this.checkOpen();
      const leftMs = endAtMono - clock.monoMs();
      try {
        return await attempt({ deadline: Date.now() + Math.min(tryMs, leftMs) });
      } catch (error) {
        const typed = toTroupeError(error, changes);
        const pauseMs = pauses.nextMs();
        const inTime = clock.monoMs() + pauseMs < endAtMono;
        if (typed.code !== 'store/unavailable' || !inTime || !mayRepeat(error)) throw typed;
        await new Promise<void>((resolve) => void clock.after(pauseMs, resolve));
      }
    }
  }

  async #track<T>(call: Promise<T>): Promise<T> {
    this.#underWay.add(call);
    this.#hold ??= setInterval(() => undefined, 60_000);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
      if (this.#underWay.size === 0) {
        clearInterval(this.#hold);
        this.#hold = undefined;
      }
    }
  }
}

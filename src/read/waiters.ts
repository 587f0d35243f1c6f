// Those who wait for something to become true of the copy, each with a deadline.
//
// W1  A waiter is looked at only when what it waits for may have changed: its own object, or the revision.
// W2  Whatever becomes of it (found, late, failed), nothing of it is kept.
// W3  A condition that throws fails the wait of whoever asked, not the feed that woke it.
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Clock } from '../../actors/kernel/clock.ts';

/** True: whoever waited has been told. */
type Check = () => boolean;

export class Waiters {
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Set<Check>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many wait. */
  get size(): number {
    return this.#byKey.values().reduce((sum, checks) => sum + checks.size, 0);
  }

  /** Resolves with the first defined answer of `find`, now or after a wake(key). Error: `actor/timeout`, saying `what`. */
  wait<T>(key: string, find: () => T | undefined, timeoutMs: number, what: string): Promise<T> {
    const now = find();
    if (now !== undefined) return Promise.resolve(now);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const check = () => {
      try {
        const value = find();
        if (value !== undefined) resolve(value);
        return value !== undefined;
      } catch (error) {
        reject(error);
        return true;
      }
    };
    this.#add(key, check);
    const timer = this.#clock.after(timeoutMs, () => {
      this.#remove(key, check);
      reject(new TroupeError('actor/timeout', what));
    });
    return promise.finally(() => timer.cancel());
  }

  /** What `key` stands for has changed. */
  wake(key: string): void {
    for (const check of this.#byKey.get(key) ?? []) if (check()) this.#remove(key, check);
  }

  #add(key: string, check: Check): void {
    const checks = this.#byKey.get(key);
    if (checks === undefined) this.#byKey.set(key, new Set([check]));
    else checks.add(check);
  }

  #remove(key: string, check: Check): void {
    const checks = this.#byKey.get(key);
    checks?.delete(check);
    if (checks?.size === 0) this.#byKey.delete(key);
  }
}

// One piece of work at a time per key, in the order asked; different keys go in parallel.
//
// T1  Work of one key never overlaps, also when an earlier piece failed.
// T2  A key without work takes no memory.

/** A queue per key. */
export class Turns {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` after everything asked before for `key` has ended; resolves or rejects as it does. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const turn = before.then(work);
    const tail = turn.then(ignore, ignore).then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    this.#tails.set(key, tail);
    return turn;
  }

  /** Resolves when all that was asked so far has ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values());
  }
}

/** The caller of run() handles the failure; the queue only needs to know that the turn is over. */
function ignore(): void {}

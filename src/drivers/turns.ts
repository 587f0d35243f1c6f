// Order among pieces of work: one at a time per key, and a limited number at a time in all.
//
// U1  Work of one key never overlaps, also when an earlier piece failed.
// U2  A key without work takes no memory.
// U3  A slot is handed on in the order asked, also when the work in it failed.

/** A queue per key. */
export class Turns {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` after everything asked before for `key` has ended; settles as it does. */
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

/** At most `count` pieces at a time; the others wait in the order they came. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

/** The caller of run() handles the failure; the queue only needs to know that the turn is over. */
function ignore(): void {}

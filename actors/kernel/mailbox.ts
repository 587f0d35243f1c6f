// A bounded first-in, first-out queue: what waits for an actor's next turn.

export class Mailbox<T> {
  readonly limit: number;
  #queue: T[];
  #head = 0;

  constructor(limit: number, waiting: readonly T[] = []) {
    this.limit = limit;
    this.#queue = [...waiting];
  }

  get size(): number {
    return this.#queue.length - this.#head;
  }

  get isFull(): boolean {
    return this.size >= this.limit;
  }

  /** Appends without regard to the limit; callers ask isFull first unless the entry may not be lost. */
  push(entry: T): void {
    this.#queue.push(entry);
  }

  shift(): T | undefined {
    const entry = this.#queue[this.#head];
    if (entry === undefined) return undefined;
    this.#head++;
    this.#compact();
    return entry;
  }

  /** Empties the queue and returns what was in it, in order. */
  takeAll(): readonly T[] {
    const rest = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    return rest;
  }

  /** Array.shift() moves every element; cutting off the used half now and then is O(1) per entry. */
  #compact(): void {
    if (this.size === 0) {
      this.#queue.length = 0;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}

// How often an actor has been restarted of late.

/** Counts restarts within a sliding window, in ms of a monotonic clock. */
export class Restarts {
  readonly #windowMs: number;
  #timesMono: number[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  count(nowMono: number): number {
    this.#timesMono = this.#timesMono.filter((time) => nowMono - time < this.#windowMs);
    return this.#timesMono.length;
  }

  add(nowMono: number): void {
    this.#timesMono.push(nowMono);
  }
}

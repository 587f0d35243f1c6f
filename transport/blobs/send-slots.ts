// How many chunks leave this node at a time. Sent one after the other the first ones can be passed on by who has them while
// the next are on their way; sent all at once every taker has half of something, and nobody anything to give.
//
// S1  First come, first served.
// S2  A slot is held for MOST_HELD_MS at most: who takes slowly holds up nobody for longer.
import type { Clock } from '../../actors/kernel/clock.ts';

/** Enough to keep a link full. */
export const SLOTS = 4;
const MOST_HELD_MS = 2_000;

export class SendSlots {
  readonly #clock: Pick<Clock, 'after'>;
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(slots: number, clock: Pick<Clock, 'after'>) {
    this.#free = slots;
    this.#clock = clock;
  }

  /** What gives it back, once or more often; null: none is free, and `whenFree` is called when one may be. */
  take(whenFree: () => void): (() => void) | null {
    if (this.#free === 0) {
      this.#waiting.push(whenFree);
      return null;
    }
    this.#free--;
    let isHeld = true;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      timer.cancel();
      this.#free++;
      this.#wake();
    };
    const timer = this.#clock.after(MOST_HELD_MS, release);
    return release;
  }

  /** Who is called may be gone, and take none: then the next is. */
  #wake(): void {
    while (this.#free > 0) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next();
    }
  }
}

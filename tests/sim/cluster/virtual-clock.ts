// Time for many daemons in one process: it moves only when told to, from one timer to the next.
//
// C1  Timers fire in the order of their due times; those of one moment in the order in which they were set.
// C2  After each timer everything comes to rest before the next fires: promises, and what was handed to
//     setImmediate. So the order of things depends on nothing but the run itself.
// C3  A machine that is paused hears and does nothing; its time goes on. What came due meanwhile happens when
//     it wakes, in order.
// C4  A daemon that has died has no time any more: none of its timers fires.
import type { Clock, Timer } from '../../../actors/kernel/clock.ts';

/** When runs begin; a round number is easy on the eyes in a trace. */
const WALL_START_MS = 1_800_000_000_000;

interface Entry {
  readonly dueMono: number;
  readonly serial: number;
  run: (() => void) | null;
}

/** Lets everything that needs no timer come to rest (C2). */
export async function rest(): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (process.getActiveResourcesInfo().includes('Immediate'));
}

export class VirtualClock implements Clock {
  readonly #heap: Entry[] = [];
  #mono = 0;
  #serial = 0;
  /** Timers that have fired. */
  fired = 0;
  /** Called when everything is at rest after each timer. */
  onRest: () => void = () => {};

  nowMs(): number {
    return WALL_START_MS + this.#mono;
  }

  monoMs(): number {
    return this.#mono;
  }

  after(delayMs: number, run: () => void): Timer {
    const entry: Entry = {
      dueMono: this.#mono + Math.max(0, delayMs),
      serial: ++this.#serial,
      run,
    };
    this.#push(entry);
    return { cancel: () => void (entry.run = null) };
  }

  /** Moves time on by `byMs`, one timer after another. */
  async advance(byMs: number): Promise<void> {
    const end = this.#mono + byMs;
    await rest();
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      this.#mono = Math.max(this.#mono, next.dueMono);
      this.fired++;
      next.run();
      await rest();
      this.onRest();
    }
    this.#mono = end;
  }

  /** Takes the first that is due by `endMono` and not cancelled. */
  #next(endMono: number): { readonly dueMono: number; readonly run: () => void } | null {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.dueMono > endMono) return null;
      this.#pop();
      const { dueMono, run } = first;
      first.run = null;
      if (run !== null) return { dueMono, run };
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(entry, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
      const isRight = left !== undefined && right !== undefined && isBefore(right, left);
      const least = isRight ? right : left;
      if (least === undefined || !isBefore(least, last)) break;
      heap[at] = least;
      at = isRight ? 2 * at + 2 : 2 * at + 1;
    }
    heap[at] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMono < b.dueMono || (a.dueMono === b.dueMono && a.serial < b.serial);
}

/** A clock that can stand still for those who look at it (C3), and end (C4). */
export class LocalClock implements Clock {
  readonly #clock: Clock;
  #held: (() => void)[] = [];
  #isPaused = false;
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  monoMs(): number {
    return this.#clock.monoMs();
  }

  after(delayMs: number, run: () => void): Timer {
    let isCancelled = false;
    const fire = () => {
      if (isCancelled || this.#isOver) return;
      if (this.#isPaused) this.#held.push(fire);
      else run();
    };
    const timer = this.#clock.after(delayMs, fire);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** What came due meanwhile happens in turns of its own. */
  resume(): void {
    this.#isPaused = false;
    for (const fire of this.#held.splice(0)) this.#clock.after(0, fire);
  }

  /** Nothing fires any more. */
  end(): void {
    this.#isOver = true;
    this.#held = [];
  }
}

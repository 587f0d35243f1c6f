// All of a runtime's timers on one clock timer: a heap of due times. A thousand one-second node timers
// cost 3 % of a core; a heap costs nothing until the earliest is due.
//
// W1  Delays count on the monotonic clock; only atWall() looks at the wall clock, at least every minute,
//     so a clock that is set is noticed.
// W2  A callback that throws does not stop the others.
// W3  close() cancels everything; afterwards nothing fires and nothing can be armed.
import type { Clock, Timer } from './clock.ts';

const WALL_CHECK_MS = 60_000;
/** Values of Entry.index outside of the heap. */
const IDLE = -1;
const DUE = -2;

class Entry implements Timer {
  dueMono: number;
  run: () => void;
  /** Position in the heap, or IDLE, or DUE while its turn in one firing is still to come. */
  index = IDLE;
  readonly #timers: Timers;

  constructor(timers: Timers, dueMono: number, run: () => void) {
    this.#timers = timers;
    this.dueMono = dueMono;
    this.run = run;
  }

  cancel(): void {
    this.#timers.remove(this);
  }
}

export class Timers {
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #heap: Entry[] = [];
  #armed: { readonly timer: Timer; readonly dueMono: number } | null = null;
  #isClosed = false;

  constructor(clock: Clock, onError: (error: unknown) => void) {
    this.#clock = clock;
    this.#onError = onError;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Runs once after `delayMs` (any length; 0 or less: as soon as the clock turns). */
  after(delayMs: number, run: () => void): Timer {
    const entry = new Entry(this, this.#clock.monoMs() + Math.max(0, delayMs), run);
    this.#insert(entry);
    return entry;
  }

  /** Runs once when the wall clock has reached `wallMs`. */
  atWall(wallMs: number, run: () => void): Timer {
    const untilDue = () => Math.min(Math.max(0, wallMs - this.#clock.nowMs()), WALL_CHECK_MS);
    const entry = new Entry(this, this.#clock.monoMs() + untilDue(), () => {
      if (this.#clock.nowMs() >= wallMs) return run();
      entry.dueMono = this.#clock.monoMs() + untilDue();
      this.#insert(entry);
    });
    this.#insert(entry);
    return entry;
  }

  close(): void {
    this.#isClosed = true;
    this.#armed?.timer.cancel();
    this.#armed = null;
    for (const entry of this.#heap) entry.index = IDLE;
    this.#heap.length = 0;
  }

  /** Idempotent. The clock stays armed: an early wake-up is cheaper than arming it for every ask. */
  remove(entry: Entry): void {
    const { index } = entry;
    entry.index = IDLE;
    if (index < 0) return;
    const last = this.#heap.pop();
    if (last === undefined || last === entry) return;
    this.#place(last, index);
    this.#siftUp(last);
    this.#siftDown(last);
  }

  #insert(entry: Entry): void {
    if (this.#isClosed) return;
    this.#heap.push(entry);
    entry.index = this.#heap.length - 1;
    this.#siftUp(entry);
    if (entry.index === 0) this.#arm();
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || this.#isClosed) return;
    if (this.#armed !== null && this.#armed.dueMono <= first.dueMono) return;
    this.#armed?.timer.cancel();
    const timer = this.#clock.after(first.dueMono - this.#clock.monoMs(), () => this.#fire());
    this.#armed = { timer, dueMono: first.dueMono };
  }

  #fire(): void {
    this.#armed = null;
    for (const entry of this.#takeDue()) {
      // One callback may cancel another that is due in the same firing.
      if (entry.index !== DUE) continue;
      entry.index = IDLE;
      try {
        entry.run();
      } catch (error) {
        this.#onError(error);
      }
    }
    this.#arm();
  }

  /** All of them before the first runs: a callback that arms itself for now waits for the next firing. */
  #takeDue(): Entry[] {
    const nowMono = this.#clock.monoMs();
    const due: Entry[] = [];
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.dueMono > nowMono) break;
      this.remove(first);
      first.index = DUE;
      due.push(first);
    }
    return due;
  }

  #place(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    entry.index = index;
  }

  #siftUp(entry: Entry): void {
    while (entry.index > 0) {
      const { index } = entry;
      const parent = this.#heap[(index - 1) >> 1];
      if (parent === undefined || parent.dueMono <= entry.dueMono) return;
      this.#place(entry, parent.index);
      this.#place(parent, index);
    }
  }

  #siftDown(entry: Entry): void {
    for (;;) {
      const { index } = entry;
      const left = this.#heap[2 * index + 1];
      const right = this.#heap[2 * index + 2];
      const least =
        right !== undefined && left !== undefined && right.dueMono < left.dueMono ? right : left;
      if (least === undefined || least.dueMono >= entry.dueMono) return;
      this.#place(entry, least.index);
      this.#place(least, index);
    }
  }
}

// Time as everything that decides sees it: injected, so that the simulation can turn it by hand.
//
// C1  Deadlines that guard ownership use monoMs(): wall clocks jump.
// C2  nowMs() is for what people and snapshots see.

export interface Timer {
  /** Idempotent; a timer that has fired is cancelled. */
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  nowMs(): number;
  /** Monotonic, milliseconds from an arbitrary start. */
  monoMs(): number;
  /** Runs once after `delayMs` (any length; 0 or less: the next turn). Does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
}

/** Node truncates delays to 31 bits, and 3,000,000,000 ms would fire after 1 ms. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(delayMs, run) {
    let handle: NodeJS.Timeout;
    const arm = (left: number) => {
      const step = Math.max(0, Math.min(left, LONGEST_DELAY_MS));
      handle = setTimeout(() => (left > step ? arm(left - step) : run()), step);
      handle.unref();
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

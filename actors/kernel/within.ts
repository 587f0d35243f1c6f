// Waiting with an end.
import type { Timers } from './timers.ts';

/** True when `work` settled within `delayMs`, false when it did not. Never rejects. */
export function within(timers: Timers, delayMs: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = timers.after(delayMs, () => resolve(false));
    const settled = () => {
      timer.cancel();
      resolve(true);
    };
    work.then(settled, settled);
  });
}

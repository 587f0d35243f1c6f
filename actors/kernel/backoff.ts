// How long to wait before trying again.

export interface BackoffRange {
  /** The first pause, ms. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

/**
 * The pause after the `failures`-th failure in a row (from 1): doubling up to the maximum, then spread
 * over its upper half by `random` in [0, 1), so that many waiters do not return together.
 */
export function backoffMs(range: BackoffRange, failures: number, random: number): number {
  const doublings = Math.min(Math.max(0, failures - 1), 30);
  const ceiling = Math.min(range.backoffMs * 2 ** doublings, range.maxBackoffMs);
  return ceiling / 2 + (ceiling / 2) * random;
}

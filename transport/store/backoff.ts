// Pauses between attempts: doubling, with jitter so that a cluster does not knock in step.

export interface Backoff {
  /** The next pause in ms: between half and the whole of the current step. */
  nextMs(): number;
  /** The next pause is a first one again. */
  reset(): void;
}

/** `random` is uniform in [0, 1); injected so that a simulation replays. */
export function backoff(firstMs: number, mostMs: number, random: () => number): Backoff {
  let stepMs = firstMs;
  return {
    nextMs() {
      const pauseMs = stepMs * (0.5 + random() / 2);
      stepMs = Math.min(mostMs, stepMs * 2);
      return pauseMs;
    },
    reset: () => void (stepMs = firstMs),
  };
}

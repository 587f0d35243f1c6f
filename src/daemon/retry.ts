// Tries again what another daemon did not answer: for as long as somebody waits, and not longer.
import type { Clock } from '../../actors/kernel/clock.ts';
import { codeOf, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { backoff } from '../../transport/store/backoff.ts';

export interface Patience {
  readonly clock: Clock;
  readonly random: { number(): number };
  readonly log: Log;
  /** Ends the trying. */
  readonly signal: AbortSignal;
  readonly patienceMs: number;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Resolves with what `attempt` comes to. Rejects with its error when that is no use to try again, or when time is up: then
 * with how long it was tried, and `wayOut`; with the signal's reason when that was aborted.
 */
export async function retry<T>(
  { clock, random, log, signal, patienceMs }: Patience,
  attempt: () => Promise<T>,
  wayOut: string,
): Promise<T> {
  const endAtMono = clock.monoMs() + patienceMs;
  const pauses = backoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, () => random.number());
  for (;;) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TroupeError) || error.retry === 'never') throw error;
      const pauseMs = pauses.nextMs();
      if (clock.monoMs() + pauseMs >= endAtMono) throw givenUp(error, patienceMs, wayOut);
      log('info', 'tried again soon', { reason: reasonOf(error), pauseMs });
      await pause(clock, pauseMs, signal);
    }
  }
}

function givenUp(error: TroupeError, patienceMs: number, wayOut: string): TroupeError {
  const reason = `${reasonOf(error)} (tried for ${patienceMs / 1000} s): ${wayOut}`;
  return new TroupeError(codeOf(error), reason, error.detail, error);
}

function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.after(delayMs, end);
    signal.addEventListener('abort', end, { once: true });
  });
}

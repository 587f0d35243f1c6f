// Waiting for a condition of the outside world, with a deadline.
import { setTimeout as delay } from 'node:timers/promises';
import { TroupeError } from '../../actors/kernel/errors.ts';

const PAUSE_MS = 200;

/** Asks until `look` gives something. Errors: `actor/timeout`, saying what did not happen; the reason of `stop`. */
export async function until<T>(
  what: string,
  { timeoutMs, stop }: { readonly timeoutMs: number; readonly stop?: AbortSignal | undefined },
  look: () => Promise<T | undefined>,
): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > giveUpAt) {
      throw new TroupeError('actor/timeout', `${what} did not happen within ${timeoutMs / 1000} s`);
    }
    await delay(PAUSE_MS);
    stop?.throwIfAborted();
  }
}

// Waits for a condition, never for time to pass.
import { setTimeout as delay } from 'node:timers/promises';

/** Resolves when the condition holds; rejects when it does not within the deadline. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 5000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`not within ${deadlineMs} ms: ${String(condition)}`);
    await delay(2);
  }
}

// Waiting for a condition of the real world, with a deadline.
import { setTimeout as delay } from 'node:timers/promises';

/** Resolves once `holds` returns true; rejects, naming `what`, when it has not by the deadline. */
export async function waitUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadlineAtMono = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadlineAtMono) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(20);
  }
}

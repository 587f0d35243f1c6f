// Looking again and again, through outages of the API, until Ctrl-C.
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../client/api-error.ts';
import type { Call } from './command.ts';

/** The API cannot answer just now, which says nothing about what was asked. */
export function isOutage(error: unknown): error is ApiError {
  return error instanceof ApiError && [0, 502, 503, 504].includes(error.status);
}

/** Repeats `step` until Ctrl-C, then returns. An outage is told once; every other error ends it. */
export async function repeat({ world, say }: Call, step: () => Promise<void>): Promise<void> {
  const { signal, pollMs } = world;
  let isOut = false;
  try {
    for (;;) {
      try {
        await step();
        isOut = false;
      } catch (error) {
        if (signal.aborted || !isOutage(error)) throw error;
        if (!isOut) say(`${error.message}; trying again`);
        isOut = true;
      }
      await delay(pollMs, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

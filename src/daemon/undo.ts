// What has to be taken apart again, newest first.
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';

export type Undo = (() => Promise<void>)[];

/** Runs and forgets every step, also after one that failed: shards are handed over although the API would not close. */
export async function unwind(undo: Undo, log: Log): Promise<void> {
  for (const step of undo.splice(0).reverse()) {
    try {
      await step();
    } catch (error) {
      log('error', 'a part of the daemon was not stopped cleanly', { reason: reasonOf(error) });
    }
  }
}

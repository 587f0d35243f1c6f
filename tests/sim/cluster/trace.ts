// What happened in a run, in order: one digest of it all, to compare runs with, and lines for people.
import { createHash } from 'node:crypto';
import type { Clock } from '../../../actors/kernel/clock.ts';
import type { Change } from '../../../transport/store/store.ts';

export class Trace {
  readonly #clock: Clock;
  readonly #hash = createHash('sha256');
  readonly #print: ((line: string) => void) | null;

  constructor(clock: Clock, print: ((line: string) => void) | null) {
    this.#clock = clock;
    this.#print = print;
  }

  /** Something that is done to the cluster, or that it does. */
  note(text: string): void {
    const line = `${(this.#clock.monoMs() / 1000).toFixed(3)} ${text}`;
    this.#hash.update(line);
    this.#print?.(line);
  }

  /** A revision of the store, bytes included. */
  changes(changes: readonly Change[]): void {
    for (const change of changes) {
      this.#hash.update(`${this.#clock.monoMs()} ${change.revision} ${change.kind} ${change.key}`);
      if (change.kind === 'put') this.#hash.update(change.entry.value);
    }
  }

  /** Of everything so far; nothing may follow. */
  digest(): string {
    return this.#hash.digest('hex').slice(0, 16);
  }
}

// Removes what has been kept for long enough, every now and then, in slices that let others have their turn.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import type { Archive } from './archive.ts';
import type { Retention } from './retention.ts';

export interface SweeperOptions {
  readonly node: string;
  readonly archive: Pick<Archive, 'open' | 'sweep'>;
  readonly retention: Retention;
  readonly clock: Clock;
  /** For when, uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

const EVERY_MS = 3_600_000;
const SLICE = 500;
const PAUSE_MS = 20;

export class Sweeper {
  readonly #options: SweeperOptions;
  #timer: Timer | undefined;
  #isStopped = false;
  #sweeping: Promise<void> = Promise.resolve();
  #endPause: () => void = () => {};

  constructor(options: SweeperOptions) {
    this.#options = options;
    // Soon after the start, for a daemon that is never up for long.
    this.#sweepIn(EVERY_MS * 0.1 * (1 + options.random()));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#endPause();
    await this.#sweeping;
  }

  #sweepIn(ms: number): void {
    const { clock, random, log } = this.#options;
    this.#timer = clock.after(ms, () => {
      this.#sweeping = this.#sweep()
        .catch((error: unknown) =>
          log('warn', 'old history was not removed', { reason: reasonOf(error) }),
        )
        .then(() => {
          if (!this.#isStopped) this.#sweepIn(EVERY_MS * (0.5 + random()));
        });
    });
  }

  async #sweep(): Promise<void> {
    const { node, archive, retention, clock } = this.#options;
    const { cursor: revision } = await archive.open();
    const sweep = { node, startedAtMs: clock.nowMs(), revision, retention, slice: SLICE };
    while (!this.#isStopped && (await archive.sweep(sweep))) await this.#pause();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(PAUSE_MS, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

// Does the same again and again, with a pause between the end of one run and the start of the next, until stopped.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import type { Log } from '../../actors/kernel/ports.ts';

export interface RepeatingOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Between the end of one run and the start of the next. */
  readonly everyMs: number;
  /** Before the first; default `everyMs`. */
  readonly firstMs?: number;
  /** Gets the trace id of this run. What it throws is logged with `failed`, and the next run comes as ever. */
  readonly run: (trace: string) => Promise<void>;
  readonly trace: () => string;
  /** What the log says when a run throws. */
  readonly failed: string;
}

/** Runs until stopped; stop() waits for the run under way, and never rejects. */
export class Repeating {
  readonly #options: RepeatingOptions;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: RepeatingOptions) {
    this.#options = options;
    this.#schedule(options.firstMs ?? options.everyMs);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped) return;
    const { clock, everyMs } = this.#options;
    this.#timer = clock.after(delayMs, () => {
      this.#running = this.#run().finally(() => this.#schedule(everyMs));
    });
  }

  async #run(): Promise<void> {
    const { run, log, failed } = this.#options;
    const trace = this.#options.trace();
    try {
      await run(trace);
    } catch (error) {
      log('warn', failed, { trace, error });
    }
  }
}

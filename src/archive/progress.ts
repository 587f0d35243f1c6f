// When to say how far the archive has recorded: rarely, since each saying is a write to the store and a sync of the file, and
// never when there was nothing to record.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';

export interface ProgressOptions {
  /** Makes what has been recorded safe. */
  readonly flush: () => Promise<void>;
  /** Errors: `store/*`. */
  readonly say: (revision: number) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Events that the outbox keeps for us until we say that we have them. */
const MANY = 500;
const LATEST_MS = 10_000;
const AGAIN_MS = 30_000;

export class Progress {
  readonly #options: ProgressOptions;
  #revision = 0;
  #events = 0;
  #timer: Timer | undefined;
  #dueAtMono = Infinity;
  #saying: Promise<void> | null = null;
  #isClosed = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  /** Everything up to `revision` is recorded; `events` of it are new. */
  recorded(revision: number, events: number): void {
    this.#revision = revision;
    this.#events += events;
    if (events > 0) this.#sayIn(this.#events >= MANY ? 0 : LATEST_MS);
  }

  /** Says the last that was recorded, if that is more than was said. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#saying;
    if (this.#events > 0) await this.#say();
  }

  #sayIn(ms: number): void {
    const { clock } = this.#options;
    const dueAtMono = clock.monoMs() + ms;
    if (this.#isClosed || this.#saying !== null || dueAtMono >= this.#dueAtMono) return;
    this.#timer?.cancel();
    this.#dueAtMono = dueAtMono;
    this.#timer = clock.after(ms, () => {
      this.#dueAtMono = Infinity;
      this.#saying = this.#say().then((isSaid) => {
        this.#saying = null;
        if (!isSaid) this.#sayIn(AGAIN_MS);
        else if (this.#events > 0) this.#sayIn(LATEST_MS);
      });
    });
  }

  async #say(): Promise<boolean> {
    const { flush, say, log } = this.#options;
    const [revision, events] = [this.#revision, this.#events];
    try {
      await flush();
      await say(revision);
      this.#events = events === Infinity ? 0 : this.#events - events;
      return true;
    } catch (error) {
      log('warn', 'how far history is recorded was not said', { reason: reasonOf(error) });
      return false;
    }
  }
}

// Asks that were sent over one link and wait for their answer.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { isErrorCode, TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { AskReply } from '../../actors/kernel/ports.ts';
import type { Failure, Reply } from './frame.ts';

interface Waiting {
  readonly outcome: PromiseWithResolvers<AskReply>;
  readonly timer: Timer;
}

export class PendingAsks {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #seq = 0;
  /** The last one has been settled. */
  onEmpty: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** A new ask: its number, and the promise of its answer; rejects with `actor/timeout` after `timeoutMs`. */
  add(
    timeoutMs: number,
    what: string,
  ): { readonly seq: number; readonly answer: Promise<AskReply> } {
    const seq = ++this.#seq;
    const outcome = Promise.withResolvers<AskReply>();
    const timer = this.#clock.after(timeoutMs, () => {
      const text = `no reply within ${Math.round(timeoutMs)} ms: ${what}`;
      this.#take(seq)?.outcome.reject(new TroupeError('actor/timeout', text));
    });
    this.#waiting.set(seq, { outcome, timer });
    return { seq, answer: outcome.promise };
  }

  /** An answer that comes after its deadline is dropped. */
  settle(answer: Reply | Failure): void {
    const outcome = this.#take(answer.seq)?.outcome;
    if (answer.kind === 'failure') return outcome?.reject(toError(answer));
    const { value, revision } = answer;
    // Plain data by the frame's decoder; what it means is for the asker to check.
    outcome?.resolve({ value: value as Json, revision });
  }

  fail(seq: number, error: TroupeError): void {
    this.#take(seq)?.outcome.reject(error);
  }

  failAll(error: TroupeError): void {
    for (const seq of this.#waiting.keys()) this.#take(seq)?.outcome.reject(error);
  }

  #take(seq: number): Waiting | undefined {
    const waiting = this.#waiting.get(seq);
    waiting?.timer.cancel();
    if (this.#waiting.delete(seq) && this.#waiting.size === 0) this.onEmpty();
    return waiting;
  }
}

/** A peer of a newer version may know codes that we don't. */
function toError({ code, message, detail }: Failure): TroupeError {
  if (isErrorCode(code)) return new TroupeError(code, message, detail);
  return new TroupeError('mesh/foreign-error', `${code}: ${message}`, { ...detail, code });
}

// The line between one client and the in-memory cluster, with the faults of a real one.
//
// N1  A request takes effect or not when it arrives, and its answer may be lost afterwards: both look
//     alike to the caller (store/unavailable, ambiguous). Nothing is told that the caller of a real
//     store could not know.
// N2  Without faults an answer is ready in the same turn; a delay runs on the injected clock.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';

/** What becomes of one request. */
export type Fate = 'pass' | 'lose-request' | 'lose-answer' | 'refuse';

/** up; refused: nothing gets out and the caller knows at once; stalled: a black hole until deadlines pass. */
export type LinkState = 'up' | 'refused' | 'stalled';

export type CallKind = 'read' | 'txn' | 'lease' | 'renew';

/** Faults of one client, changed at will while it runs. */
export class Faults {
  /** One way, ms. */
  delayMs = 0;
  /** Decides each request's fate while the link is up; for seeded faults. */
  fate: (call: CallKind) => Fate = () => 'pass';
  readonly #listeners = new Set<() => void>();
  #link: LinkState = 'up';

  get link(): LinkState {
    return this.#link;
  }

  set link(state: LinkState) {
    this.#link = state;
    for (const listener of this.#listeners) listener();
  }

  /** Calls when the link's state is set; the returned function ends it. */
  onLink(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

export class MemoryLink {
  readonly faults = new Faults();
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #underWay = new Set<Promise<unknown>>();
  isClosed = false;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Throws store/closed after close(). */
  checkOpen(): void {
    if (this.isClosed) throw new TroupeError('store/closed', 'the store client is closed');
  }

  /** Carries one request to `serve` and its answer back. Errors: what serve throws; store/unavailable. */
  async call<T>(kind: CallKind, serve: () => T): Promise<T> {
    this.checkOpen();
    const call = this.#carry(kind, serve);
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }

  /** Refuses new calls, and resolves when those under way have ended. */
  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.allSettled(this.#underWay);
  }

  async #carry<T>(kind: CallKind, serve: () => T): Promise<T> {
    const endAtMono = this.#clock.monoMs() + this.#timeoutMs;
    const fate = this.faults.link === 'up' ? this.faults.fate(kind) : 'pass';
    if (this.faults.link === 'refused' || fate === 'refuse') throw unavailable(false);
    await this.#travel();
    const arrived = this.faults.link === 'up' && fate !== 'lose-request';
    const answer = arrived ? settle(serve) : undefined;
    await this.#travel();
    const late = this.#clock.monoMs() > endAtMono;
    if (answer !== undefined && this.faults.link === 'up' && fate !== 'lose-answer' && !late)
      return answer();
    await this.#until(endAtMono);
    throw unavailable(kind === 'txn');
  }

  #travel(): Promise<void> {
    return this.faults.delayMs > 0 ? this.#pause(this.faults.delayMs) : Promise.resolve();
  }

  async #until(mono: number): Promise<void> {
    const leftMs = mono - this.#clock.monoMs();
    if (leftMs > 0) await this.#pause(leftMs);
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(delayMs, resolve));
  }
}

/** Runs it now and tells its outcome later: an error of the server is an answer, and may be lost as one. */
function settle<T>(serve: () => T): () => T {
  try {
    const value = serve();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function unavailable(ambiguous: boolean): TroupeError {
  const outcome = ambiguous ? '; whether it took effect is unknown, read again' : '';
  return new TroupeError('store/unavailable', `the store did not answer${outcome}`, { ambiguous });
}

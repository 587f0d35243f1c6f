// What all typed objects are: the last view of one, and how to get a newer one.
import { NotFoundError, ObjectFailedError, WaitTimeoutError } from '../api-error.ts';
import type { Observable } from 'rxjs';
import { eventStream, type EventFilter, type StreamItem } from '../event-stream.ts';
import type { Operator } from '../operator.ts';

export interface WaitOptions {
  /** Default ten minutes. */
  readonly timeoutMs?: number;
  /** Between two looks; default 500 ms. */
  readonly pollMs?: number;
  readonly signal?: AbortSignal;
}

export interface StatefulView {
  readonly state: string;
}

const TIMEOUT_MS = 600_000;
const POLL_MS = 500;

export abstract class Handle<V extends StatefulView> {
  protected readonly operator: Operator;
  #view: V;

  constructor(operator: Operator, view: V) {
    this.operator = operator;
    this.#view = view;
  }

  /** What errors, and events, call it. */
  protected abstract readonly kind: string;

  /** How the API names it, whatever else has its name. */
  abstract get id(): string;

  protected abstract fetch(): Promise<V>;

  /** As it was when it was last looked at. */
  get view(): V {
    return this.#view;
  }

  get state(): string {
    return this.#view.state;
  }

  /** Why it failed, if it says so. */
  protected failure(_view: V): string | null {
    return null;
  }

  /** Looks again. Error: NotFoundError. */
  async refresh(): Promise<this> {
    this.#view = await this.fetch();
    return this;
  }

  protected saw(view: V): this {
    this.#view = view;
    return this;
  }

  /**
   * Resolves once it is in that state, or the condition holds. Errors: ObjectFailedError when it gets to `error` instead,
   * WaitTimeoutError, the signal's reason, and what refresh() throws; something deleted that is forgotten by now counts as
   * deleted.
   */
  async waitUntil(goal: string | ((view: V) => boolean), options: WaitOptions = {}): Promise<this> {
    const { timeoutMs = TIMEOUT_MS, pollMs = POLL_MS, signal } = options;
    const isThere = typeof goal === 'string' ? (view: V) => view.state === goal : goal;
    const givenUpAtMs = performance.now() + timeoutMs;
    for (;;) {
      try {
        await this.refresh();
      } catch (error) {
        if (goal === 'deleted' && error instanceof NotFoundError) return this;
        throw error;
      }
      if (isThere(this.#view)) return this;
      // Of an instance also `creating-error` and its like: what is left of it is being cleaned up.
      if (/(^|-)error$/.test(this.state) && goal !== 'deleted') throw this.#failed();
      if (performance.now() >= givenUpAtMs) {
        const wanted = typeof goal === 'string' ? goal : 'as wanted';
        throw new WaitTimeoutError(
          `${this.kind} ${this.id} is ${this.state}, not ${wanted}, after ${timeoutMs} ms`,
        );
      }
      await pause(pollMs, signal);
    }
  }

  /** What happens to it: see Troupe.events(). */
  events(filter: Pick<EventFilter, 'types' | 'after'> = {}): Observable<StreamItem> {
    const { kind, id } = this;
    return eventStream(this.operator.connection, { ...filter, kind, id });
  }

  #failed(): ObjectFailedError {
    const reason = this.failure(this.#view) ?? 'its events say why';
    return new ObjectFailedError(this.kind, this.id, reason);
  }
}

function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Of a wish that is to be granted once, however often it has to be sent. */
export function wishKey(): string {
  return crypto.randomUUID();
}

// Counters of one runtime, for metrics. Cardinality is bounded by kinds, messages and effects.

export interface EffectStats {
  readonly started: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly aborted: number;
  /** Attempts beyond the first of each run. */
  readonly retries: number;
  /** Of the runs that ended, from first attempt to the recorded outcome. */
  readonly totalMs: number;
  readonly maxMs: number;
}

export type EffectEnd = 'succeeded' | 'failed' | 'aborted';
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Counts turns, crashes, dead letters and effects; read as plain numbers. */
export class Stats {
  turns = 0;
  writes = 0;
  refusals = 0;
  crashes = 0;
  restarts = 0;
  parks = 0;
  storeFailures = 0;
  readonly #deadLetters = new Map<string, number>();
  readonly #effects = new Map<string, Mutable<EffectStats>>();

  /** A message that reached nobody and that nobody waits for. */
  deadLetter(kind: string, message: string, reason: string): void {
    const key = `${kind} ${message} ${reason}`;
    this.#deadLetters.set(key, (this.#deadLetters.get(key) ?? 0) + 1);
  }

  /** `kind message reason` -> count. */
  get deadLetters(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#deadLetters);
  }

  /** `kind/effect` -> counters. */
  get effects(): Readonly<Record<string, EffectStats>> {
    return Object.fromEntries([...this.#effects].map(([name, row]) => [name, { ...row }]));
  }

  effectStarted(kind: string, effect: string): void {
    this.#row(kind, effect).started++;
  }

  effectRetried(kind: string, effect: string): void {
    this.#row(kind, effect).retries++;
  }

  effectEnded(kind: string, effect: string, end: EffectEnd, durationMs: number): void {
    const row = this.#row(kind, effect);
    row[end]++;
    row.totalMs += durationMs;
    row.maxMs = Math.max(row.maxMs, durationMs);
  }

  #row(kind: string, effect: string): Mutable<EffectStats> {
    const key = `${kind}/${effect}`;
    const known = this.#effects.get(key);
    if (known !== undefined) return known;
    const row = {
      started: 0,
      succeeded: 0,
      failed: 0,
      aborted: 0,
      retries: 0,
      totalMs: 0,
      maxMs: 0,
    };
    this.#effects.set(key, row);
    return row;
  }
}

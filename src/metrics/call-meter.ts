// Measures calls by what they do: how long they take, and with which code they fail. Bounded: the caller names
// operations from a list of its own, and codes are from the table of errors.
import type { Clock } from '../../actors/kernel/clock.ts';
import { codeOf } from '../../actors/kernel/errors.ts';
import type { Sample } from './exposition.ts';
import { Histogram } from './histogram.ts';

export class CallMeter {
  readonly #clock: Clock;
  readonly #durations = new Map<string, Histogram>();
  /** By operation, then by code. */
  readonly #errors = new Map<string, Map<string, number>>();
  inFlight = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Passes on what `call` resolves to or rejects with. */
  async measure<T>(operation: string, call: () => Promise<T>): Promise<T> {
    const begunMono = this.#clock.monoMs();
    this.inFlight++;
    try {
      return await call();
    } catch (error) {
      this.#failed(operation, codeOf(error));
      throw error;
    } finally {
      this.inFlight--;
      this.#duration(operation).observe((this.#clock.monoMs() - begunMono) / 1000);
    }
  }

  /** Labelled with the operation. */
  durations(): Sample[] {
    return [...this.#durations].map(([operation, histogram]) => ({
      labels: [operation],
      histogram,
    }));
  }

  /** Labelled with operation and code. */
  errors(): { readonly labels: readonly [string, string]; readonly value: number }[] {
    return [...this.#errors].flatMap(([operation, codes]) =>
      [...codes].map(([code, value]) => ({ labels: [operation, code] as const, value })),
    );
  }

  #duration(operation: string): Histogram {
    const known = this.#durations.get(operation);
    if (known !== undefined) return known;
    const histogram = new Histogram();
    this.#durations.set(operation, histogram);
    return histogram;
  }

  #failed(operation: string, code: string): void {
    const codes = this.#errors.get(operation) ?? new Map<string, number>();
    this.#errors.set(operation, codes);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
}

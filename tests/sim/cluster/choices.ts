// Seeded choices of one simulation: what is done next, to whom, and how often.

export class Choices {
  readonly #number: () => number;

  constructor(number: () => number) {
    this.#number = number;
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.#number() < probability;
  }

  /** Uniform in [least, most). */
  between(least: number, most: number): number {
    return least + this.#number() * (most - least);
  }

  pick<T>(values: readonly T[]): T {
    const picked = values[Math.floor(this.#number() * values.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  /** By weight; rows with weight 0 are never picked. */
  weighted<T>(rows: readonly (readonly [number, T])[]): T {
    let left = this.#number() * rows.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of rows) {
      left -= weight;
      if (left < 0) return value;
    }
    throw new Error('nothing to pick from');
  }
}

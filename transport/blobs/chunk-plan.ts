// Which node brings which chunk. Pure: time comes in as an argument.
//
// P1  A chunk has one bringer at a time: only what that one sends is written, so no two write over each other. Who
//     takes it over says whose it was, and that one's bytes are no longer for the file.
// P2  The chunks of one that is dropped go to the others, first of all.
// P3  When nothing is left to give out, an idle one takes over what another has owed for longer than it would take
//     itself, twice: the last chunks do not wait for the slowest.
// P4  A chunk that has come whole is never asked for again.

/** How much longer another must have owed a chunk than we take for one. */
const PATIENCE = 2;
/** Weight of the last chunk in the mean. */
const WEIGHT = 0.25;
/** Nobody is impatient before this, ms: on a quick link a pause of the other process is longer than many chunks. */
const LEAST_MS = 50;
/** What a chunk takes one that has not brought any, ms. */
const UNKNOWN_MS = 500;

/** A chunk to bring. */
export interface Given {
  readonly index: number;
  /** Who was to bring it until now. */
  readonly takenFrom: string | null;
}

interface Owed {
  readonly by: string;
  readonly sinceMono: number;
}

export class ChunkPlan {
  /** Given out from the end. */
  readonly #waiting: number[];
  readonly #owed = new Map<number, Owed>();
  /** Mean time from giving out to having come, ms, by who brings. */
  readonly #meanMs = new Map<string, number>();

  /** `missing`: the chunks to bring, in rising order. */
  constructor(missing: readonly number[]) {
    this.#waiting = missing.toReversed();
  }

  get isComplete(): boolean {
    return this.#waiting.length === 0 && this.#owed.size === 0;
  }

  /** Chunks that have not come. */
  get left(): number {
    return this.#waiting.length + this.#owed.size;
  }

  /** The next chunk for `source` to bring; null when there is none for it at the moment. */
  take(source: string, nowMono: number): Given | null {
    const index = this.#waiting.pop() ?? this.#late(source, nowMono);
    if (index === null) return null;
    const takenFrom = this.#owed.get(index)?.by ?? null;
    this.#owed.set(index, { by: source, sinceMono: nowMono });
    return { index, takenFrom };
  }

  /** It has come whole. False when somebody else was to bring it by now. */
  came(source: string, index: number, nowMono: number): boolean {
    const owed = this.#owed.get(index);
    if (owed?.by !== source) return false;
    this.#owed.delete(index);
    const tookMs = nowMono - owed.sinceMono;
    const mean = this.#meanMs.get(source) ?? tookMs;
    this.#meanMs.set(source, mean + WEIGHT * (tookMs - mean));
    return true;
  }

  /** It brings nothing more. */
  drop(source: string): void {
    const given = [...this.#owed].filter(([, { by }]) => by === source).map(([index]) => index);
    for (const index of given) this.#owed.delete(index);
    this.#waiting.push(...given.toSorted((a, b) => b - a));
  }

  #late(source: string, nowMono: number): number | null {
    const patienceMs = PATIENCE * Math.max(LEAST_MS, this.#meanMs.get(source) ?? UNKNOWN_MS);
    // The one given out last has most likely not begun.
    for (const [index, { by, sinceMono }] of [...this.#owed].toReversed()) {
      if (by !== source && nowMono - sinceMono > patienceMs) return index;
    }
    return null;
  }
}

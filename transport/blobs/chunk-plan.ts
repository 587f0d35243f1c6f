// Which node brings which chunk. Pure: time comes in as an argument.
//
// P1  A chunk has one bringer at a time: only what that one sends is written, so no two write over each other. Who
//     takes it over says whose it was, and that one's bytes are no longer for the file.
// P2  The chunks of one that is dropped go to the others, first of all.
// P3  When nothing is left to give out, an idle one takes over what another has owed for longer than it would take
//     itself, twice: the last chunks do not wait for the slowest.
// P4  A chunk that has come whole is never asked for again.
// P5  A node may be asked for one of several chunks and choose; the others stay reserved until it has begun one, or has
//     said that it brings none of them.

/** How much longer another must have owed a chunk than we take for one. */
const PATIENCE = 2;
/** Weight of the last chunk in the mean. */
const WEIGHT = 0.25;
/** Nobody is impatient before this, ms: on a quick link a pause of the other process is longer than many chunks. */
const LEAST_MS = 50;
/** What a chunk takes one that has not brought any, ms. */
const UNKNOWN_MS = 500;

/** A chunk to bring, or one of several. */
export interface Given {
  readonly index: number;
  /** Would do as well. */
  readonly others: readonly number[];
  /** Who was to bring it until now. */
  readonly takenFrom: string | null;
}

/** What a node is good for; without one, for all, from the front. */
export interface Choice {
  /** It has this chunk, and is to be asked for it. */
  readonly isOpen: (index: number) => boolean;
  /** How many of the others have it: the rarest are asked for first. */
  readonly spread: (index: number) => number;
  /** How many it may choose from. */
  readonly most: number;
  /** From 0 to below 1: where to begin, so that many nodes ask for different ones. */
  readonly random: () => number;
  /** It may refuse: nothing is taken from another for it. */
  readonly isSeek?: boolean;
}

/** At most so much of what is left is reserved for one ask. */
const RESERVED_SHARE = 1 / 8;
/** Chunks looked at for each that is chosen. */
const LOOKED_AT = 4;

interface Ask {
  readonly by: string;
  readonly sinceMono: number;
  /** One of these is to come. */
  readonly indices: Set<number>;
}

export class ChunkPlan {
  /** Given out from the end. */
  readonly #waiting: number[];
  /** By chunk: the ask that may bring it. */
  readonly #owed = new Map<number, Ask>();
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
  take(source: string, nowMono: number, choice?: Choice): Given | null {
    const chosen = choice === undefined ? this.#front() : this.#choose(choice);
    const [index = this.#late(source, nowMono, choice), ...others] = chosen;
    if (index === null) return null;
    const before = this.#owed.get(index);
    before?.indices.delete(index);
    const ask = { by: source, sinceMono: nowMono, indices: new Set([index, ...others]) };
    for (const one of ask.indices) this.#owed.set(one, ask);
    return { index, others, takenFrom: before?.by ?? null };
  }

  /** Its bytes begin to come. False when somebody else is to bring it, or it is here: they are not for the file. */
  begun(source: string, index: number): boolean {
    const ask = this.#owed.get(index);
    if (ask?.by !== source) return false;
    for (const other of ask.indices) if (other !== index) this.#giveBack(ask, other);
    return true;
  }

  /** It has come whole. False when somebody else was to bring it by now. */
  came(source: string, index: number, nowMono: number): boolean {
    const ask = this.#owed.get(index);
    if (ask?.by !== source) return false;
    this.begun(source, index);
    this.#owed.delete(index);
    const tookMs = nowMono - ask.sinceMono;
    const mean = this.#meanMs.get(source) ?? tookMs;
    this.#meanMs.set(source, mean + WEIGHT * (tookMs - mean));
    return true;
  }

  /** It brings none of the chunks that it was asked for with this one. */
  refused(source: string, index: number): void {
    const ask = this.#owed.get(index);
    if (ask?.by !== source) return;
    for (const one of ask.indices) this.#giveBack(ask, one);
  }

  /** It brings nothing more. */
  drop(source: string): void {
    const given = [...this.#owed].filter(([, { by }]) => by === source).map(([index]) => index);
    for (const index of given) this.#owed.delete(index);
    this.#waiting.push(...given.toSorted((a, b) => b - a));
  }

  #front(): number[] {
    const index = this.#waiting.pop();
    return index === undefined ? [] : [index];
  }

  #choose({ isOpen, spread, most, random }: Choice): number[] {
    const count = this.#waiting.length;
    const wanted = Math.min(most, Math.ceil(count * RESERVED_SHARE));
    const start = Math.floor(random() * count);
    const found: number[] = [];
    for (let step = 0; step < count && found.length < wanted * LOOKED_AT; step++) {
      const index = this.#waiting[(start + step) % count];
      if (index !== undefined && isOpen(index)) found.push(index);
    }
    const ranked = found.map((index) => ({ index, rank: spread(index) }));
    const rarest = ranked.toSorted((a, b) => a.rank - b.rank).slice(0, wanted);
    const chosen = rarest.filter(({ rank }) => rank === rarest[0]?.rank).map(({ index }) => index);
    for (const index of chosen) this.#waiting.splice(this.#waiting.indexOf(index), 1);
    return chosen;
  }

  #giveBack(ask: Ask, index: number): void {
    ask.indices.delete(index);
    this.#owed.delete(index);
    this.#waiting.push(index);
  }

  #late(source: string, nowMono: number, choice?: Choice): number | null {
    if (choice?.isSeek === true) return null;
    const patienceMs = PATIENCE * Math.max(LEAST_MS, this.#meanMs.get(source) ?? UNKNOWN_MS);
    // The one given out last has most likely not begun.
    for (const [index, { by, sinceMono }] of [...this.#owed].toReversed()) {
      const isLate = by !== source && nowMono - sinceMono > patienceMs;
      if (isLate && choice?.isOpen(index) !== false) return index;
    }
    return null;
  }
}

// How often each chunk of the blobs that are being served was sent from here: of several that would do, the peers get
// the one that is least spread.

interface Counted {
  readonly sent: Uint16Array;
  transfers: number;
  /** Chunks that were sent at least once. */
  given: number;
}

export class SentCounts {
  readonly #bySha512 = new Map<string, Counted>();

  /** A transfer of this content begins. Counts are kept until the last one ends. */
  begin(sha512: string, chunks: number): void {
    const counted = this.#bySha512.get(sha512) ?? {
      sent: new Uint16Array(chunks),
      transfers: 0,
      given: 0,
    };
    counted.transfers++;
    this.#bySha512.set(sha512, counted);
  }

  end(sha512: string): void {
    const counted = this.#bySha512.get(sha512);
    if (counted !== undefined && --counted.transfers === 0) this.#bySha512.delete(sha512);
  }

  /** The one sent least often, the first of those; it counts as sent. `choices` has one at least. */
  choose(sha512: string, choices: readonly number[]): number {
    const counted = this.#bySha512.get(sha512);
    const often = (index: number) => counted?.sent[index] ?? 0;
    const best = choices.reduce((least, index) => (often(index) < often(least) ? index : least));
    if (counted === undefined) return best;
    if (often(best) === 0) counted.given++;
    counted.sent[best] = Math.min(often(best) + 1, 0xffff);
    return best;
  }

  /** Chunks that were sent to somebody. */
  given(sha512: string): { readonly count: number; has(index: number): boolean } {
    const counted = this.#bySha512.get(sha512);
    return { count: counted?.given ?? 0, has: (index) => (counted?.sent[index] ?? 0) > 0 };
  }
}

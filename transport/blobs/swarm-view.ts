// What one who fetches knows of the nodes that fetch the same blob: which chunks they have. Pure.
//
// W1  What a node has only grows, until it is forgotten with its link.

export class SwarmView {
  readonly #count: number;
  readonly #has = new Map<string, Uint8Array>();
  /** How many of the nodes have each chunk. */
  readonly #spread: Uint16Array;

  /** `count`: chunks of the blob. */
  constructor(count: number) {
    this.#count = count;
    this.#spread = new Uint16Array(count);
  }

  /** `bits`: chunks from `first` on that the node has; bit 0 of byte 0 is the first. False beyond the blob. */
  tell(node: string, first: number, bits: Uint8Array): boolean {
    const has = this.#has.get(node) ?? new Uint8Array(this.#count);
    this.#has.set(node, has);
    for (let bit = 0; bit < bits.length * 8; bit++) {
      if (((bits[bit >> 3] ?? 0) & (1 << (bit & 7))) === 0) continue;
      const index = first + bit;
      if (index >= this.#count) return false;
      if (has[index] === 0) this.#spread[index] = this.spread(index) + 1;
      has[index] = 1;
    }
    return true;
  }

  has(node: string, index: number): boolean {
    return this.#has.get(node)?.[index] === 1;
  }

  spread(index: number): number {
    return this.#spread[index] ?? 0;
  }

  forget(node: string): void {
    this.#has.get(node)?.forEach((has, index) => {
      this.#spread[index] = this.spread(index) - has;
    });
    this.#has.delete(node);
  }
}

// What one who fetches knows of the nodes that fetch the same blob: which chunks they have, and what the chunks'
// digests are. Pure.
//
// W1  Digests come from one complete holder only. Who has a part is held against them, chunk by chunk, so what it spoils
//     is found before it counts, and is known to be its doing.
// W2  What a node has only grows, until it is forgotten with its link.
import { DIGEST_BYTES } from './frame.ts';

export class SwarmView {
  readonly #count: number;
  readonly #digests: Uint8Array;
  /** Digests that have come, from the first chunk on. */
  #listed = 0;
  readonly #has = new Map<string, Uint8Array>();
  /** How many of the nodes have each chunk. */
  readonly #spread: Uint16Array;

  /** `count`: chunks of the blob. */
  constructor(count: number) {
    this.#count = count;
    this.#digests = new Uint8Array(count * DIGEST_BYTES);
    this.#spread = new Uint16Array(count);
  }

  /** First chunk of which no digest has come; null when all have. */
  get nextListed(): number | null {
    return this.#listed < this.#count ? this.#listed : null;
  }

  /** False for digests that were not the next ones, or too many. */
  list(first: number, digests: Uint8Array): boolean {
    const more = digests.length / DIGEST_BYTES;
    if (first !== this.#listed || more === 0 || first + more > this.#count) return false;
    this.#digests.set(digests, first * DIGEST_BYTES);
    this.#listed += more;
    return true;
  }

  /** Null while it is not known. */
  digestOf(index: number): Uint8Array | null {
    if (index >= this.#listed) return null;
    return this.#digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
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

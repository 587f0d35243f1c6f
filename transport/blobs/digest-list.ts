// The digests of a blob's chunks, as another node lists them, in pages. Pure.
//
// L1  Who has a part is held against them, chunk by chunk: what it spoils is found before it counts, and is known to be its
//     doing.
// L2  Where the hash of the whole list is known the list counts once it is whole and has that hash; then it is worth
//     handing on, and anybody may have given it. All its pages are one node's, so that who is wrong is known.
// L3  Where it is not (a blob of an older version) the pages count as they come, of complete holders only.
import { hash } from 'node:crypto';
import { DIGEST_BYTES } from './frame.ts';

export class DigestList {
  readonly #count: number;
  readonly #sha256: string | null;
  readonly #digests: Uint8Array;
  /** Digests that have come, from the first chunk on. */
  #listed = 0;

  /** `count`: chunks of the blob; `sha256`: of all digests one after the other, hex; null: not known. */
  constructor(count: number, sha256: string | null) {
    this.#count = count;
    this.#sha256 = sha256;
    this.#digests = new Uint8Array(count * DIGEST_BYTES);
  }

  /** First chunk of which no digest has come; null when all have. */
  get next(): number | null {
    return this.#listed < this.#count ? this.#listed : null;
  }

  get isWhole(): boolean {
    return this.#listed === this.#count;
  }

  /** Whether it can be told from a wrong one: then it matters to nobody where it is from. */
  get isVerifiable(): boolean {
    return this.#sha256 !== null;
  }

  /** All of it, once it is whole. */
  get bytes(): Uint8Array {
    return this.#digests;
  }

  /** False for digests that were not the next ones, or too many, or that make a wrong list. */
  add(first: number, digests: Uint8Array): boolean {
    const more = digests.length / DIGEST_BYTES;
    if (first !== this.#listed || more === 0 || first + more > this.#count) return false;
    this.#digests.set(digests, first * DIGEST_BYTES);
    const isRight =
      first + more < this.#count ||
      this.#sha256 === null ||
      hash('sha256', this.#digests) === this.#sha256;
    if (isRight) this.#listed += more;
    return isRight;
  }

  /** Who gave it has gone: where pages cannot be told from wrong ones by themselves the next one begins anew. */
  restart(): void {
    if (this.isVerifiable && !this.isWhole) this.#listed = 0;
  }

  /** Null while it is not known. */
  digestOf(index: number): Uint8Array | null {
    if (index >= this.#listed || (this.isVerifiable && !this.isWhole)) return null;
    return this.#digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
  }
}

// What has been recorded lately, for all readers of the stream together: a reader that lags has a place in it, not a
// buffer of its own.
//
// Q1  Bounded: KEPT_BYTES of text; the oldest batch goes first. Who has fallen behind `start` reads the history instead.
// Q2  Batches stand in revision order without a hole: everything after `start` up to `through` is in it.
import type { HistoryBatch } from '../../archive/history.ts';
import { written, type WrittenItem } from './frames.ts';

export const KEPT_BYTES = 8 * 1024 * 1024;

export interface RecentBatch {
  /** Everything up to this revision came before it. */
  readonly after: number;
  readonly through: number;
  readonly items: readonly WrittenItem[];
  readonly sizeBytes: number;
}

export class Recent {
  readonly #keptBytes: number;
  #batches: RecentBatch[] = [];
  #sizeBytes = 0;
  #start: number;
  #through: number;

  /** `revision`: what came up to it is not in it. */
  constructor(revision: number, keptBytes = KEPT_BYTES) {
    this.#start = revision;
    this.#through = revision;
    this.#keptBytes = keptBytes;
  }

  get start(): number {
    return this.#start;
  }

  get through(): number {
    return this.#through;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The batch as kept; undefined when it has to be read: nobody finds it here. */
  add({ items, through }: HistoryBatch): RecentBatch | undefined {
    const after = this.#through;
    this.#through = through;
    if (items === null) {
      this.#batches = [];
      this.#sizeBytes = 0;
      this.#start = through;
      return undefined;
    }
    const texts = items.map(written);
    const sizeBytes = texts.reduce((sum, { text }) => sum + text.length, 0);
    const batch = { after, through, items: texts, sizeBytes };
    if (items.length > 0) this.#batches.push(batch);
    this.#sizeBytes += sizeBytes;
    this.#forgetOldest();
    return batch;
  }

  /** Of those that a reader at `revision` lacks, the first; undefined: it lacks none. Only for who is at `start` or after. */
  next(revision: number): RecentBatch | undefined {
    let [low, high] = [0, this.#batches.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#batches[middle]?.through ?? 0) > revision) high = middle;
      else low = middle + 1;
    }
    return this.#batches[low];
  }

  #forgetOldest(): void {
    let gone = 0;
    while (this.#sizeBytes > this.#keptBytes) {
      const oldest = this.#batches[gone++];
      if (oldest === undefined) break;
      this.#sizeBytes -= oldest.sizeBytes;
      this.#start = oldest.through;
    }
    if (gone > 0) this.#batches.splice(0, gone);
  }
}

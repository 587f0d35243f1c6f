// How often each chunk of the blobs that are being served was sent from here: of several that would do, the peers get
// the one that is least spread.
//
// C1  What is on its way, or came out whole lately, is fresh: who gets it passes it on, and who seeks it is sent elsewhere.
//     Lately is REST_MS, or several times what a chunk takes from here where lines are slow.
// C2  What did not come out whole counts as never sent.
import type { Clock } from '../../actors/kernel/clock.ts';

const REST_MS = 3_000;
/** In times that a chunk takes. */
const REST_CHUNKS = 4;
/** Weight of the last chunk in the mean. */
const WEIGHT = 0.25;

interface Counted {
  readonly sent: Uint16Array;
  /** By chunk: how many are being sent, and when the last one was out. */
  readonly underWay: Uint16Array;
  readonly outAtMono: Float64Array;
  transfers: number;
  /** Chunks that were sent at least once. */
  given: number;
  /** What a chunk takes, ms. */
  meanMs: number;
}

export class SentCounts {
  readonly #clock: Pick<Clock, 'monoMs'>;
  readonly #bySha512 = new Map<string, Counted>();

  constructor(clock: Pick<Clock, 'monoMs'>) {
    this.#clock = clock;
  }

  /** A transfer of this content begins. Counts are kept until the last one ends. */
  begin(sha512: string, chunks: number): void {
    const counted = this.#bySha512.get(sha512) ?? {
      sent: new Uint16Array(chunks),
      underWay: new Uint16Array(chunks),
      outAtMono: new Float64Array(chunks),
      transfers: 0,
      given: 0,
      meanMs: 0,
    };
    counted.transfers++;
    this.#bySha512.set(sha512, counted);
  }

  end(sha512: string): void {
    const counted = this.#bySha512.get(sha512);
    if (counted !== undefined && --counted.transfers === 0) this.#bySha512.delete(sha512);
  }

  /** Which of these were not sent lately. */
  notFresh(sha512: string, choices: readonly number[]): number[] {
    const counted = this.#bySha512.get(sha512);
    if (counted === undefined) return [...choices];
    const { sent, underWay, outAtMono, meanMs } = counted;
    const sinceMono = this.#clock.monoMs() - Math.max(REST_MS, REST_CHUNKS * meanMs);
    const isFresh = (at: number) => underWay[at] !== 0 || (outAtMono[at] ?? 0) >= sinceMono;
    return choices.filter((at) => sent[at] === 0 || !isFresh(at));
  }

  /** The one sent least often, the first of those; it counts as sent. `choices` has one at least. */
  choose(sha512: string, choices: readonly number[]): number {
    const counted = this.#bySha512.get(sha512);
    const often = (index: number) => counted?.sent[index] ?? 0;
    const best = choices.reduce((least, index) => (often(index) < often(least) ? index : least));
    if (counted === undefined) return best;
    if (often(best) === 0) counted.given++;
    add(counted.sent, best, 1);
    add(counted.underWay, best, 1);
    return best;
  }

  /** What was chosen is out whole. */
  out(sha512: string, index: number, tookMs: number): void {
    const counted = this.#bySha512.get(sha512);
    if (counted === undefined) return;
    add(counted.underWay, index, -1);
    counted.outAtMono[index] = this.#clock.monoMs();
    counted.meanMs += (counted.meanMs === 0 ? 1 : WEIGHT) * (tookMs - counted.meanMs);
  }

  /** What was chosen was broken off. */
  brokenOff(sha512: string, index: number): void {
    const counted = this.#bySha512.get(sha512);
    if (counted === undefined) return;
    add(counted.underWay, index, -1);
    add(counted.sent, index, -1);
    if (counted.sent[index] === 0) counted.given--;
  }

  /** Chunks that were sent to somebody. */
  given(sha512: string): { readonly count: number; has(index: number): boolean } {
    const counted = this.#bySha512.get(sha512);
    return { count: counted?.given ?? 0, has: (index) => (counted?.sent[index] ?? 0) > 0 };
  }
}

function add(counts: Uint16Array, index: number, more: number): void {
  counts[index] = Math.max(0, Math.min((counts[index] ?? 0) + more, 0xffff));
}

// The nodes that fetch the same blob, in the order in which they are to be linked to. Pure: time comes in as an argument.
//
// Q1  Each is here once, or is linked to; one that is barred never comes back, whoever names it.

/** Before a peer that broke off, or has nothing yet, is dialled again, ms. */
const REST_MS = 1_000;

export class PeerQueue {
  readonly #known: Set<string>;
  readonly #waiting: { readonly node: string; readonly fromMono: number }[];

  readonly #strangers: number;

  /** `strangers`: never to be linked to as peers. */
  constructor(peers: readonly string[], strangers: readonly string[]) {
    const each = new Set(peers.filter((node) => !strangers.includes(node)));
    this.#strangers = new Set(strangers).size;
    this.#known = new Set([...strangers, ...each]);
    this.#waiting = [...each].map((node) => ({ node, fromMono: 0 }));
  }

  /** How many are to be linked to, now or later. */
  get size(): number {
    return this.#waiting.length;
  }

  /** How many there ever were. */
  get met(): number {
    return this.#known.size - this.#strangers;
  }

  /** One more, the first or the last; false if it was known. */
  add(node: string, nowMono: number, isFirst = false): boolean {
    if (this.#known.has(node)) return false;
    this.#known.add(node);
    if (isFirst) this.#waiting.unshift({ node, fromMono: nowMono });
    else this.#waiting.push({ node, fromMono: nowMono });
    return true;
  }

  hasNext(nowMono: number): boolean {
    return this.#waiting.some(({ fromMono }) => fromMono <= nowMono);
  }

  /** Takes out the next one; null when none is to be linked to at the moment. */
  next(nowMono: number): string | null {
    const at = this.#waiting.findIndex(({ fromMono }) => fromMono <= nowMono);
    const [next] = at < 0 ? [] : this.#waiting.splice(at, 1);
    return next?.node ?? null;
  }

  /** After the others: it may have more by then. Those that are not put back are barred. */
  putBack(node: string, nowMono: number): void {
    this.#waiting.push({ node, fromMono: nowMono + REST_MS });
  }
}

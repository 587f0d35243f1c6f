// The nodes that one fetch is linked to, or is dialling: holders, and peers that fetch the blob too.
//
// D1  MAX_PEERS at once. One that is dismissed is asked for nothing more, brings what it owes, and then makes room.
import type { Source } from './source.ts';
import { CLOSE } from './wire.ts';

/** Peers that are linked to at once. */
export const MAX_PEERS = 8;

/** What is known of one node during the fetch. */
export interface Feeder {
  readonly node: string;
  /** It fetches the blob too. */
  readonly isPeer: boolean;
  source: Source | null;
  /** In a row, without a chunk in between. */
  failures: number;
  /** When it was last asked for something, and when it last had something to do. */
  askedAtMono: number;
  busyAtMono: number;
  isDismissed: boolean;
  /** Ends what it is in: dialling, or a pause. */
  giveUp: () => void;
}

export class Feeders {
  readonly #byNode = new Map<string, Feeder>();

  get all(): readonly Feeder[] {
    return [...this.#byNode.values()];
  }

  /** How many are holders. */
  get holders(): number {
    return this.#byNode.size - this.#peers.length;
  }

  /** There is no room for another peer. */
  get isFull(): boolean {
    return this.#peers.length >= MAX_PEERS;
  }

  get(node: string): Feeder | undefined {
    return this.#byNode.get(node);
  }

  add(node: string, isPeer: boolean, nowMono: number): Feeder {
    const times = { askedAtMono: nowMono, busyAtMono: nowMono };
    const state = { source: null, failures: 0, isDismissed: false, giveUp: () => {} };
    const feeder = { node, isPeer, ...times, ...state };
    this.#byNode.set(node, feeder);
    return feeder;
  }

  delete(node: string): void {
    this.#byNode.delete(node);
  }

  /** Dismisses any peer. `random`: from 0 to below 1. */
  dismissAny(random: () => number): void {
    const peers = this.#peers;
    const chosen = peers[Math.floor(random() * peers.length)];
    if (chosen !== undefined) chosen.isDismissed = true;
  }

  /** Ends those that are dismissed and owe nothing; also the one that has had nothing for longest, if it may go. */
  rotate(mayGo: (idleSinceMono: number) => boolean): void {
    const idle = this.#peers.filter(({ source }) => source?.isOpen === true && source.owed === 0);
    const [longest] = idle.toSorted((a, b) => a.busyAtMono - b.busyAtMono);
    if (this.isFull && longest !== undefined && mayGo(longest.busyAtMono)) {
      longest.isDismissed = true;
    }
    const end = { code: 'image/unreachable', reason: 'others have their turn' } as const;
    for (const { isDismissed, source } of idle) if (isDismissed) source?.end(CLOSE.done, end);
  }

  get #peers(): Feeder[] {
    return [...this.#byNode.values()].filter(({ isPeer }) => isPeer);
  }
}

// All readers of the event stream on this daemon, and the one place where what is recorded comes in.
//
// B1  An event's text is made once, and a frame once for all readers that asked for the same.
// B2  A reader that is slow holds up nobody: who has no room is passed by, and catches up by itself (subscriber.ts).
import type { Clock, Timer } from '../../../actors/kernel/clock.ts';
import type { History, HistoryBatch } from '../../archive/history.ts';
import type { Channel } from '../http/channel.ts';
import { itemFrames } from './frames.ts';
import { Recent, type RecentBatch } from './recent.ts';
import { Subscriber } from './subscriber.ts';
import { shows, type Subscription } from './subscription.ts';

export interface HubOptions {
  readonly node: string;
  readonly history: History;
  readonly clock: Clock;
  /** A reader that takes nothing for so long is cut. */
  readonly stallMs?: number;
  /** A reader whose place is not reached here within this is told so. */
  readonly aheadMs?: number;
  /** Between two marks. */
  readonly markMs?: number;
  readonly keptBytes?: number;
}

const STALL_MS = 30_000;
const AHEAD_MS = 10_000;
const MARK_MS = 30_000;

export class Hub {
  readonly #options: HubOptions;
  readonly #recent: Recent;
  /** By what they asked for. */
  readonly #readers = new Map<string, Set<Subscriber>>();
  readonly #deafen: () => void;
  #timer: Timer | undefined;

  constructor(options: HubOptions) {
    this.#options = options;
    const { history, keptBytes } = options;
    this.#recent = new Recent(history.revision, keptBytes);
    this.#deafen = history.onRecorded((batch) => this.#recorded(batch));
    this.#timer = this.#nextMark();
  }

  get readers(): number {
    let count = 0;
    for (const readers of this.#readers.values()) count += readers.size;
    return count;
  }

  /** From then on the channel is told; leave() when it has closed. */
  join(channel: Channel, subscription: Subscription): Subscriber {
    const { node, history, clock, stallMs = STALL_MS, aheadMs = AHEAD_MS } = this.#options;
    const what = { node, channel, subscription, history, recent: this.#recent };
    const reader = new Subscriber({ ...what, clock, stallMs, aheadMs });
    const readers = this.#readers.get(subscription.key) ?? new Set();
    this.#readers.set(subscription.key, readers.add(reader));
    return reader;
  }

  leave(reader: Subscriber): void {
    const { key } = reader.subscription;
    const readers = this.#readers.get(key);
    readers?.delete(reader);
    if (readers?.size === 0) this.#readers.delete(key);
    reader.closed();
  }

  close(): void {
    this.#deafen();
    this.#timer?.cancel();
  }

  #recorded(batch: HistoryBatch): void {
    const recent = this.#recent.add(batch) ?? {
      after: Number.NaN,
      through: batch.through,
      items: [],
      sizeBytes: 0,
    };
    for (const readers of this.#readers.values()) this.#tell(readers, recent);
  }

  #tell(readers: ReadonlySet<Subscriber>, batch: RecentBatch): void {
    const [first] = readers;
    if (first === undefined) return;
    const { subscription } = first;
    const shown = batch.items.filter(
      ({ item }) => item.what === 'gap' || shows(subscription, item),
    );
    const frames = itemFrames(shown, batch.through);
    for (const reader of readers) reader.take(batch, frames);
  }

  #nextMark(): Timer {
    const { clock, markMs = MARK_MS } = this.#options;
    return clock.after(markMs, () => {
      for (const readers of this.#readers.values()) for (const reader of readers) reader.mark();
      this.#timer = this.#nextMark();
    });
  }
}

// One reader of the event stream: told what was, then what is, in revision order, each event once.
//
// S1  `through` is the reader's place: all that is its up to there has been handed to its socket, and nothing after.
// S2  Two ways to go on from there: the history, in pages, and, once the place is within what is kept of the recent past
//     (recent.ts), that. Changing over is one turn of the event loop, so there is neither hole nor overlap; a reader that
//     falls behind changes back.
// S3  A socket that holds HIGH_BYTES gets no more until the system has taken what it holds; that is all the memory a
//     reader can cost. One that takes nothing for `stallMs` is cut.
import type { Clock, Timer } from '../../../actors/kernel/clock.ts';
import { reasonOf } from '../../../actors/kernel/errors.ts';
import type { History } from '../../archive/history.ts';
import { CLOSE, type Channel } from '../http/channel.ts';
import {
  endFrame,
  helloFrame,
  itemFrames,
  placeFrame,
  written,
  type Frame,
  type WrittenItem,
} from './frames.ts';
import type { Recent, RecentBatch } from './recent.ts';
import { shows, type Subscription } from './subscription.ts';

export const HIGH_BYTES = 512 * 1024;
const PAGE_ITEMS = 200;
/** The history is not yet where its news were. */
const AGAIN_MS = 100;

export interface SubscriberOptions {
  readonly node: string;
  readonly channel: Channel;
  readonly subscription: Subscription;
  readonly history: Pick<History, 'read'>;
  readonly recent: Recent;
  readonly clock: Clock;
  readonly stallMs: number;
  /** For a place that was not reached here: this node may be behind the one that gave the token. */
  readonly aheadMs: number;
}

export class Subscriber {
  readonly #options: SubscriberOptions;
  #through: number;
  #isLive = false;
  #wasLive = false;
  #isFull = false;
  #isOver = false;
  #stall: Timer | undefined;
  #ahead: Timer | undefined;
  #room: (() => void) | undefined;

  /** Begins at once. */
  constructor(options: SubscriberOptions) {
    this.#options = options;
    const { subscription, recent, node, clock, aheadMs } = options;
    this.#through = subscription.after ?? recent.through;
    this.#send(helloFrame(node, this.#through));
    if (this.#through > recent.through) {
      this.#ahead = clock.after(aheadMs, () => this.#checkAhead());
    }
    if (this.#canJoin()) this.#join();
    else this.#replay();
  }

  get subscription(): Subscription {
    return this.#options.subscription;
  }

  /** Everything up to there has been handed over. */
  get through(): number {
    return this.#through;
  }

  /** The newest batch, and the frames of it that all readers of this subscription get. */
  take(batch: RecentBatch, frames: readonly Frame[]): void {
    if (!this.#isLive || this.#isFull || this.#isOver) return;
    // Behind, or ahead: its frames are not everybody's.
    if (this.#through !== batch.after) return this.#pump();
    this.#deliver(frames, batch.through);
  }

  /** Tells a reader to whom nothing happened how far that goes, and that it is connected. */
  mark(): void {
    if (!this.#isLive || this.#isFull || this.#isOver) return;
    this.#send(placeFrame('mark', this.#through));
  }

  /** Says why, then closes. */
  end(code: number, reason: string): void {
    if (this.#isOver) return;
    const { channel } = this.#options;
    // Who does not read would not see it.
    if (!this.#isFull) channel.sendText(endFrame(code, reason));
    this.closed();
    channel.close(code, reason);
  }

  /** The socket has closed. */
  closed(): void {
    this.#isOver = true;
    this.#stall?.cancel();
    this.#ahead?.cancel();
    this.#room?.();
  }

  #canJoin(): boolean {
    return this.#through >= this.#options.recent.start;
  }

  #join(): void {
    this.#isLive = true;
    this.#pump();
    if (this.#wasLive || !this.#isLive || this.#isFull) return;
    this.#wasLive = true;
    this.#send(placeFrame('live', this.#through));
  }

  /** Hands over what is recent, for as long as there is room. */
  #pump(): void {
    const { recent } = this.#options;
    while (!this.#isFull && !this.#isOver) {
      if (!this.#canJoin()) {
        this.#isLive = false;
        return this.#replay();
      }
      const batch = recent.next(this.#through);
      if (batch === undefined) {
        this.#through = Math.max(this.#through, recent.through);
        return;
      }
      this.#handOver(batch.items, batch.through);
    }
  }

  #replay(): void {
    this.#readOn().catch((error: unknown) => {
      this.end(CLOSE.later, `the history cannot be read: ${reasonOf(error)}`);
    });
  }

  async #readOn(): Promise<void> {
    const { history, subscription, clock } = this.#options;
    while (!this.#isOver) {
      if (this.#isFull) await new Promise<void>((resolve) => (this.#room = resolve));
      if (this.#isOver) return;
      if (this.#canJoin()) return this.#join();
      const { filter } = subscription;
      const page = await history.read({ after: this.#through, filter, limit: PAGE_ITEMS });
      if (this.#isOver) return;
      if (page.through > this.#through) this.#handOver(page.items.map(written), page.through);
      else await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
    }
  }

  /** What is shown of these items, which are all there is up to `through`; less when there is no room for more. */
  #handOver(items: readonly WrittenItem[], through: number): void {
    const { subscription } = this.#options;
    const from = this.#through;
    const shown = items.filter(({ item, revision }) => {
      return revision > from && (item.what === 'gap' || shows(subscription, item));
    });
    this.#deliver(itemFrames(shown, through), through);
  }

  #deliver(frames: readonly Frame[], through: number): void {
    for (const frame of frames) {
      if (this.#isFull) return;
      this.#send(frame.bytes);
      this.#through = frame.through;
    }
    this.#through = through;
  }

  #send(frame: string | Uint8Array): void {
    const { channel } = this.#options;
    if (this.#isOver) return;
    const willBeFull = channel.bufferedBytes + frame.length > HIGH_BYTES;
    if (!willBeFull || this.#isFull) return channel.sendText(frame);
    this.#isFull = true;
    this.#watchStall();
    channel.sendText(frame, () => this.#drained());
  }

  #drained(): void {
    if (this.#isOver) return;
    this.#isFull = false;
    this.#stall?.cancel();
    const room = this.#room;
    this.#room = undefined;
    if (room !== undefined) room();
    else if (this.#isLive) this.#join();
  }

  #watchStall(): void {
    const { clock, stallMs } = this.#options;
    this.#stall = clock.after(stallMs, () => {
      this.end(CLOSE.slow, `nothing was read for ${stallMs / 1000} s; resume where you were`);
    });
  }

  #checkAhead(): void {
    const { recent } = this.#options;
    if (recent.through >= this.#through) return;
    const reason = `${this.#through} is after all that has happened (${recent.through})`;
    this.end(CLOSE.ahead, reason);
  }
}

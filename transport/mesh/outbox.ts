// What a link is about to send: items of one turn of the event loop go out together.
//
// O1  A frame has MAX_ITEMS items, and about FRAME_BYTES unless one item alone is larger.
// O2  No timer: an item waits until the end of the turn, never longer.
import { joinItems, MAX_ITEMS } from './frame.ts';

const FRAME_BYTES = 64 * 1024;

export class Outbox {
  readonly #send: (frame: Uint8Array) => void;
  #items: Uint8Array[] = [];
  #isDue = false;
  /** Not yet handed to the socket. */
  bytes = 0;

  constructor(send: (frame: Uint8Array) => void) {
    this.#send = send;
  }

  add(item: Uint8Array): void {
    this.#items.push(item);
    this.bytes += item.byteLength;
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.flush());
  }

  flush(): void {
    this.#isDue = false;
    const items = this.#items;
    this.#items = [];
    this.bytes = 0;
    let [first, size] = [0, 0];
    items.forEach((item, at) => {
      const isFull = at - first === MAX_ITEMS || size + item.byteLength > FRAME_BYTES;
      if (isFull && at > first) {
        this.#send(joinItems(items.slice(first, at)));
        [first, size] = [at, 0];
      }
      size += item.byteLength;
    });
    if (items.length > first) this.#send(joinItems(items.slice(first)));
  }
}

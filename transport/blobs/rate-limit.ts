// How many bytes a second copies of blobs may take, shared by all threads of a daemon.
//
// R1  One number in shared memory: the time at which everything let through so far would have been sent at the rate. Who
//     wants to send moves it on by its bytes and waits until then, less the burst; nobody waits for anybody's thread.
// R2  Who somebody waits for does not wait here, and its bytes count: the others make room for it.
// R3  Nobody waits longer than MOST_WAIT_MS at a time: a link that is silent for longer counts as broken. So with many
//     links and a low rate it may be exceeded.
import { hrtime } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';

const NS_PER_S = 1_000_000_000n;
const NS_PER_MS = 1_000_000n;
/** What may go at once after a silence. */
const BURST_MS = 250n;
const MOST_WAIT_MS = 5_000;

export class RateLimit {
  readonly #bytesPerSecond: number;
  /** One BigInt64: ns of hrtime, which is the same for all threads. */
  readonly #shared: BigInt64Array;
  readonly #nowNs: () => bigint;

  /** `shared`: of another thread's RateLimit; 0 bytes a second: no limit. */
  constructor(
    bytesPerSecond: number,
    shared = new SharedArrayBuffer(8),
    nowNs: () => bigint = () => hrtime.bigint(),
  ) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#shared = new BigInt64Array(shared);
    this.#nowNs = nowNs;
  }

  /** For a RateLimit of the same number on another thread. */
  get shared(): SharedArrayBuffer {
    return this.#shared.buffer as SharedArrayBuffer;
  }

  /** Counts the bytes; how long to wait before they go, ms. */
  take(bytes: number, isUrgent: boolean): number {
    if (this.#bytesPerSecond <= 0) return 0;
    const costNs = (BigInt(bytes) * NS_PER_S) / BigInt(this.#bytesPerSecond);
    const nowNs = this.#nowNs();
    for (;;) {
      const before = Atomics.load(this.#shared, 0);
      const earliestNs = nowNs - BURST_MS * NS_PER_MS;
      const startNs = before > earliestNs ? before : earliestNs;
      const after = startNs + costNs;
      if (Atomics.compareExchange(this.#shared, 0, before, after) !== before) continue;
      if (isUrgent || after <= nowNs) return 0;
      return Math.min(MOST_WAIT_MS, Number((after - nowNs) / NS_PER_MS));
    }
  }

  /** Resolves when they may go. */
  async pass(bytes: number, isUrgent: boolean): Promise<void> {
    const waitMs = this.take(bytes, isUrgent);
    if (waitMs > 0) await pause(waitMs);
  }
}

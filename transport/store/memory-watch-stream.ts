// One watch stream of the in-memory store: asynchronous, in order, and as breakable as the link.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { MemoryCluster } from './memory-cluster.ts';
import type { Faults } from './memory-link.ts';
import type { StreamEvents, WatchStream } from './resuming-watch.ts';
import type { Change } from './store.ts';

export interface MemoryStreamOptions {
  readonly cluster: MemoryCluster;
  readonly clock: Clock;
  readonly faults: Faults;
  /** How long a stalled link goes unnoticed: gRPC's keepalive in the real one. */
  readonly stallMs: number;
}

export class MemoryWatchStream implements WatchStream {
  readonly #options: MemoryStreamOptions;
  readonly #prefix: string;
  readonly #events: StreamEvents;
  readonly #queue: Change[] = [];
  #stopListening: () => void = () => undefined;
  readonly #stopNoticing: () => void;
  #timer: Timer | undefined;
  #isOpen = false;
  #isClosed = false;
  #isScheduled = false;

  constructor(options: MemoryStreamOptions, prefix: string, start: number, events: StreamEvents) {
    this.#options = options;
    this.#prefix = prefix;
    this.#events = events;
    this.#stopNoticing = options.faults.onLink(() => void this.#passes());
    this.#soon(() => this.#open(start));
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#stopListening();
    this.#stopNoticing();
    return Promise.resolve();
  }

  #open(start: number): void {
    const { cluster } = this.#options;
    if (!this.#passes()) return;
    try {
      for (const changes of cluster.since(start + 1, this.#prefix)) this.#queue.push(...changes);
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
      this.#events.refused(error);
      return void this.close();
    }
    this.#isOpen = true;
    this.#stopListening = cluster.listen((changes) => {
      this.#queue.push(...changes.filter(({ key }) => key.startsWith(this.#prefix)));
      this.#schedule();
    });
    this.#events.opened(cluster.revision, cluster.name);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#queue.length === 0) return;
    this.#isScheduled = true;
    this.#soon(() => {
      this.#isScheduled = false;
      if (this.#isOpen && this.#passes()) this.#events.batch(this.#queue.splice(0), true);
    });
  }

  /** False when the link is not up, which breaks the stream: at once, or when the stall is noticed. */
  #passes(): boolean {
    const { faults, clock, stallMs } = this.#options;
    if (this.#isClosed) return false;
    if (faults.link === 'up') return true;
    const broken = () => {
      if (!this.#isClosed) this.#events.broken(new Error('the link to the store is down'));
    };
    if (faults.link === 'stalled') this.#timer = clock.after(stallMs, broken);
    else broken();
    return false;
  }

  #soon(run: () => void): void {
    const { faults, clock } = this.#options;
    if (faults.delayMs > 0) this.#timer = clock.after(faults.delayMs, run);
    else
      queueMicrotask(() => {
        if (!this.#isClosed) run();
      });
  }
}

// One activation of an actor: a bounded mailbox, and turns taken one at a time. The system wakes it.
//
// The numbers are those of system.ts: S2 (bounded), S3 (failures are caught), S4 (one activation), S5
// (nothing outlives the end).
import { Mailbox } from './mailbox.ts';

/** One turn. A failure belongs to the handler's owner; what still comes out is reported as a bug. */
export type Handler<T> = (entry: T) => void | Promise<void>;
export type Posted = 'accepted' | 'full' | 'stopped';
export type OnBug = (error: unknown) => void;

/** Turns per wake-up: enough to hide what one costs in nact, few enough to let other actors in. */
const TURNS_PER_SLICE = 32;

export interface CellOptions<T> {
  /** Entries that may wait, besides those that `force` adds. */
  readonly limit: number;
  readonly isPaused?: boolean;
  /** What waited for the activation before this one. */
  readonly waiting?: readonly T[];
}

/** How a cell gets its turns: wake() leads to one run(). */
export interface CellRef {
  wake(): void;
  stop(): void;
}

/** What all cells of a system share. */
export interface CellHost {
  readonly onBug: OnBug;
  spawn(cell: Runnable): CellRef;
  forget(cell: Runnable): void;
}

export interface Runnable {
  readonly activation: number;
  readonly ended: Promise<void>;
  run(): null | Promise<null>;
  close(): unknown;
}

export class ActorCell<T> implements Runnable {
  /** Unique in its system; grows with every spawn. */
  readonly activation: number;
  readonly #handler: Handler<T>;
  readonly #host: CellHost;
  readonly #mailbox: Mailbox<T>;
  readonly #ref: CellRef;
  #end: PromiseWithResolvers<void> | null = null;
  #isPaused: boolean;
  #isClosed = false;
  #isInSlice = false;
  #isAwake = false;
  #isEnded = false;

  constructor(activation: number, handler: Handler<T>, options: CellOptions<T>, host: CellHost) {
    this.activation = activation;
    this.#handler = handler;
    this.#host = host;
    this.#mailbox = new Mailbox(options.limit, options.waiting);
    this.#isPaused = options.isPaused ?? false;
    this.#ref = host.spawn(this);
    this.#wake();
  }

  /** Resolves when the cell is closed and its last turn is over. */
  get ended(): Promise<void> {
    if (this.#isEnded) return Promise.resolve();
    this.#end ??= Promise.withResolvers<void>();
    return this.#end.promise;
  }

  get depth(): number {
    return this.#mailbox.size;
  }

  get isBusy(): boolean {
    return this.#isInSlice;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  post(entry: T): Posted {
    if (this.#isClosed) return 'stopped';
    if (this.#mailbox.isFull) return 'full';
    this.#mailbox.push(entry);
    this.#wake();
    return 'accepted';
  }

  /** For entries whose number is bounded by other means and which may not be lost to overflow. */
  force(entry: T): Exclude<Posted, 'full'> {
    if (this.#isClosed) return 'stopped';
    this.#mailbox.push(entry);
    this.#wake();
    return 'accepted';
  }

  resume(): void {
    this.#isPaused = false;
    this.#wake();
  }

  /**
   * Takes no further turn and hands back what waited: the caller answers it. May be called from
   * inside a turn, which then ends normally; await `ended` outside of turns only.
   */
  close(): readonly T[] {
    if (this.#isClosed) return [];
    this.#isClosed = true;
    if (!this.#isInSlice) this.#finish();
    return this.#mailbox.takeAll();
  }

  #wake(): void {
    if (this.#isAwake || this.#isPaused || this.#isClosed || this.#mailbox.size === 0) return;
    this.#isAwake = true;
    this.#ref.wake();
  }

  /** For the system, when the cell was woken: some turns. Never throws and never rejects. */
  run(): null | Promise<null> {
    this.#isInSlice = true;
    return this.#slice(TURNS_PER_SLICE);
  }

  /** Goes on without a promise for as long as turns have nothing to wait for. */
  #slice(turnsLeft: number): null | Promise<null> {
    for (let left = turnsLeft; left > 0 && !this.#isClosed; left--) {
      const entry = this.#mailbox.shift();
      if (entry === undefined) break;
      const pending = this.#turn(entry);
      if (pending !== undefined) return pending.then(() => this.#slice(left - 1));
    }
    this.#isInSlice = false;
    this.#isAwake = false;
    if (this.#isClosed) this.#finish();
    else this.#wake();
    return null;
  }

  #turn(entry: T): void | Promise<void> {
    try {
      return this.#handler(entry)?.catch(this.#host.onBug);
    } catch (error) {
      this.#host.onBug(error);
    }
  }

  #finish(): void {
    this.#isEnded = true;
    this.#ref.stop();
    this.#host.forget(this);
    this.#end?.resolve();
  }
}

// Events as an observable: what was and what is, in order, each once, through outages and changes of node.
//
// V1  It goes on by itself after the last frame that it has handed over, with growing pauses.
// V2  It fails only with what trying again does not change: a refusal, a login that is no more.
// V3  Whoever keeps `resume` of the last item that it has worked off may go on from there with a new observable.
import { Observable, type Subscriber } from 'rxjs';
import { ApiError } from './api-error.ts';
import type { Event } from './operations.ts';
import { openSocket, type SocketClosed, type TicketSource } from './socket.ts';

/** All optional: left out means any, and from now on. */
export interface EventFilter {
  /** Another namespace than the caller's own. */
  readonly namespace?: string;
  readonly kind?: string;
  readonly id?: string;
  readonly types?: readonly string[];
  /** Only what came after: a `resume`, a store revision, or `now`. */
  readonly after?: string | number;
}

export interface StreamEvent {
  readonly what: 'event';
  readonly revision: number;
  readonly kind: string;
  readonly id: string;
  readonly namespace: string;
  /** As `GET .../events` shows it. */
  readonly event: Event & Readonly<Record<string, unknown>>;
  readonly resume: string;
}

/** What can no longer be told. */
export interface StreamGap {
  readonly what: 'gap';
  readonly from: number;
  readonly to: number;
  /** Null: not known. */
  readonly count: number | null;
  readonly reason: string;
  readonly resume: string;
}

export type StreamItem =
  | StreamEvent
  | StreamGap
  /** What there was has been told; from here on it is news. Once. */
  | { readonly what: 'live'; readonly resume: string }
  /** The connection is gone; it is tried again. */
  | { readonly what: 'lost'; readonly reason: string };

/** The stream will not go on: `code` is the WebSocket's. */
export class StreamError extends Error {
  override readonly name = 'StreamError';
  readonly code: number;

  constructor(code: number, reason: string) {
    super(reason);
    this.code = code;
  }
}

/** The server says something every 30 s. */
const SILENCE_MS = 75_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
/** Closes that another try does not change (docs/stream.md). */
const FINAL = new Set([1009, 4000, 4003, 4011]);

/** Connects when subscribed to; unsubscribing ends it. */
export function eventStream(
  source: TicketSource,
  filter: EventFilter = {},
): Observable<StreamItem> {
  return new Observable((subscriber) => {
    const reading = new Reading(source, filter, subscriber);
    reading.connect();
    return () => reading.stop();
  });
}

interface Frame {
  readonly frame: string;
  readonly resume: string;
  readonly items: readonly Omit<StreamEvent | StreamGap, 'resume'>[];
}

class Reading {
  readonly #source: TicketSource;
  readonly #filter: EventFilter;
  readonly #to: Subscriber<StreamItem>;
  #after: string | number | undefined;
  #socket: WebSocket | undefined;
  /** Of the pause before the next try, or of silence. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #isLive = false;
  #isOver = false;

  constructor(source: TicketSource, filter: EventFilter, to: Subscriber<StreamItem>) {
    this.#source = source;
    this.#filter = filter;
    this.#after = filter.after;
    this.#to = to;
  }

  connect(): void {
    const attempt = ++this.#attempt;
    // One that went silent may come to life again, when nobody listens to it any more.
    const listener = {
      message: (frame: string | Uint8Array) => {
        if (attempt === this.#attempt) this.#hear(frame);
      },
      closed: (how: SocketClosed) => {
        if (attempt === this.#attempt) this.#closed(how);
      },
    };
    openSocket(this.#source, { purpose: 'stream' }, listener).then(
      (socket) => this.#opened(socket),
      (error: unknown) => this.#failed(error),
    );
  }

  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #opened(socket: WebSocket): void {
    if (this.#isOver) return socket.close();
    this.#socket = socket;
    this.#watchSilence(socket);
    const after = this.#after === undefined ? {} : { after: this.#after };
    socket.send(JSON.stringify({ ...this.#filter, ...after }));
  }

  #hear(text: string | Uint8Array): void {
    if (this.#isOver || typeof text !== 'string') return;
    if (this.#socket !== undefined) this.#watchSilence(this.#socket);
    const { frame, resume, items } = JSON.parse(text) as Frame;
    this.#pauseMs = FIRST_PAUSE_MS;
    if (frame === 'items') this.#tell(items, resume);
    if (resume !== undefined) this.#after = resume;
    if (frame !== 'live' || this.#isLive) return;
    this.#isLive = true;
    this.#to.next({ what: 'live', resume });
  }

  /** A frame is whole revisions: only after its last item is its own place reached. */
  #tell(items: Frame['items'], resume: string): void {
    const before = typeof this.#after === 'string' ? this.#after : '';
    for (const [index, item] of items.entries()) {
      const place = index === items.length - 1 ? resume : before;
      this.#to.next({ ...item, resume: place } as StreamEvent | StreamGap);
    }
  }

  #watchSilence(socket: WebSocket): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // A close waits for an answer that may never come.
      socket.close();
      this.#closed({ code: 0, reason: `nothing was heard for ${SILENCE_MS / 1000} s` });
    }, SILENCE_MS);
  }

  #closed({ code, reason }: SocketClosed): void {
    if (this.#isOver) return;
    if (FINAL.has(code)) return this.#to.error(new StreamError(code, reason));
    this.#again(reason || `the connection ended (${code})`);
  }

  #failed(error: unknown): void {
    if (this.#isOver) return;
    const mayPass = error instanceof ApiError && (error.status === 0 || error.status >= 500);
    if (!mayPass) return this.#to.error(error);
    this.#again(error.message);
  }

  #again(reason: string): void {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#to.next({ what: 'lost', reason });
    // Half of it by chance, so that not all come back at once.
    const pauseMs = this.#pauseMs * (0.5 + Math.random() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => this.connect(), pauseMs);
  }
}

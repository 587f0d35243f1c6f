// A session that comes back: dials again with back-off, registers the events again, tells its listeners.
//
// L1  Listeners hear `connected` only when events are registered, so a list made after it misses nothing;
//     what happened while disconnected is not replayed: whoever cares lists again.
// L2  A call never waits for a reconnect: while down it fails at once, `disconnected`, `not-sent`. Whether
//     to do it again is the caller's to decide.
// L3  The back-off grows from 50 ms to 5 s with jitter, and starts afresh only after a session that held.
// L4  A listener that throws is the program's bug: it is thrown again outside of the socket's turn.
import { setTimeout as delay } from 'node:timers/promises';
import type { CallOptions } from './call-table.ts';
import type { Connection } from './connection.ts';
import { clientError, isLibvirtError, type LibvirtError } from './errors.ts';
import { decodeEvent, type DomainEvent } from './events.ts';
import type { Frame } from './frame.ts';
import type { Procedure } from './procedure.ts';
import { closeSession, openSession, type SessionOptions } from './session.ts';
import { openStream, type LibvirtStream } from './stream.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5000;
const HELD_MS = 5000;

/** What a listener hears: domain events, and the coming and going of the connection. */
export type LibvirtEvent =
  | DomainEvent
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly error: LibvirtError };
export type LibvirtListener = (event: LibvirtEvent) => void;

/** What the typed calls need. */
export interface Caller {
  call<A, R>(procedure: Procedure<A, R>, args: A, options?: CallOptions): Promise<R>;
  /** Opens a stream on a connection of its own; the caller destroys it, or close() does. */
  openStream<A, R>(
    procedure: Procedure<A, R>,
    args: A,
    options?: CallOptions,
  ): Promise<{ stream: LibvirtStream; result: R }>;
}

export type LinkOptions = Omit<SessionOptions, 'events' | 'onMessage'>;

export class Link implements Caller {
  readonly #options: LinkOptions;
  readonly #listeners = new Set<LibvirtListener>();
  readonly #streams = new Set<LibvirtStream>();
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #lastError = clientError('disconnected', 'not connected yet');
  #running: Promise<void> | undefined;

  private constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Resolves when the first session is up; rejects when that fails: it does not retry then. */
  static async open(options: LinkOptions, signal?: AbortSignal): Promise<Link> {
    const link = new Link(options);
    const connection = await link.#openSession(signal);
    link.#running = link.#run(connection);
    return link;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  async call<A, R>(procedure: Procedure<A, R>, args: A, options?: CallOptions): Promise<R> {
    const connection = this.#connection;
    if (connection === undefined) throw this.#down(procedure.name);
    return await connection.call(procedure, args, options);
  }

  async openStream<A, R>(
    procedure: Procedure<A, R>,
    args: A,
    options?: CallOptions,
  ): Promise<{ stream: LibvirtStream; result: R }> {
    if (this.#closing.signal.aborted) throw this.#down(procedure.name);
    const session = { ...this.#options, keepalive: false, events: false } as const;
    const connection = await openSession(session, options?.signal);
    const opened = await openStream(connection, procedure, args, options);
    this.#streams.add(opened.stream);
    opened.stream.once('close', () => this.#streams.delete(opened.stream));
    return opened;
  }

  /** Calls the listener from now on; returns what ends that. */
  subscribe(listener: LibvirtListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the session and the reconnecting. Outstanding calls fail, open streams are destroyed. */
  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#lastError = clientError('disconnected', 'this client was closed');
      this.#closing.abort();
      for (const stream of this.#streams) stream.destroy();
      if (this.#connection !== undefined) await closeSession(this.#connection);
    }
    await this.#running;
  }

  async #run(first: Connection): Promise<void> {
    let connection: Connection | undefined = first;
    let pauseMs = FIRST_PAUSE_MS;
    while (connection !== undefined) {
      const upAt = performance.now();
      await this.#serve(connection);
      if (performance.now() - upAt >= HELD_MS) pauseMs = FIRST_PAUSE_MS;
      connection = undefined;
      while (connection === undefined && !this.#closing.signal.aborted) {
        await this.#pause(pauseMs);
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
        connection = await this.#reopen();
      }
    }
  }

  /** From `connected` to `disconnected`. */
  async #serve(connection: Connection): Promise<void> {
    this.#connection = connection;
    this.#tell({ kind: 'connected' });
    const error = await connection.closed;
    this.#connection = undefined;
    if (!this.#closing.signal.aborted) this.#lastError = error;
    this.#tell({ kind: 'disconnected', error });
  }

  async #reopen(): Promise<Connection | undefined> {
    try {
      const connection = await this.#openSession(this.#closing.signal);
      if (!this.#closing.signal.aborted) return connection;
      connection.close();
      return undefined;
    } catch (error) {
      if (!isLibvirtError(error)) throw error;
      if (!this.#closing.signal.aborted) this.#lastError = error;
      return undefined;
    }
  }

  #openSession(signal?: AbortSignal): Promise<Connection> {
    const onMessage = (frame: Frame) => {
      const event = decodeEvent(frame);
      if (event !== undefined) this.#tell(event);
    };
    return openSession({ ...this.#options, events: true, onMessage }, signal);
  }

  async #pause(pauseMs: number): Promise<void> {
    const jittered = pauseMs * (0.5 + Math.random() / 2);
    // Rejects only when close() aborts it, which ends the wait just as well.
    await delay(jittered, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }

  #tell(event: LibvirtEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #down(procedure: string): LibvirtError {
    const message = `${procedure}: not connected to libvirtd: ${this.#lastError.message}`;
    return clientError('disconnected', message, { procedure, cause: this.#lastError });
  }
}

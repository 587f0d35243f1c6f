// One connection to libvirtd: a Unix socket, the calls on it, its events, its one optional stream.
//
// C1  Whatever the peer sends, nothing is thrown into the event loop: odd input ends the connection,
//     and everybody who waits is told `disconnected`.
// C2  A connection ends once, for one reason; `closed` resolves with it and never rejects.
// C3  Replies are matched by serial, so calls run in parallel and replies come in any order.
// C4  A stream has a connection of its own (see stream.ts): the daemon stops reading a connection whose
//     stream the guest does not read, and we stop reading one whose stream the caller does not read.
import { connect, type Socket } from 'node:net';
import { CallTable, type CallOptions } from './call-table.ts';
import { clientError, type LibvirtError } from './errors.ts';
import { encodeFrame, FrameReader, KEEPALIVE_PROGRAM, MAX_FRAME_BYTES } from './frame.ts';
import type { Frame } from './frame.ts';
import { Keepalive, KEEPALIVE_PING, KEEPALIVE_PONG, type KeepaliveOptions } from './keepalive.ts';
import type { Procedure } from './procedure.ts';

export interface ConnectionOptions {
  readonly socketPath: string;
  /** Deadline of a call that names none. */
  readonly callTimeoutMs: number;
  /** Calls with the daemon at once; keep below its max_client_requests (T1). */
  readonly maxInFlight: number;
  readonly maxFrameBytes?: number;
  /** Event messages, in order. Called in the turn of the socket: must not throw. */
  readonly onMessage?: (frame: Frame) => void;
}

/** Connects; rejects with `unreachable` or `aborted`. The caller closes what it gets. */
export function dial(options: ConnectionOptions, signal?: AbortSignal): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = connect(options.socketPath);
    const fail = (error: LibvirtError) => {
      signal?.removeEventListener('abort', abort);
      socket.destroy();
      reject(error);
    };
    const abort = () =>
      fail(clientError('aborted', `connecting to ${options.socketPath}: aborted`));
    const refused = (cause: Error) => fail(unreachable(options.socketPath, cause));
    socket.once('error', refused);
    socket.once('connect', () => {
      signal?.removeEventListener('abort', abort);
      socket.off('error', refused);
      resolve(new Connection(socket, options));
    });
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}

function unreachable(socketPath: string, cause: Error): LibvirtError {
  const hint = 'is libvirtd running, and may this user open its socket?';
  const message = `no libvirtd answers at ${socketPath} (${cause.message}); ${hint}`;
  return clientError('unreachable', message, { cause });
}

export class Connection {
  /** Resolves, with the reason, when the connection has ended (C2). */
  readonly closed: Promise<LibvirtError>;
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #calls: CallTable;
  readonly #streams = new Map<number, (frame: Frame) => void>();
  #keepalive: Keepalive | undefined;
  #ended: LibvirtError | undefined;
  #resolveClosed: (error: LibvirtError) => void = () => undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#reader = new FrameReader(options.maxFrameBytes ?? MAX_FRAME_BYTES);
    this.#calls = new CallTable({
      ...options,
      send: (bytes) => void socket.write(bytes),
      stuck: () => this.#end(disconnected('every call on this connection hangs in libvirtd')),
    });
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (cause) => this.#end(disconnected(cause.message, cause)));
    socket.on('close', () => this.#end(disconnected('libvirtd closed the connection')));
  }

  /** Calls a procedure. Rejects with a LibvirtError only. */
  async call<A, R>(procedure: Procedure<A, R>, args: A, options: CallOptions = {}): Promise<R> {
    return await this.callWithSerial(procedure, args, options).reply;
  }

  /** A call whose serial is needed, for the stream that goes with it. */
  callWithSerial<A, R>(
    procedure: Procedure<A, R>,
    args: A,
    options: CallOptions = {},
  ): { serial: number; reply: Promise<R> } {
    if (this.#ended !== undefined) {
      const { message } = this.#ended;
      const { name } = procedure;
      throw clientError('disconnected', `${name}: ${message}`, { procedure: name });
    }
    return this.#calls.start(procedure, args, options);
  }

  /** Gives stream frames of this serial to the handler. Frames of other serials are dropped. */
  onStream(serial: number, handler: (frame: Frame) => void): void {
    this.#streams.set(serial, handler);
  }

  /** Sends a frame past the call table; `sent` is called when the kernel has taken it. */
  send(frame: Omit<Frame, 'version'>, sent?: (error?: Error | null) => void): void {
    if (this.#ended === undefined) this.#socket.write(encodeFrame(frame), sent);
    else sent?.(this.#ended);
  }

  /** Stops reading the socket: backpressure to the daemon. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** From now on silence is answered with pings, and then with the end of the connection. */
  startKeepalive(options: KeepaliveOptions): void {
    this.#keepalive = new Keepalive(options, {
      ping: () => this.#sendKeepalive(KEEPALIVE_PING),
      dead: () => this.#end(disconnected('libvirtd did not answer keepalive pings')),
    });
  }

  /** Ends the connection now; outstanding calls fail with `disconnected`. */
  close(reason = 'this client closed the connection'): void {
    this.#end(disconnected(reason));
  }

  #receive(chunk: Buffer): void {
    if (this.#ended !== undefined) return;
    this.#keepalive?.heard();
    const { frames, malformed } = this.#reader.push(chunk);
    for (const frame of frames) {
      const wrong = this.#dispatch(frame);
      if (wrong !== undefined) return this.#end(broken(wrong));
    }
    if (malformed !== undefined) this.#end(broken(malformed));
  }

  /** Hands one frame on. Returns what is wrong with it, if anything. */
  #dispatch(frame: Frame): string | undefined {
    if (frame.program === KEEPALIVE_PROGRAM) {
      if (frame.procedure === KEEPALIVE_PING) this.#sendKeepalive(KEEPALIVE_PONG);
      return undefined;
    }
    switch (frame.type) {
      case 'reply':
        return this.#calls.settle(frame);
      case 'message':
        return this.#handOver(this.#options.onMessage, frame);
      case 'stream':
        return this.#handOver(this.#streams.get(frame.serial), frame);
      case 'call':
        return `a call of procedure ${frame.procedure} to a client`;
    }
  }

  #handOver(handler: ((frame: Frame) => void) | undefined, frame: Frame): string | undefined {
    try {
      handler?.(frame);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #sendKeepalive(procedure: number): void {
    this.send({
      program: KEEPALIVE_PROGRAM,
      procedure,
      type: 'message',
      serial: 0,
      status: 'ok',
      payload: Buffer.alloc(0),
    });
  }

  #end(error: LibvirtError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#keepalive?.stop();
    this.#socket.destroy();
    this.#calls.fail(error);
    this.#resolveClosed(error);
  }
}

function disconnected(message: string, cause?: Error): LibvirtError {
  return clientError('disconnected', message, { cause });
}

function broken(what: string): LibvirtError {
  return clientError('malformed', `libvirtd broke the protocol: it sent ${what}`);
}

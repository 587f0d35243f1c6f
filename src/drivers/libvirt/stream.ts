// A byte stream to or from the daemon: a console, a screenshot. A Node Duplex.
//
// S1  A stream lives on a connection of its own and takes it along when it ends (C4). So backpressure is
//     the socket's: unread data pauses it, and writes are done when the kernel has taken them.
// S2  Data of the daemon with no bytes is its end of stream. We answer `ok`, and the daemon's `ok` closes.
// S3  destroy() aborts: the daemon is told, and the connection ends.
// S4  Frames that arrive before the reply to the opening call belong to the stream all the same.
import { Duplex } from 'node:stream';
import type { CallOptions } from './call-table.ts';
import type { Connection } from './connection.ts';
import { clientError, daemonError } from './errors.ts';
import { MAX_STREAM_PAYLOAD_BYTES } from './frame.ts';
import type { Frame, FrameStatus } from './frame.ts';
import type { Procedure } from './procedure.ts';
import { remoteError } from './wire.ts';
import { decode } from './xdr.ts';

const EMPTY = Buffer.alloc(0);
type Done = (error?: Error | null) => void;

export class LibvirtStream extends Duplex {
  readonly #connection: Connection;
  readonly #address: { program: number; procedure: number; serial: number };
  /** The daemon has said its last word: abort() would be to nobody. */
  #finished = false;
  #onFinished: Done | undefined;

  constructor(
    connection: Connection,
    address: { program: number; procedure: number; serial: number },
  ) {
    super({ allowHalfOpen: false });
    this.#connection = connection;
    this.#address = address;
    connection.onStream(address.serial, (frame) => this.#receive(frame));
    void connection.closed.then((error) => {
      if (!this.#finished) this.destroy(error);
    });
  }

  override _read(): void {
    this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    this.#writeFrom(chunk, 0, done);
  }

  override _final(done: Done): void {
    if (this.#finished) return done();
    this.#onFinished = done;
    this.#send('ok', EMPTY);
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#finished || error !== null) return this.#leave(error, done);
    this.#finished = true;
    this.#send('error', EMPTY, () => this.#leave(error, done));
  }

  #leave(error: Error | null, done: Done): void {
    this.#finished = true;
    this.#connection.close('the stream ended');
    done(error);
  }

  #writeFrom(chunk: Buffer, offset: number, done: Done): void {
    const end = Math.min(chunk.length, offset + MAX_STREAM_PAYLOAD_BYTES);
    this.#send('continue', chunk.subarray(offset, end), (error) => {
      if (error || end === chunk.length) done(error);
      else this.#writeFrom(chunk, end, done);
    });
  }

  #send(status: FrameStatus, payload: Buffer, sent?: Done): void {
    this.#connection.send({ ...this.#address, type: 'stream', status, payload }, sent);
  }

  #receive(frame: Frame): void {
    switch (frame.status) {
      case 'continue':
        if (frame.payload.length === 0) this.push(null);
        else if (!this.push(frame.payload)) this.#connection.pause();
        return;
      case 'ok':
        this.#finished = true;
        this.push(null);
        this.#onFinished?.();
        return;
      case 'error':
        this.#finished = true;
        this.destroy(daemonError(decode(remoteError, frame.payload)));
    }
  }
}

/** Opens a stream on a connection made for it alone; the stream owns the connection from now on. */
export async function openStream<A, R>(
  connection: Connection,
  procedure: Procedure<A, R>,
  args: A,
  options: CallOptions = {},
): Promise<{ stream: LibvirtStream; result: R }> {
  try {
    const { serial, reply } = connection.callWithSerial(procedure, args, options);
    const { program, number } = procedure;
    const stream = new LibvirtStream(connection, { program, procedure: number, serial });
    // Until it is handed over nobody listens for its errors; the call reports them.
    const ignore = () => undefined;
    stream.on('error', ignore);
    const result = await reply;
    if (stream.destroyed) throw stream.errored ?? clientError('disconnected', 'the stream ended');
    stream.off('error', ignore);
    return { stream, result };
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Reads a stream that the daemon ends, up to `maxBytes`; destroys it in any case. */
export async function readAll(stream: LibvirtStream, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      if (!Buffer.isBuffer(chunk)) continue;
      size += chunk.length;
      if (size > maxBytes) {
        throw clientError('malformed', `libvirt sent more than ${maxBytes} bytes`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, size);
  } finally {
    stream.destroy();
  }
}

// The serial consoles of this machine's guests, each shared by all who are attached to it.
//
// QEMU serves one connection at a time: a second one would wait in silence for the first to end. So there is one
// connection for each guest, and everybody attached sees what the guest says and may type.
//
// L1  A guest never waits for a reader: its serial port stalls when nobody takes what it says. A reader that holds more
//     than MAX_UNREAD_BYTES is cut off; the console's log has everything.
// L2  The connection is made for the first who attaches and ends with the last.
// L3  What is read and written is the line's own bytes: telnet stays between us and QEMU.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { reasonOf, TroupeError } from '../../../actors/kernel/errors.ts';
import { Telnet, telnetEscaped } from './telnet.ts';

export const MAX_UNREAD_BYTES = 1024 * 1024;
const CONNECT_MS = 5_000;

export interface ConsolePlace {
  readonly host: string;
  readonly port: number;
}

export class SerialLines {
  readonly #lines = new Map<string, Promise<Line>>();

  /** One more who is attached; destroy it to leave. Errors: as of dialConsole(). */
  async attach(instanceId: string, place: ConsolePlace): Promise<Duplex> {
    for (;;) {
      const line = await this.#line(instanceId, place);
      // It may have ended while we waited for it.
      if (!line.isOver) return line.attach();
    }
  }

  #line(instanceId: string, place: ConsolePlace): Promise<Line> {
    const known = this.#lines.get(instanceId);
    if (known !== undefined) return known;
    const forget = () => {
      if (this.#lines.get(instanceId) === made) this.#lines.delete(instanceId);
    };
    const made = dialConsole(place).then((socket) => new Line(socket, forget));
    made.catch(forget);
    this.#lines.set(instanceId, made);
    return made;
  }
}

/** Connects to a console's port. Error: `object/wrong-phase`: nobody listens there, the guest is off. */
export async function dialConsole({ host, port }: ConsolePlace): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) });
    return socket;
  } catch (error) {
    socket.destroy();
    const message = `its console cannot be reached (${reasonOf(error)}): the instance may be off`;
    throw new TroupeError('object/wrong-phase', message, {}, error);
  }
}

/** One connection to QEMU, and who is attached. */
class Line {
  readonly #socket: Socket;
  readonly #telnet = new Telnet();
  readonly #attached = new Set<Attached>();
  readonly #forget: () => void;
  isOver = false;

  constructor(socket: Socket, forget: () => void) {
    this.#socket = socket;
    this.#forget = forget;
    socket.on('data', (chunk: Buffer) => this.#hear(chunk));
    // The close that follows says all that those attached have to know.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#end());
  }

  attach(): Duplex {
    const attached = new Attached(
      (bytes, done) => this.#socket.write(telnetEscaped(bytes), done),
      (left) => this.#leave(left),
    );
    this.#attached.add(attached);
    return attached;
  }

  #hear(chunk: Buffer): void {
    const { text, reply } = this.#telnet.receive(chunk);
    if (reply.length > 0) this.#socket.write(reply);
    if (text.length > 0) for (const one of this.#attached) one.hear(text);
  }

  #leave(attached: Attached): void {
    this.#attached.delete(attached);
    if (this.#attached.size === 0) this.#end();
  }

  #end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#forget();
    this.#socket.destroy();
    for (const one of this.#attached) one.push(null);
  }
}

type Write = (bytes: Uint8Array, done: (error?: Error | null) => void) => void;

/** Somebody at a line. */
class Attached extends Duplex {
  readonly #write: Write;
  readonly #left: (self: Attached) => void;

  constructor(write: Write, left: (self: Attached) => void) {
    super({ allowHalfOpen: false });
    this.#write = write;
    this.#left = left;
  }

  hear(text: Buffer): void {
    this.push(text);
    if (this.readableLength <= MAX_UNREAD_BYTES) return;
    const message = `more than ${MAX_UNREAD_BYTES} bytes of the console were not read`;
    this.destroy(new TroupeError('actor/overloaded', message));
  }

  override _read(): void {
    // What comes is pushed as it comes (L1).
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#write(chunk, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#left(this);
    done(error);
  }
}

// Clients' WebSockets: implements Sockets of src/api/http/channel.ts with ws.
//
// W1  Everything is bounded: sockets in all and of a namespace, the size of what a client sends.
// W2  A client that does not answer pings is gone: it is cut after `deadMs`.
import { WebSocket, WebSocketServer } from 'ws';
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import {
  CLOSE,
  type Channel,
  type ChannelEnd,
  type Sockets,
  type Speak,
  type Upgrade,
} from '../api/http/channel.ts';

export interface SocketLimits {
  readonly inAll: number;
  readonly perNamespace: number;
  /** Of a frame from a client. */
  readonly frameBytes: number;
  readonly pingMs: number;
  readonly deadMs: number;
}

export const SOCKET_LIMITS: SocketLimits = {
  inAll: 2_048,
  perNamespace: 1_024,
  frameBytes: 64 * 1024,
  pingMs: 20_000,
  deadMs: 50_000,
};

const CLOSE_MS = 2_000;
const TEXT = { binary: false };
const BYTES = { binary: true };
/** A close takes 123 bytes. */
const MAX_REASON_BYTES = 120;

interface Open {
  readonly socket: WebSocket;
  heardAtMono: number;
  /** Undefined while it is being made. */
  end: ChannelEnd | undefined;
}

export class WebSockets implements Sockets {
  readonly #clock: Clock;
  readonly #limits: SocketLimits;
  readonly #server: WebSocketServer;
  readonly #open = new Set<Open>();
  readonly #counts = new Map<string, number>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(clock: Clock, limits: SocketLimits = SOCKET_LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
    const options = { perMessageDeflate: false, closeTimeout: CLOSE_MS };
    const maxPayload = limits.frameBytes;
    this.#server = new WebSocketServer({ noServer: true, maxPayload, ...options });
  }

  get size(): number {
    return this.#open.size;
  }

  accept({ request, socket, head }: Upgrade, namespace: string, speak: Speak): void {
    const { inAll, perNamespace } = this.#limits;
    const count = this.#counts.get(namespace) ?? 0;
    if (this.#isClosed) throw new TroupeError('actor/stopped', 'this daemon is stopping');
    if (this.#open.size >= inAll || count >= perNamespace) {
      const whose = this.#open.size >= inAll ? 'here' : `of namespace ${namespace}`;
      throw new TroupeError('actor/overloaded', `too many WebSockets ${whose} are open`);
    }
    this.#server.handleUpgrade(request, socket, head, (accepted) => {
      this.#count(namespace, 1);
      this.#begin(accepted, speak, () => this.#count(namespace, -1));
    });
  }

  /** Tells all that this daemon is stopping; resolves when they are closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const closings = [...this.#open].map(({ socket, end }) => {
      const isClosed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      end?.end(CLOSE.stopping, 'this daemon is stopping; go on at another');
      return isClosed;
    });
    await Promise.all(closings);
    this.#timer?.cancel();
  }

  #begin(socket: WebSocket, speak: Speak, gone: () => void): void {
    const open: Open = { socket, heardAtMono: this.#clock.monoMs(), end: undefined };
    const hear = () => void (open.heardAtMono = this.#clock.monoMs());
    this.#open.add(open);
    this.#timer ??= this.#nextLook();
    socket.binaryType = 'nodebuffer';
    socket.on('pong', hear);
    // The close that follows is enough to know.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#open.delete(open);
      gone();
      open.end?.closed();
    });
    socket.on('message', (frame) => {
      hear();
      open.end?.received(frame as Buffer);
    });
    open.end = speak(channelOf(socket));
  }

  #count(namespace: string, by: number): void {
    const count = (this.#counts.get(namespace) ?? 0) + by;
    if (count > 0) this.#counts.set(namespace, count);
    else this.#counts.delete(namespace);
  }

  #nextLook(): Timer {
    const { pingMs, deadMs } = this.#limits;
    return this.#clock.after(pingMs, () => {
      const now = this.#clock.monoMs();
      for (const open of this.#open) {
        const { socket, heardAtMono } = open;
        // Nothing is heard of a client that is not read from.
        if (socket.isPaused) open.heardAtMono = now;
        else if (now - heardAtMono > deadMs) socket.terminate();
        if (socket.readyState === WebSocket.OPEN) socket.ping();
      }
      this.#timer = this.#open.size === 0 ? undefined : this.#nextLook();
    });
  }
}

function channelOf(socket: WebSocket): Channel {
  return {
    // No callback where nobody waits: at a thousand sockets it is felt.
    sendText: (text, sent) => socket.send(text, TEXT, sent),
    sendBytes: (bytes, sent) => socket.send(bytes, BYTES, sent),
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: (code, reason) => {
      // A paused socket would not see the client's answer.
      socket.resume();
      socket.close(code, shortReason(reason));
    },
  };
}

/** No character cut in two. */
function shortReason(text: string): string {
  const bytes = Buffer.from(text).subarray(0, MAX_REASON_BYTES);
  return new TextDecoder().decode(bytes, { stream: true });
}

// Byte channels between daemons: a connection of its own on the mesh's server, for bytes that are no messages, such as a
// console's.
//
//   hello    who dials -> who serves, one JSON text: {protocol, cluster, about}; `about` says what the bytes are of
//   answer   who serves -> who dials, one JSON text: {} or {code, message}: refused
//   bytes    binary, both ways, until one side closes; code 4002: its end, as it should be
//
// N1  Backpressure is TCP's: who does not read is not sent to, and holds no more than a few frames.
// N2  A reason travels with the close, so that who dialled can tell it.
// N3  MAX_SERVED at once; one more is refused. A peer that is silent for SILENCE_MS, pings included, is gone.
import { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { codeOf, isErrorCode, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import {
  agentFor,
  CLOSE_MS,
  HANDSHAKE_MS,
  hostInUrl,
  type Door,
  type MeshIdentity,
  type PeerAddress,
} from './socket.ts';

export const CHANNELS_PATH = '/channels';
export const MAX_SERVED = 1_024;
const PROTOCOL = 1;
const MAX_FRAME_BYTES = 1024 * 1024;
/** Of what is written at once; half of what a peer takes. */
const PART_BYTES = 512 * 1024;
const PING_MS = 5_000;
const SILENCE_MS = 15_000;
/** Until what was asked for is open. */
const ANSWER_MS = 10_000;
const CLOSE = { refused: 4001, done: 4002 } as const;
const LIMITS = { maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false, closeTimeout: CLOSE_MS };
/** A close takes 123 bytes. */
const MAX_REASON_BYTES = 120;

/** Opens what a channel is about. Errors: TroupeError; who dialled gets it. */
export type OpenChannel = (about: Json, from: string) => Promise<Duplex>;

export interface ChannelOptions {
  readonly cluster: string;
  readonly clock: Clock;
}

/** Serves peers that come in by its door. */
export class ChannelServer {
  readonly #options: ChannelOptions;
  readonly #open: OpenChannel;
  readonly #sockets = new WebSocketServer({ noServer: true, ...LIMITS });
  readonly #served = new Set<WebSocket>();
  #isClosed = false;

  constructor(options: ChannelOptions, open: OpenChannel) {
    this.#options = options;
    this.#open = open;
  }

  /** For the mesh's server, at CHANNELS_PATH. */
  readonly door: Door = (name, request, socket, head) => {
    if (this.#isClosed) return void socket.destroy();
    this.#sockets.handleUpgrade(request, socket, head, (accepted) => {
      this.#served.add(accepted);
      accepted.on('close', () => this.#served.delete(accepted));
      this.#serve(name, accepted);
    });
  };

  /** Ends every channel. */
  close(): void {
    this.#isClosed = true;
    for (const socket of this.#served) socket.close(CLOSE.refused, 'the daemon there is stopping');
  }

  #serve(from: string, socket: WebSocket): void {
    const { clock } = this.#options;
    const channel = new Channel(socket, clock);
    const late = clock.after(ANSWER_MS, () => {
      channel.destroy(new TroupeError('mesh/unreachable', 'no hello in time'));
    });
    channel.first((hello) => {
      late.cancel();
      this.#answer(hello, from, channel).catch((error: unknown) => channel.refuse(error));
    });
  }

  async #answer(hello: Record<string, unknown>, from: string, channel: Channel): Promise<void> {
    const { protocol, cluster, about = null } = hello;
    if (protocol !== PROTOCOL || cluster !== this.#options.cluster) {
      throw new TroupeError('mesh/unreachable', 'another cluster, or another protocol of channels');
    }
    if (this.#served.size > MAX_SERVED) {
      throw new TroupeError('mesh/overloaded', 'too many channels are open there');
    }
    const opened = await this.#open(about as Json, from);
    if (channel.isOver) return void opened.destroy();
    channel.accept({});
    joinDuplexes(opened, channel);
  }
}

export interface ChannelDialler {
  /** The bytes of what `about` names on `node`; destroy it to end. Errors: `mesh/*`, and those of who serves. */
  open(node: string, about: Json): Promise<Duplex>;
}

/** Dials members by name; they prove it by their certificate. */
export function channelDialler(
  { cluster, clock }: ChannelOptions,
  identity: MeshIdentity,
  addressOf: (node: string) => PeerAddress | undefined,
): ChannelDialler {
  return {
    open: (node, about) => {
      const address = addressOf(node);
      if (address === undefined) {
        return Promise.reject(unreachable(node, 'no such member of the cluster is there'));
      }
      const url = `wss://${hostInUrl(address.host)}:${address.port}${CHANNELS_PATH}`;
      const agent = agentFor(node, identity);
      const socket = new WebSocket(url, { ...LIMITS, handshakeTimeout: HANDSHAKE_MS, agent });
      return greeted(node, socket, { clock, hello: { protocol: PROTOCOL, cluster, about } });
    },
  };
}

function greeted(
  node: string,
  socket: WebSocket,
  { clock, hello }: { readonly clock: Clock; readonly hello: Json },
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const channel = new Channel(socket, clock);
    const late = clock.after(ANSWER_MS, () => channel.destroy(unreachable(node, 'no answer')));
    const failed = (error: Error | null) => {
      late.cancel();
      reject(error instanceof TroupeError ? error : unreachable(node, reasonOf(error ?? 'gone')));
    };
    channel.once('error', failed);
    const gone = () => failed(null);
    channel.once('close', gone);
    socket.on('open', () => socket.send(JSON.stringify(hello)));
    channel.first(({ code, message }) => {
      late.cancel();
      channel.off('error', failed);
      channel.off('close', gone);
      if (code === undefined) return resolve(channel);
      channel.destroy();
      const known = isErrorCode(code) ? code : 'mesh/foreign-error';
      reject(new TroupeError(known, typeof message === 'string' ? message : 'refused'));
    });
  });
}

/** Carries bytes both ways; each ends with the other, an error of one with its reason. */
export function joinDuplexes(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.on('error', (error) => to.destroy(error));
    from.on('close', () => to.end());
  }
}

/** A socket as a stream of bytes, after the first text each way. */
class Channel extends Duplex {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  #first: ((message: Record<string, unknown>) => void) | undefined;
  #heardAtMono: number;
  #timer: Timer;
  #reason = '';
  isOver = false;

  constructor(socket: WebSocket, clock: Clock) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#clock = clock;
    this.#heardAtMono = clock.monoMs();
    this.#timer = this.#nextPing();
    socket.binaryType = 'nodebuffer';
    socket.on('message', (bytes, isBinary) => this.#hear(bytes, isBinary));
    socket.on('pong', () => (this.#heardAtMono = clock.monoMs()));
    socket.on('error', (error) => (this.#reason = reasonOf(error)));
    socket.on('close', (code, reason) => this.#closed(code, reason.toString() || this.#reason));
    // Whoever uses it hears of it by their own listeners; before those there are some moments.
    this.on('error', () => undefined);
  }

  first(take: (message: Record<string, unknown>) => void): void {
    this.#first = take;
  }

  accept(answer: Json): void {
    this.#socket.send(JSON.stringify(answer), noted);
  }

  refuse(error: unknown): void {
    if (this.isOver) return;
    const [code, message] = [codeOf(error), reasonOf(error)];
    this.#socket.send(JSON.stringify({ code, message }), noted);
    this.destroy(new TroupeError(code, message));
  }

  #hear(bytes: RawData, isBinary: boolean): void {
    this.#heardAtMono = this.#clock.monoMs();
    const first = this.#first;
    if (first === undefined) {
      if (!isBinary) return void this.destroy(new TroupeError('mesh/unreachable', 'not bytes'));
      if (!this.push(bytes as Buffer)) this.#socket.pause();
      return;
    }
    this.#first = undefined;
    const message = isBinary ? undefined : parsed(bytes as Buffer);
    if (message !== undefined) return first(message);
    this.destroy(new TroupeError('mesh/unreachable', 'no hello'));
  }

  override _read(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    let at = 0;
    for (; at + PART_BYTES < chunk.length; at += PART_BYTES) {
      this.#socket.send(chunk.subarray(at, at + PART_BYTES), noted);
    }
    // A socket that has closed says so by its close event, and with the reason.
    this.#socket.send(chunk.subarray(at), () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.close(CLOSE.done, '');
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.isOver = true;
    this.#timer.cancel();
    // A paused socket would not see the other's close.
    this.#socket.resume();
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.terminate();
    else if (error === null) this.#socket.close(CLOSE.done, '');
    else this.#socket.close(CLOSE.refused, shortReason(reasonOf(error)));
    done(error);
  }

  #closed(code: number, reason: string): void {
    this.#timer.cancel();
    if (this.isOver) return;
    if (code === CLOSE.done) return void this.push(null);
    this.destroy(new TroupeError('mesh/unreachable', reason || `the link ended (${code})`));
  }

  #nextPing(): Timer {
    return this.#clock.after(PING_MS, () => {
      const isPaused = this.#socket.isPaused;
      // Nothing is heard of a socket that we do not read from.
      if (isPaused) this.#heardAtMono = this.#clock.monoMs();
      if (this.#clock.monoMs() - this.#heardAtMono > SILENCE_MS) {
        this.destroy(new TroupeError('mesh/unreachable', 'the other node is silent'));
        return this.#socket.terminate();
      }
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
      this.#timer = this.#nextPing();
    });
  }
}

function unreachable(node: string, reason: string): TroupeError {
  return new TroupeError('mesh/unreachable', `${node} cannot be reached: ${reason}`, { node });
}

function parsed(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    // Whoever sends that is none of ours: the channel ends.
    return undefined;
  }
}

/** No character cut in two. */
function shortReason(text: string): string {
  const bytes = Buffer.from(text).subarray(0, MAX_REASON_BYTES);
  return new TextDecoder().decode(bytes, { stream: true });
}

/** A socket that has closed says so by its close event. */
function noted(): void {}

// A TCP link that misbehaves on command: a proxy between a client and a server on loopback.
//
// Cut: connections are reset and new ones refused. Stall: everything stays open and nothing passes
// (a black hole: what a pulled cable, a full conntrack table or a paused host looks like). Bytes that
// arrive during a stall are lost with their connections, not kept: they are closed when it ends.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface FlakyLink {
  readonly port: number;
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Resets all connections and refuses new ones until resume(). */
  cut(): Promise<void>;
  /** Resets all connections; new ones pass. */
  drop(): void;
  /** Keeps connections open, accepts new ones, and passes nothing until resume(). */
  stall(): void;
  /** Requests go through and answers are lost, on the connections that exist; new ones pass. */
  mute(): void;
  /** Everything that exists is black-holed for ever; new connections pass. */
  strand(): void;
  /** Passes new connections; those of a stall are reset. */
  resume(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a link to `targetPort` on loopback. */
export async function flakyLink(targetPort: number): Promise<FlakyLink> {
  const link = new TcpLink(targetPort);
  await link.resume();
  return link;
}

class TcpLink implements FlakyLink {
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  /** The sockets towards the server. */
  readonly #far = new Set<Socket>();
  #server: Server | undefined;
  #isStalled = false;
  port = 0;
  accepted = 0;

  constructor(targetPort: number) {
    this.#targetPort = targetPort;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return this.drop();
    const closed = once(server, 'close');
    server.close();
    this.drop();
    await closed;
  }

  drop(): void {
    for (const socket of this.#sockets) reset(socket);
    this.#sockets.clear();
  }

  stall(): void {
    this.#isStalled = true;
    this.strand();
  }

  mute(): void {
    for (const socket of this.#far) {
      socket.unpipe();
      socket.pause();
    }
  }

  strand(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  async resume(): Promise<void> {
    if (this.#isStalled) this.drop();
    this.#isStalled = false;
    if (this.#server !== undefined) return;
    const server = createServer((near) => this.#accept(near));
    this.#server = server;
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    const address: AddressInfo | string | null = server.address();
    if (address !== null && typeof address !== 'string') this.port = address.port;
  }

  async close(): Promise<void> {
    await this.cut();
  }

  #accept(near: Socket): void {
    this.accepted++;
    this.#keep(near);
    if (this.#isStalled) return void near.pause();
    const far = connect(this.#targetPort, '127.0.0.1');
    this.#keep(far);
    this.#far.add(far);
    far.on('close', () => this.#far.delete(far));
    const end = () => {
      near.destroy();
      far.destroy();
    };
    near.on('close', end);
    far.on('close', end);
    near.pipe(far);
    far.pipe(near);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    // A reset is what this link is for.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** Resetting a socket that is shutting down leaves a handle that Node 24 waits for at exit, spinning for ever. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

// The daemon's links to other daemons: asks go out by the peer's name, and what peers ask is handed to `handle`.
//
// G1  Dialled on demand; who is never asked is never dialled.
// G2  close() lets what is under way end, CLOSING_MS at most, and leaves no socket or timer.
import type { Server } from 'node:https';
import { once } from 'node:events';
import type { Clock } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { AskReply, Log } from '../../actors/kernel/ports.ts';
import type { Hello } from './frame.ts';
import { CLOSE, Link, unreachable, type AskOptions, type Handler, type Wire } from './link.ts';
import { Peer } from './peer.ts';
import {
  dial,
  meshServer,
  type Admits,
  type Doors,
  type Guests,
  type MeshIdentity,
  type PeerAddress,
} from './socket.ts';

/** Protocols that this version speaks (frame.ts). */
export const PROTOCOL = { protocolMin: 1, protocolMax: 1 } as const;

const CLOSING_MS = 5_000;

export interface MeshOptions {
  /** What this daemon says of itself. */
  readonly hello: Omit<Hello, 'kind'>;
  readonly identity: MeshIdentity;
  readonly listen: PeerAddress;
  /** Null or left out: none come in. */
  readonly guests?: Guests | null;
  /** Where a member's mesh listens; undefined: no such member. */
  readonly addressOf: (node: string) => PeerAddress | undefined;
  readonly handle: (from: string, ...ask: Parameters<Handler>) => Promise<AskReply>;
  /** Left out: whoever TLS has proved to be of the cluster. */
  readonly admits?: Admits;
  /** For other protocols on the same server; who opens them closes their sockets. */
  readonly doors?: Doors;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

export interface PeerStatus {
  readonly node: string;
  readonly state: 'open' | 'unreachable' | 'idle';
  /** Why it is out of reach. */
  readonly reason: string | null;
}

export class Mesh {
  readonly #options: MeshOptions;
  readonly #server: Server;
  readonly #peers = new Map<string, Peer>();
  readonly #links = new Set<Link>();
  /** What gives up each dialling under way. */
  readonly #diallings = new Map<string, () => void>();
  #isClosed = false;
  #onLinkGone: () => void = () => {};

  private constructor(options: MeshOptions) {
    this.#options = options;
    this.#server = meshServer(
      options.identity,
      {
        guests: options.guests ?? null,
        doors: options.doors ?? new Map(),
        admits: options.admits ?? (() => true),
      },
      (name, wire) => this.#makeLink(name, wire, false),
      options.log,
    );
  }

  /** Listens from then on. Errors: those of listen(). */
  static async open(options: MeshOptions): Promise<Mesh> {
    const mesh = new Mesh(options);
    const { host, port } = options.listen;
    const listening = once(mesh.#server, 'listening');
    mesh.#server.listen(port, host);
    await listening;
    mesh.#server.on('error', (error) => options.log('error', 'the mesh server failed', { error }));
    return mesh;
  }

  /** The port that it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Asks an address on `node`; rejects with what is said there, or with `mesh/*` or `actor/timeout`. */
  async ask(node: string, to: Address, body: unknown, options: AskOptions): Promise<AskReply> {
    if (this.#isClosed) throw unreachable(node, 'this daemon is stopping', false);
    return this.#peer(node).ask(to, body, options);
  }

  /** Everyone that was ever spoken with. */
  status(): PeerStatus[] {
    return [...this.#peers].map(([node, { link, trouble: reason }]) => {
      const state = link !== null ? 'open' : reason !== null ? 'unreachable' : 'idle';
      return { node, state, reason };
    });
  }

  /** Links of any state. */
  get linkCount(): number {
    return this.#links.size;
  }

  /** Ends the links to a peer that is to have none any more. */
  cut(node: string, reason: string): void {
    for (const link of this.#links) if (link.name === node) link.end(CLOSE.done, reason);
  }

  /** Ends everything at once, as if the process had died. */
  abort(): void {
    this.#refuseNew();
    for (const link of this.#links) link.end(CLOSE.done, 'aborted');
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.#refuseNew();
    for (const link of this.#links) {
      if (link.state === 'greeting') link.end(CLOSE.done, 'stopping');
      else link.drain();
    }
    await this.#linksGone();
    for (const link of this.#links) link.end(CLOSE.done, 'stopping');
    this.#server.closeAllConnections();
  }

  #refuseNew(): void {
    this.#isClosed = true;
    this.#server.close();
    for (const giveUp of this.#diallings.values()) giveUp();
  }

  #linksGone(): Promise<void> {
    if (this.#links.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(CLOSING_MS, resolve);
      this.#onLinkGone = () => {
        if (this.#links.size > 0) return;
        timer.cancel();
        resolve();
      };
    });
  }

  #peer(name: string): Peer {
    const known = this.#peers.get(name);
    if (known !== undefined) return known;
    const { hello, clock, random } = this.#options;
    const peer = new Peer({ self: hello.node, name, clock, random, dial: () => this.#dial(name) });
    this.#peers.set(name, peer);
    return peer;
  }

  #dial(name: string): void {
    const { addressOf, identity } = this.#options;
    const address = addressOf(name);
    const failed = (reason: string) => {
      this.#diallings.delete(name);
      this.#peer(name).failed(reason);
    };
    if (address === undefined) return failed('no such member of the cluster is there');
    const made = (_name: string, wire: Wire) => {
      this.#diallings.delete(name);
      return this.#makeLink(name, wire, true);
    };
    try {
      this.#diallings.set(name, dial(name, address, identity, made, failed));
    } catch (error) {
      // An address that makes no URL.
      failed(`${address.host}:${address.port} cannot be dialled: ${reasonOf(error)}`);
    }
  }

  #makeLink(name: string, wire: Wire, isDialler: boolean): Link {
    const { hello, clock, log, handle } = this.#options;
    const link = new Link({
      own: { kind: 'hello', ...hello },
      name,
      isDialler,
      wire,
      clock,
      log,
      handle: (...ask) => handle(name, ...ask),
      onOpen: (opened) => this.#peer(name).opened(opened),
      onClosed: (closed, reason, isRefused) => this.#closed(closed, reason, isRefused),
    });
    this.#links.add(link);
    if (this.#isClosed) link.end(CLOSE.done, 'stopping');
    return link;
  }

  #closed(link: Link, reason: string, isRefused: boolean): void {
    this.#links.delete(link);
    const { log } = this.#options;
    const fields = { peer: link.name, reason };
    if (isRefused) log('warn', 'the peer and we do not fit together', fields);
    else log('debug', 'a link has ended', fields);
    const peer = this.#peer(link.name);
    if (link.peer !== null) peer.closed(link, reason);
    else if (link.isDialler) peer.failed(isRefused ? `refused: ${reason}` : reason);
    this.#onLinkGone();
  }
}

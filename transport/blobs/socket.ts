// Sockets of blob transfers, on the mesh's own server and with its certificates (transport/mesh/socket.ts).
//
// T1  The node that wants the blob dials: a WebSocket client masks what it sends, in JavaScript, so the bulk comes from
//     the server.
// T2  MAX_SERVED transfers are served at once; one more gets the list of digests at most, and comes again later or asks
//     others. More than MAX_LINKS are not let in at all.
import { WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import {
  agentFor,
  CLOSE_MS,
  HANDSHAKE_MS,
  hostInUrl,
  type Door,
  type MeshIdentity,
  type PeerAddress,
} from '../mesh/socket.ts';
import type { DialBlob } from './fetch.ts';
import { MAX_MESSAGE_BYTES } from './frame.ts';
import type { RateLimit } from './rate-limit.ts';
import { Serving, type BlobHolder, type BlobSelf } from './serving.ts';
import { SendSlots, SLOTS } from './send-slots.ts';
import { SentCounts } from './sent-counts.ts';
import type { Source } from './source.ts';
import { CLOSE, type BlobWire } from './wire.ts';

export const BLOBS_PATH = '/blobs';
export const MAX_SERVED = 32;
const MAX_LINKS = 256;
const LIMITS = { maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false, closeTimeout: CLOSE_MS };

export interface BlobServerOptions {
  readonly self: BlobSelf;
  readonly holder: BlobHolder;
  /** On what is sent, all transfers together. */
  readonly rate?: RateLimit;
  readonly clock: Clock;
  readonly log: Log;
}

/** Serves this node's replicas to peers that come in by its door. */
export class BlobServer {
  readonly #options: BlobServerOptions;
  readonly #sockets = new WebSocketServer({ noServer: true, ...LIMITS });
  readonly #servings = new Set<Serving>();
  readonly #counts: SentCounts;
  /** Those that were let in to chunks. */
  readonly #welcome = new Set<Serving>();
  #isClosed = false;

  readonly #slots: { readonly urgent: SendSlots; readonly usual: SendSlots };

  constructor(options: BlobServerOptions) {
    const { clock } = options;
    this.#options = options;
    this.#counts = new SentCounts(clock);
    this.#slots = { urgent: new SendSlots(SLOTS, clock), usual: new SendSlots(SLOTS, clock) };
  }

  /** For the mesh's server, at BLOBS_PATH. */
  readonly door: Door = (name, request, socket, head) => {
    if (this.#isClosed || this.#servings.size >= MAX_LINKS) return void socket.destroy();
    this.#sockets.handleUpgrade(request, socket, head, (accepted) => this.#serve(name, accepted));
  };

  /** Transfers under way. */
  get serving(): number {
    return this.#servings.size;
  }

  /** Ends every transfer; those who fetch go on elsewhere, or later. */
  close(): void {
    this.#isClosed = true;
    for (const serving of this.#servings) serving.end(CLOSE.done, 'stopping');
  }

  #serve(name: string, socket: WebSocket): void {
    const { self, holder, clock, log, rate } = this.#options;
    const isWelcome = this.#welcome.size < MAX_SERVED;
    const serving: Serving = new Serving({
      self,
      name,
      wire: wireOf(socket),
      clock,
      holder,
      ...(rate === undefined ? {} : { rate }),
      isWelcome,
      counts: this.#counts,
      slots: this.#slots,
      onClosed: (reason) => {
        this.#servings.delete(serving);
        this.#welcome.delete(serving);
        log('debug', 'a blob transfer has ended', { peer: name, bytes: serving.sentBytes, reason });
      },
    });
    this.#servings.add(serving);
    if (isWelcome) this.#welcome.add(serving);
    join(socket, {
      received: (bytes) => serving.received(bytes),
      wireClosed: (reason) => serving.wireClosed(reason),
    });
    if (this.#isClosed) serving.end(CLOSE.done, 'stopping');
  }
}

/** Dials holders by name; they prove it by their certificate. */
export function blobDialler(
  identity: MeshIdentity,
  addressOf: (node: string) => PeerAddress | undefined,
): DialBlob {
  return (node, make, failed) => {
    const address = addressOf(node);
    // Not at once: who dials has not returned yet.
    if (address === undefined) return later(() => failed('no such member of the cluster is there'));
    const socket = open(node, address, identity);
    if (socket === null) return later(() => failed(`${address.host} makes no address`));
    let source: Source | undefined;
    socket.on('open', () => (source = make(wireOf(socket))));
    join(socket, {
      received: (bytes) => source?.received(bytes),
      wireClosed: (reason) => (source === undefined ? failed(reason) : source.wireClosed(reason)),
    });
    return () => {
      if (source === undefined) socket.terminate();
    };
  };
}

/** Null for an address that makes no URL. */
function open(node: string, address: PeerAddress, identity: MeshIdentity): WebSocket | null {
  const url = `wss://${hostInUrl(address.host)}:${address.port}${BLOBS_PATH}`;
  if (!URL.canParse(url)) return null;
  const agent = agentFor(node, identity);
  return new WebSocket(url, { ...LIMITS, handshakeTimeout: HANDSHAKE_MS, agent });
}

interface End {
  received(bytes: Uint8Array): void;
  wireClosed(reason: string): void;
}

function join(socket: WebSocket, end: End): void {
  let reason: string | undefined;
  socket.binaryType = 'nodebuffer';
  socket.on('message', (bytes, isBinary) => {
    if (isBinary && bytes instanceof Uint8Array) end.received(bytes);
    else socket.close(CLOSE.protocol, 'messages are binary');
  });
  socket.on('error', (error) => (reason = reasonOf(error)));
  socket.on('close', (code, text) => {
    end.wireClosed(text.toString() || (reason ?? `the connection ended (${code})`));
  });
}

function wireOf(socket: WebSocket): BlobWire {
  return {
    // Its callback also comes when the socket closes before the bytes are out.
    send: (bytes, sent = ignore) => socket.send(bytes, () => sent()),
    close: (code, reason) => socket.close(code, reason),
  };
}

function later(act: () => void): () => void {
  const handle = setImmediate(act);
  return () => clearImmediate(handle);
}

function ignore(): void {}

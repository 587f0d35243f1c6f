// Sockets of the mesh: mutual TLS with the cluster's own authority, WebSocket above it.
//
// K1  Nothing is read from a peer before TLS has proved its certificate to be of our authority. Its name is the
//     certificate's common name.
// K2  A dialler goes on only with a server whose certificate bears the name that it wanted to reach, whatever
//     the address.
// K3  Bearers of a guest's certificate, which another authority signs, get no further than to the handler of guests.
// K4  Listeners are attached in the tick that makes a socket; every socket has one for errors.
// K5  Other protocols of the cluster come in by doors of their own, each at its path: those too get only peers
//     that TLS has proved, with their name.
// K6  A certificate is good for ten years, a node perhaps not: `admits` has the last word on who comes in.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { MAX_FRAME_BYTES } from './frame.ts';
import type { Link, Wire } from './link.ts';

/** PEM. The certificate is valid for servers and clients, and its common name is the node's. */
export interface MeshIdentity {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

/** Who may come in without being a peer, and what is done with their requests. */
export interface Guests {
  /** The authority that signs their certificates, PEM. */
  readonly ca: string;
  /** Whether a common name is a guest's. */
  readonly isGuest: (name: string) => boolean;
  readonly handle: (name: string, request: IncomingMessage, response: ServerResponse) => void;
}

/** Whether the peer called `name`, with this public key (SPKI, PEM), may come in. */
export type Admits = (name: string, publicKey: string) => boolean;

/** Makes the link of a socket that is open. */
export type MakeLink = (name: string, wire: Wire) => Link;

/** Takes an upgrade of the peer called `name`; the socket has a listener for errors. */
export type Door = (name: string, request: IncomingMessage, socket: Duplex, head: Buffer) => void;
/** By path, `/mesh` excepted. */
export type Doors = ReadonlyMap<string, Door>;

const PATH = '/mesh';
export const HANDSHAKE_MS = 5_000;
export const CLOSE_MS = 2_000;
const LIMITS = { maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false, closeTimeout: CLOSE_MS };

/** Dials `name`; calls `failed` once when it comes to no link. The returned function gives a dialling up. */
export function dial(
  name: string,
  { host, port }: PeerAddress,
  identity: MeshIdentity,
  makeLink: MakeLink,
  failed: (reason: string) => void,
): () => void {
  const socket = new WebSocket(`wss://${hostInUrl(host)}:${port}${PATH}`, {
    ...LIMITS,
    handshakeTimeout: HANDSHAKE_MS,
    agent: agentFor(name, identity),
  });
  const attached = attach(socket);
  socket.on('open', () => attached.begin(makeLink(name, attached.wire)));
  socket.on('close', (code) => {
    if (!attached.hasBegun) failed(attached.reason ?? `the connection ended (${code})`);
  });
  return () => {
    if (!attached.hasBegun) socket.terminate();
  };
}

/** A server that accepts peers and nobody else; the caller listens and closes. */
export function meshServer(
  identity: MeshIdentity,
  {
    guests,
    doors,
    admits,
  }: { readonly guests: Guests | null; readonly doors: Doors; readonly admits: Admits },
  makeLink: MakeLink,
  log: Log,
): Server {
  const server = createServer({
    ...tlsOptions(identity),
    ca: guests === null ? identity.ca : [identity.ca, guests.ca],
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_MS,
  });
  const upgrades = new WebSocketServer({ noServer: true, ...LIMITS });
  server.on('request', (request, response) => {
    const name = nameOf(request.socket as TLSSocket);
    if (name !== undefined && guests?.isGuest(name)) guests.handle(name, request, response);
    else response.writeHead(426).end();
  });
  server.on('tlsClientError', (error) =>
    log('debug', 'a stranger was turned away from the mesh', { reason: error.message }),
  );
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    const name = nameOf(request.socket as TLSSocket);
    if (name === undefined || guests?.isGuest(name)) return void socket.destroy();
    if (!admits(name, keyOf(request.socket as TLSSocket))) return void socket.destroy();
    const door = doors.get(request.url ?? '');
    if (door !== undefined) return door(name, request, socket, head);
    if (request.url !== PATH) return void socket.destroy();
    upgrades.handleUpgrade(request, socket, head, (accepted) => {
      const attached = attach(accepted);
      attached.begin(makeLink(name, attached.wire));
    });
  });
  return server;
}

/** Checks the server's name (K2): an agent may, the types of ws may not. */
export function agentFor(name: string, identity: MeshIdentity): Agent {
  return new Agent({
    ...tlsOptions(identity),
    checkServerIdentity: (_host, { subject }) =>
      subject?.CN === name ? undefined : new Error(`${String(subject?.CN)} answers there`),
  });
}

function tlsOptions({ ca, certificate, key }: MeshIdentity) {
  return { ca, cert: certificate, key, minVersion: 'TLSv1.3' as const };
}

/** Undefined unless TLS has accepted the certificate. */
function nameOf(socket: TLSSocket): string | undefined {
  const name: unknown = socket.authorized ? socket.getPeerCertificate().subject?.CN : undefined;
  return typeof name === 'string' && name !== '' ? name : undefined;
}

function keyOf(socket: TLSSocket): string {
  const certificate = socket.getPeerX509Certificate();
  return certificate?.publicKey.export({ type: 'spki', format: 'pem' }).toString() ?? '';
}

interface Attached {
  readonly wire: Wire;
  readonly hasBegun: boolean;
  /** Of the last error. */
  readonly reason: string | undefined;
  begin(link: Link): void;
}

/** Joins a socket with the link that will be made for it. */
function attach(socket: WebSocket): Attached {
  let link: Link | undefined;
  let reason: string | undefined;
  socket.binaryType = 'nodebuffer';
  socket.on('message', (bytes, isBinary) => {
    if (isBinary && bytes instanceof Uint8Array) link?.received(bytes);
    else socket.close(4000, 'frames are binary');
  });
  socket.on('error', (error) => (reason = reasonOf(error)));
  socket.on('close', (code, text) => link?.wireClosed(code, text.toString() || (reason ?? '')));
  return {
    wire: {
      send: (frame) => socket.send(frame, noted),
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
      close: (code, text) => socket.close(code, text),
    },
    get hasBegun() {
      return link !== undefined;
    },
    get reason() {
      return reason;
    },
    begin: (made) => (link = made),
  };
}

/** A socket that has closed says so by its close event. */
function noted(): void {}

export function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

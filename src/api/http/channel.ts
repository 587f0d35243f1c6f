// A client's WebSocket as those who speak over it see it, how one ends, and a route that opens one.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Answer, ApiRequest, Route } from './route.ts';

/** Close codes; docs/stream.md says what a client does about each. */
export const CLOSE = {
  done: 1000,
  /** This daemon is stopping. */
  stopping: 1001,
  /** What it needs cannot be had here just now. */
  later: 1013,
  badRequest: 4000,
  /** Key or namespace that it was opened with are gone. */
  unauthenticated: 4001,
  /** What it shows may no longer be seen. */
  forbidden: 4003,
  /** The client does not read. */
  slow: 4008,
  /** What it was about has ended: the guest is off, the instance deleted. */
  gone: 4010,
  /** It was to go on after a revision that the cluster has not reached. */
  ahead: 4011,
} as const;

export interface Channel {
  /** UTF-8. `sent` is called once the system has taken it, or the channel has closed. */
  sendText(text: string | Uint8Array, sent?: () => void): void;
  sendBytes(bytes: Uint8Array, sent?: () => void): void;
  /** Handed over and not yet taken by the system. */
  readonly bufferedBytes: number;
  /** Stops, and goes on, reading what the client sends. */
  pause(): void;
  resume(): void;
  close(code: number, reason: string): void;
}

/** The other end of a channel. */
export interface ChannelEnd {
  received(frame: Uint8Array): void;
  /** It has to end: say why, and close it. */
  end(code: number, reason: string): void;
  /** Once, whoever ended it. */
  closed(): void;
}

export type Speak = (channel: Channel) => ChannelEnd;

/** A request for an upgrade, as node hands it over. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** Makes channels of upgrades, within limits. */
export interface Sockets {
  /** Error: `actor/overloaded`: too many are open. */
  accept(upgrade: Upgrade, namespace: string, speak: Speak): void;
}

/** What a socket route has opened for a request that it lets in. */
export interface Opening {
  /** Of the object that it is about; null: about none. */
  readonly objectId: string | null;
  readonly speak: Speak;
  /** Why what it shows may no longer be seen by whom it was opened for; null: it may. */
  readonly refusal: () => string | null;
  /** It comes to no channel. */
  readonly abandon: () => void;
}

/** What a socket, and a ticket, may be for. */
export const PURPOSES = ['stream', 'console', 'vdi'] as const;
export type Purpose = (typeof PURPOSES)[number];

export interface SocketRoute extends Route {
  readonly purpose: Purpose;
  open(request: ApiRequest<unknown>): Opening | Promise<Opening>;
}

/** A route that is answered by a WebSocket. */
export function socketRoute(
  plain: Route,
  purpose: Purpose,
  open: (request: ApiRequest<unknown>) => Opening | Promise<Opening>,
): SocketRoute {
  return { ...plain, purpose, open };
}

export function isSocketRoute(route: Route): route is SocketRoute {
  return 'open' in route;
}

/** The handler of such a route for those who ask for no upgrade. */
export function onlyUpgrades(): Answer {
  throw new TroupeError('api/upgrade-required', 'this address speaks WebSocket only');
}

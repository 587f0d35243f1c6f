// Upgrades to WebSocket: finds the route, who is calling (by token or by ticket), opens what the route is about, and
// only then accepts.
//
// U1  Until it is accepted an upgrade is an HTTP request: what is wrong is answered with a status, as everywhere.
// U2  A channel lives as long as the key that it was opened with, and what it shows may be seen; not longer.
// U3  It is measured and logged as other requests are, by the status that it is answered with.
// U4  Never a token in an address: addresses end up in logs. A ticket opens one socket once.
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import { CODES, codeOf, reasonOf, TroupeError } from '../../../actors/kernel/errors.ts';
import { unauthenticated, type Authenticator } from '../identity/auth.ts';
import { holderOf, type Holder, type Sessions } from '../stream/sessions.ts';
import { notFound, type ApiServices } from '../services.ts';
import { isOurs } from './answer.ts';
import {
  isSocketRoute,
  type Opening,
  type SocketRoute,
  type Speak,
  type Upgrade,
} from './channel.ts';
import { beginRequest, GIVEN_UP, type SeenRequest } from './request-log.ts';
import type { RouteTable } from './route-table.ts';

const SWITCHED = 101;

export interface UpgradeParts {
  readonly services: ApiServices;
  readonly table: RouteTable;
  readonly callers: Authenticator;
  readonly sessions: Sessions;
}

interface Asked {
  readonly upgrade: Upgrade;
  readonly trace: string;
  readonly query: URLSearchParams;
}

/** Other upgrades than to WebSocket are not taken: the request is answered as if it had not asked. */
export function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** Takes an upgrade; never rejects. */
export async function takeUpgrade(
  parts: UpgradeParts,
  upgrade: Upgrade,
  trace: string,
): Promise<void> {
  const { services } = parts;
  const { socket, request } = upgrade;
  socket.on('error', () => socket.destroy());
  const seen = beginRequest(services, request, trace);
  const [path = '/', query = ''] = (request.url ?? '/').split('?');
  try {
    const match = parts.table.find('GET', path);
    if (match.kind !== 'route' || request.method !== 'GET') throw notFound('address');
    const { route, params } = match;
    seen.route = route;
    if (!isSocketRoute(route)) {
      throw new TroupeError('api/bad-request', 'this address does not speak WebSocket');
    }
    const asked = { upgrade, trace, query: new URLSearchParams(query) };
    const isOpen = await open(parts, asked, route, params, seen);
    seen.answered(isOpen ? SWITCHED : GIVEN_UP);
  } catch (error) {
    if (isOurs(error)) {
      services.log('error', 'upgrade failed', { trace, code: codeOf(error), error });
    }
    seen.answered(socket.writable ? CODES[codeOf(error)].http : GIVEN_UP);
    refuse(upgrade, trace, error);
  }
}

/** Resolves to false when the client has gone meanwhile. */
async function open(
  parts: UpgradeParts,
  { upgrade, trace, query }: Asked,
  route: SocketRoute,
  params: Readonly<Record<string, string>>,
  seen: SeenRequest,
): Promise<boolean> {
  const { services, sessions } = parts;
  const { request, socket } = upgrade;
  const { holder, objectId } = await admitted(parts, request, query.get('ticket'), route);
  const caller = { namespace: holder.namespace, keyName: holder.keyName };
  seen.caller = caller;
  const remote = request.socket.remoteAddress ?? '';
  const opening = await route.open({
    method: 'GET',
    caller,
    params,
    query,
    body: {},
    bytes: request,
    newId: () => services.random.uuid(),
    trace,
    remote,
    accept: '',
  });
  try {
    if (objectId !== undefined && objectId !== opening.objectId) throw wrongTicket();
    if (socket.destroyed) {
      opening.abandon();
      return false;
    }
    services.sockets.accept(upgrade, caller.namespace, watched(sessions, holder, opening));
    return true;
  } catch (error) {
    opening.abandon();
    throw error;
  }
}

interface Admitted {
  readonly holder: Holder;
  /** Of the ticket; undefined: there was none. */
  readonly objectId?: string | null;
}

async function admitted(
  { services, callers }: UpgradeParts,
  request: IncomingMessage,
  ticket: string | null,
  { access, purpose }: SocketRoute,
): Promise<Admitted> {
  if (ticket === null) {
    const holder = holderOf(services, callers.caller(access, request.headers.authorization));
    if (holder === undefined) throw unauthenticated('');
    return { holder };
  }
  const found = await services.tickets.redeem(ticket);
  const holder = found === null ? undefined : holderOf(services, found);
  if (found === null || holder?.nonce !== found.nonce) {
    throw unauthenticated('the ticket is unknown, used or too old');
  }
  if (found.purpose !== purpose || !isFrom(request, found)) throw wrongTicket();
  return { holder, objectId: found.objectId };
}

function wrongTicket(): TroupeError {
  return unauthenticated('the ticket is for something else');
}

/** A page may use a ticket that names it, or that names none when the page is of this very address. */
function isFrom({ headers }: IncomingMessage, ticket: { readonly origin: string | null }): boolean {
  const { origin } = headers;
  if (ticket.origin !== null) return origin === ticket.origin;
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === headers.host);
}

/** Ends the channel when who opened it may not have it any more. */
function watched(sessions: Sessions, holder: Holder, opening: Opening): Speak {
  return (channel) => {
    const end = opening.speak(channel);
    const forget = sessions.watch(holder, opening.refusal, (code, reason) => {
      end.end(code, reason);
    });
    return {
      received: (frame) => end.received(frame),
      end: (code, reason) => end.end(code, reason),
      closed: () => {
        forget();
        end.closed();
      },
    };
  };
}

function refuse({ socket }: Upgrade, trace: string, error: unknown): void {
  if (!socket.writable) return void socket.destroy();
  const status = CODES[codeOf(error)].http;
  const text = isOurs(error) ? `server error: ${reasonOf(error)}` : reasonOf(error);
  const body = JSON.stringify({ error: text, status });
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-ID: ${trace}`,
    ...(status === 503 ? ['Retry-After: 1'] : []),
    'Connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

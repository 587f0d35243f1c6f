// The REST face: finds the route, the caller and the body, runs the handler, writes the answer.
//
// W1  Every answer carries X-Request-ID, which is the trace id of all that follows from the request.
// W2  Who may not call is told so before a byte of the body is kept.
// W3  An error is logged once, here, when it is ours; what the caller did wrong is only answered.
// W4  Everything a client does has a limit: connections, headers, how long they and the body may take to come.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { TroupeError, codeOf, reasonOf } from '../../../actors/kernel/errors.ts';
import { isOurs, sendAnswer, sendError, sendMethods, sendNoPath, type Exchange } from './answer.ts';
import { Authenticator } from '../identity/auth.ts';
import { parseBody, readBody } from './body.ts';
import { stableId } from '../objects/stable-id.ts';
import type { Caller, Route } from './route.ts';
import { isLocal, watchRequest, type SeenRequest } from './request-log.ts';
import { RouteTable } from './route-table.ts';
import { badRequest, type ApiServices } from '../services.ts';
import { Sessions } from '../stream/sessions.ts';
import { isWebSocket, takeUpgrade } from './upgrade.ts';

export interface ServerLimits {
  /** Until the headers, and until the whole request must have come. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** Idle connections stay open this long: longer than proxies keep theirs, so that none is closed in use. */
  readonly idleMs: number;
  readonly connections: number;
}

export const SERVER_LIMITS: ServerLimits = {
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 75_000,
  connections: 4_096,
};

const ID = /^[\w.:@-]{1,128}$/;

interface Face {
  readonly services: ApiServices;
  readonly table: RouteTable;
  readonly callers: Authenticator;
}

/** Not listening yet. Close it with closeServer(). */
export function apiServer(
  services: ApiServices,
  routes: readonly Route[],
  limits: ServerLimits = SERVER_LIMITS,
): Server {
  const face = { services, table: new RouteTable(routes), callers: new Authenticator(services) };
  const sessions = new Sessions(services);
  const timing = {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.ceil(limits.headersMs / 4),
    shouldUpgradeCallback: isWebSocket,
  };
  const server = createServer(timing, (request, response) => {
    const trace = requestId(request, services);
    const exchange = { request, response, trace, isStale: services.read.isStale };
    const seen = watchRequest(services, exchange);
    serve(face, exchange, seen).catch((error: unknown) => {
      services.log('error', 'answer not sent', { trace, error });
      response.destroy();
    });
  });
  server.on('upgrade', (request: IncomingMessage, socket, head) => {
    const upgrade = { request, socket, head };
    void takeUpgrade({ ...face, sessions }, upgrade, requestId(request, services));
  });
  server.maxConnections = limits.connections;
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    refuse(socket, error.code ?? '', services.random.uuid());
  });
  return server;
}

/** Stops listening, lets requests under way end for `graceMs`, then cuts them. */
export function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}

async function serve(
  { services, table, callers }: Face,
  exchange: Exchange,
  seen: SeenRequest,
): Promise<void> {
  const { request, trace } = exchange;
  const { url = '/' } = request;
  const method = methodOf(request);
  const match = table.find(method === 'HEAD' ? 'GET' : method, url.split('?')[0] ?? '/');
  if (match.kind === 'no-path') return sendNoPath(exchange);
  if (match.kind === 'no-method') return sendMethods(exchange, match.allowed);
  try {
    const { route, params } = match;
    seen.route = route;
    const { authorization, accept = '' } = request.headers;
    const caller = callers.caller(route.access, authorization, isLocal(request));
    seen.caller = caller;
    const body = route.takesBytes ? {} : parseBody(await readBody(request));
    const remote = request.socket.remoteAddress ?? '';
    const query = new URLSearchParams(url.split('?')[1] ?? '');
    const asked = {
      method: route.method,
      caller,
      params,
      query,
      body,
      bytes: request,
      newId: idsFor(services, caller, route, request),
      trace,
      remote,
      accept,
    };
    await sendAnswer(exchange, await route.run(asked));
  } catch (error) {
    if (isOurs(error)) {
      services.log('error', 'request failed', { trace, code: codeOf(error), error });
    }
    // An answer that had begun: cut off, so that nobody takes it for whole.
    if (exchange.response.headersSent) return void exchange.response.destroy();
    sendError(exchange, isUnsure(exchange, error) ? behind(error) : error);
  }
}

/** Browsers cannot send a body with GET: they send a POST that says that it stands for one (fetch-transport.ts). */
function methodOf({ method = 'GET', headers }: IncomingMessage): string {
  const isGet = method === 'POST' && headers['x-http-method-override'] === 'GET';
  return isGet ? 'GET' : method;
}

/** Error: 400 for a key that is none. */
function idsFor(
  { random }: ApiServices,
  { namespace }: Caller,
  { method, path }: Route,
  { headers }: IncomingMessage,
): () => string {
  const key = headers['idempotency-key'];
  if (key === undefined) return () => random.uuid();
  if (typeof key !== 'string' || !ID.test(key)) {
    throw badRequest('an Idempotency-Key has 1 to 128 letters, digits and .:@_-');
  }
  let count = 0;
  return () => stableId([namespace, method, path, key, count++]);
}

/** A change of what we do not know, while our copy may be old: it may well be there. */
function isUnsure({ request: { method }, isStale }: Exchange, error: unknown): boolean {
  const isChange = method !== 'GET' && method !== 'HEAD';
  return isStale && isChange && codeOf(error) === 'api/not-found';
}

function behind(error: unknown): TroupeError {
  const message = `${reasonOf(error)}, as far as this daemon knows: its copy may be old, since it has lost etcd; try again in a moment, or at another node`;
  return new TroupeError('store/unavailable', message, {}, error);
}

function requestId(request: IncomingMessage, services: ApiServices): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && ID.test(given) ? given : services.random.uuid();
}

/** What is no HTTP, or comes too slowly, is answered once and cut off. */
function refuse(socket: Duplex, code: string, trace: string): void {
  const [status, text] = REFUSALS[code] ?? [400, 'Bad Request'];
  if (!socket.writable) return void socket.destroy();
  const body = JSON.stringify({ error: text, status });
  const head = `HTTP/1.1 ${status} ${text}\r\nContent-Type: application/json\r\nX-Request-ID: ${trace}`;
  socket.end(`${head}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
}

const REFUSALS: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
};

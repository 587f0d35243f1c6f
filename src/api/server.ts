// The REST face: finds the route, the caller and the body, runs the handler, writes the answer.
//
// W1  Every answer carries X-Request-ID, which is the trace id of all that follows from the request.
// W2  The body is JSON whatever its content type, also on GET and DELETE; unparsable means empty (contract: conventions 3).
// W3  An error is logged once, here, when it is ours; what the caller did wrong is only answered.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { CODES, codeOf, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import { authenticate } from './auth.ts';
import type { Answer, Route } from './route.ts';
import { RouteTable } from './route-table.ts';
import type { ApiServices } from './services.ts';

const MAX_BODY_BYTES = 4 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 30_000;
const ID = /^[\w.:@-]{1,128}$/;

/** Not listening yet. Close it with closeServer(). */
export function apiServer(services: ApiServices, routes: readonly Route[]): Server {
  const table = new RouteTable(routes);
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    const trace = requestId(request, services);
    response.setHeader('X-Request-ID', trace);
    serve(services, table, { request, response, trace }).catch((error: unknown) => {
      services.log('error', 'answer not sent', { trace, error });
      response.destroy();
    });
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

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly trace: string;
}

async function serve(services: ApiServices, table: RouteTable, exchange: Exchange): Promise<void> {
  const { request, response, trace } = exchange;
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  const isHead = request.method === 'HEAD';
  const match = table.find(isHead ? 'GET' : (request.method ?? 'GET'), path);
  if (match.kind === 'no-path')
    return sendHtml(response, 404, 'Not Found', 'There is nothing at this address.');
  if (match.kind === 'no-method') return sendMethods(request, response, match.allowed);
  try {
    const body = parseBody(await readBody(request));
    const { route, params } = match;
    const caller = authenticate(services, route.access, request.headers.authorization);
    send(response, await route.run({ caller, params, body, trace }), isHead);
  } catch (error) {
    sendError(services, response, error, trace);
  }
}

function requestId(request: IncomingMessage, services: ApiServices): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && ID.test(given) ? given : services.random.uuid();
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_BODY_BYTES) {
      throw new TroupeError('api/too-large', `a request body has at most ${MAX_BODY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    // Contract: unparsable JSON means no parameters.
    return {};
  }
  if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return {};
  if (typeof value === 'object' && !Array.isArray(value)) return value;
  throw new TroupeError('api/bad-request', 'the request body should be a JSON object');
}

function send(response: ServerResponse, answer: Answer, isHead: boolean): void {
  const bytes =
    answer.kind === 'json' ? Buffer.from(`${JSON.stringify(answer.value)}\n`) : answer.bytes;
  const contentType = answer.kind === 'json' ? 'application/json' : answer.contentType;
  response.writeHead(200, { 'Content-Type': contentType, 'Content-Length': bytes.byteLength });
  response.end(isHead ? undefined : bytes);
}

function sendError(
  services: ApiServices,
  response: ServerResponse,
  error: unknown,
  trace: string,
): void {
  const code = codeOf(error);
  const status = CODES[code].http;
  const isOurs = !(error instanceof TroupeError);
  if (isOurs) services.log('error', 'request failed', { trace, code, error });
  const text = isOurs ? `server error: ${reasonOf(error)}` : error.message;
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ error: text, status }));
}

function sendMethods(
  request: IncomingMessage,
  response: ServerResponse,
  allowed: readonly string[],
): void {
  response.setHeader('Allow', [...allowed, 'OPTIONS'].join(', '));
  if (request.method === 'OPTIONS') {
    response.writeHead(200).end();
    return;
  }
  response.writeHead(405, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ message: 'The method is not allowed for the requested URL.' }));
}

function sendHtml(response: ServerResponse, status: number, title: string, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' });
  response.end(`<!doctype html><title>${status} ${title}</title><h1>${title}</h1><p>${text}</p>\n`);
}

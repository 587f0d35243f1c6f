// How answers look on the wire (contract: conventions 4 and 5.1).
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { CODES, codeOf, reasonOf, TroupeError } from '../../../actors/kernel/errors.ts';
import type { Answer } from './route.ts';

const JSON_TYPE = 'application/json';
const HTML_TYPE = 'text/html; charset=utf-8';

/** A request, where its answer goes, and what every answer to it says. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The request id. */
  readonly trace: string;
  /** The copy that reads are answered from may be old. */
  readonly isStale: boolean;
}

type Headers = Readonly<Record<string, string>>;

/** 200 with the answer, unless it is a refusal; JSON ends with a newline. */
export async function sendAnswer(exchange: Exchange, answer: Answer): Promise<void> {
  if (answer.kind === 'json') {
    return send(exchange, 200, JSON_TYPE, `${JSON.stringify(answer.value)}\n`);
  }
  if (answer.kind === 'refused') {
    const { status, error } = answer;
    return send(exchange, status, JSON_TYPE, JSON.stringify({ error, status }));
  }
  if (answer.kind === 'rendered') return send(exchange, 200, JSON_TYPE, `${answer.text}\n`);
  if (answer.kind === 'stream') return await sendStream(exchange, answer);
  send(exchange, 200, answer.contentType, answer.bytes, answer.headers);
}

/** Rejects when the pieces cannot be made any more: the connection has been cut then, so that nobody takes it for the end. */
async function sendStream(
  { request, response, trace }: Exchange,
  { contentType, sizeBytes, pieces }: Extract<Answer, { kind: 'stream' }>,
): Promise<void> {
  response.writeHead(200, {
    'Content-Type': contentType,
    'Content-Length': sizeBytes,
    'X-Request-ID': trace,
  });
  if (request.method === 'HEAD') return void response.end();
  try {
    await pipeline(pieces, response);
  } catch (error) {
    if (isClosedEarly(error)) return;
    throw error;
  }
}

/** The client has gone. */
function isClosedEarly(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  return code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'EPIPE' || code === 'ECONNRESET';
}

/** Our own fault, to be logged: everything that nobody meant to throw, and what has the code of a breakdown. */
export function isOurs(error: unknown): boolean {
  return CODES[codeOf(error)].http === 500;
}

/** The status of the error's code, and its words; a browser with a worn-out token is sent to the front page. */
export function sendError(exchange: Exchange, error: unknown): void {
  const status = CODES[codeOf(error)].http;
  if (isWornOut(error) && exchange.request.headers.accept?.includes('text/html') === true) {
    return send(exchange, 302, HTML_TYPE, page(302, 'Found', 'Log in again.'), { Location: '/' });
  }
  const text = isOurs(error) ? `server error: ${reasonOf(error)}` : reasonOf(error);
  const later: Headers = status === 503 ? { 'Retry-After': '1' } : {};
  send(exchange, status, JSON_TYPE, JSON.stringify({ error: text, status }), later);
}

/** Marks the 401 of a token that is expired, or is none: see sendError(). */
export const WORN_OUT = { wornOut: true } as const;

function isWornOut(error: unknown): boolean {
  return error instanceof TroupeError && error.detail['wornOut'] === true;
}

/** Unknown path: HTML, since no route speaks. */
export function sendNoPath(exchange: Exchange): void {
  send(exchange, 404, HTML_TYPE, page(404, 'Not Found', 'There is nothing at this address.'));
}

/** Known path, other method: what it does offer. An OPTIONS request asks just that. */
export function sendMethods(exchange: Exchange, methods: readonly string[]): void {
  const withHead = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
  const allow = { Allow: [...withHead, 'OPTIONS'].join(', ') };
  if (exchange.request.method === 'OPTIONS') return send(exchange, 200, HTML_TYPE, '', allow);
  const message = 'The method is not allowed for the requested URL.';
  send(exchange, 405, JSON_TYPE, `${JSON.stringify({ message })}\n`, allow);
}

/** A HEAD request gets the headers only: node leaves the body out. */
function send(
  { response, trace, isStale }: Exchange,
  status: number,
  contentType: string,
  body: string | Uint8Array,
  more: Headers = {},
): void {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'X-Request-ID': trace,
    ...(isStale ? { 'X-Troupe-Stale': 'true' } : {}),
    ...more,
  });
  response.end(body);
}

function page(status: number, title: string, text: string): string {
  return `<!doctype html><title>${status} ${title}</title><h1>${title}</h1><p>${text}</p>\n`;
}

// How answers look on the wire (contract: conventions 4 and 5.1).
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CODES, codeOf, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Answer } from './route.ts';

const JSON_TYPE = 'application/json';
const HTML_TYPE = 'text/html; charset=utf-8';

/** 200 with the answer; JSON ends with a newline. */
export function sendAnswer(response: ServerResponse, answer: Answer): void {
  if (answer.kind === 'json')
    return send(response, 200, JSON_TYPE, `${JSON.stringify(answer.value)}\n`);
  send(response, 200, answer.contentType, answer.bytes);
}

/** Our own fault, to be logged: everything that nobody meant to throw, and what has the code of a breakdown. */
export function isOurs(error: unknown): boolean {
  return CODES[codeOf(error)].http === 500;
}

/** The status of the error's code, and its words; a browser with a worn-out token is sent to the front page. */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
): void {
  const status = CODES[codeOf(error)].http;
  if (
    status === 401 &&
    isWornOut(error) &&
    request.headers.accept?.includes('text/html') === true
  ) {
    response.setHeader('Location', '/');
    return send(response, 302, HTML_TYPE, page(302, 'Found', 'Log in again.'));
  }
  const text = isOurs(error) ? `server error: ${reasonOf(error)}` : reasonOf(error);
  if (status === 503) response.setHeader('Retry-After', '1');
  send(response, status, JSON_TYPE, JSON.stringify({ error: text, status }));
}

/** Marks the 401 of a token that is expired, or is none: see sendError(). */
export const WORN_OUT = { wornOut: true } as const;

function isWornOut(error: unknown): boolean {
  return error instanceof TroupeError && error.detail['wornOut'] === true;
}

/** Unknown path: HTML, since no route speaks. */
export function sendNoPath(response: ServerResponse): void {
  send(response, 404, HTML_TYPE, page(404, 'Not Found', 'There is nothing at this address.'));
}

/** Known path, other method: what it does offer. An OPTIONS request asks just that. */
export function sendMethods(
  request: IncomingMessage,
  response: ServerResponse,
  methods: readonly string[],
): void {
  const withHead = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
  response.setHeader('Allow', [...withHead, 'OPTIONS'].join(', '));
  if (request.method === 'OPTIONS') return send(response, 200, HTML_TYPE, '');
  const message = 'The method is not allowed for the requested URL.';
  send(response, 405, JSON_TYPE, `${JSON.stringify({ message })}\n`);
}

/** A HEAD request gets the headers only: node leaves the body out. */
function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string | Uint8Array,
): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': bytes.byteLength });
  response.end(bytes);
}

function page(status: number, title: string, text: string): string {
  return `<!doctype html><title>${status} ${title}</title><h1>${title}</h1><p>${text}</p>\n`;
}

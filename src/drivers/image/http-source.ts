// One GET over http or https: follows redirects, checks every hop against the fetch policy, and turns what
// can go wrong on the way to an answer into one sentence.
//
// G1  Nothing of a URL that may be secret reaches a message or a log: user, password and query are left out.
// G2  Credentials go to the origin they were given for, never to where it redirects.
// G3  No more than MAX_REDIRECTS hops, and an answer within `answerTimeoutMs` per hop.
import * as http from 'node:http';
import * as https from 'node:https';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { calledOff } from './called-off.ts';
import type { DestinationCheck } from './fetch-policy.ts';

export interface GetOptions {
  readonly check: DestinationCheck;
  readonly headers: http.OutgoingHttpHeaders;
  readonly answerTimeoutMs: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** Of the last hop. Read it to its end, or destroy it. */
  readonly body: http.IncomingMessage;
}

const MAX_REDIRECTS = 8;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const USER_AGENT = 'troupe';

/** `image/bad-url` for text that is no http or https URL. */
export function parseURL(text: string): URL {
  const url = URL.parse(text);
  if (url === null) {
    throw new TroupeError(
      'image/bad-url',
      'the image URL cannot be read; give http:// or https://',
    );
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  throw new TroupeError(
    'image/bad-url',
    `images come from http:// or https:// URLs, not ${url.protocol}; serve the file over http, or give the path of a file on this machine`,
  );
}

/** A URL as it may be shown. */
export function shownURL(url: URL): string {
  return `${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}`;
}

/** Errors: `image/bad-url` (refused destination, redirects without end), `image/unreachable`, `actor/stopped`. */
export async function get(start: URL, options: GetOptions): Promise<HttpAnswer> {
  let url = start;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const body = await request(url, start, options);
    const status = body.statusCode ?? 0;
    const { location } = body.headers;
    if (!REDIRECTS.has(status) || location === undefined) return { status, body };
    body.destroy();
    url = parseURL(URL.parse(location, url.href)?.href ?? location);
  }
  throw new TroupeError(
    'image/bad-url',
    `${shownURL(start)} redirects more than ${MAX_REDIRECTS} times; give the URL it should end at`,
  );
}

/** Where a request goes, and what is asked for there. */
function target(url: URL, check: DestinationCheck): { to: URL; how: http.RequestOptions } {
  const proxy = check.proxyFor(url);
  if (proxy === null) return { to: bare(url), how: { lookup: check.lookupFor(url) } };
  const { username } = proxy;
  const login = username === '' ? {} : { 'Proxy-Authorization': basic(proxy) };
  return { to: bare(proxy), how: { path: bare(url).href, headers: { Host: url.host, ...login } } };
}

async function request(url: URL, start: URL, options: GetOptions): Promise<http.IncomingMessage> {
  const { check, signal, answerTimeoutMs } = options;
  check.checkLiteral(url);
  if (check.proxyFor(url) !== null) await check.checkName(url);
  const { to, how } = target(url, check);
  return await new Promise((resolve, reject) => {
    const { request: open } = to.protocol === 'https:' ? https : http;
    const own = { ...options.headers, ...credentials(url, start), 'User-Agent': USER_AGENT };
    const outgoing = open(to, {
      ...how,
      headers: { ...own, ...(how.headers as http.OutgoingHttpHeaders | undefined) },
      agent: false,
      signal,
    });
    const timer = setTimeout(() => {
      outgoing.destroy(unreachable(url, `gave no answer within ${answerTimeoutMs} ms`));
    }, answerTimeoutMs);
    let answer: http.IncomingMessage | undefined;
    outgoing.on('response', (body) => {
      clearTimeout(timer);
      answer = body;
      resolve(body);
    });
    // After the answer's head, an error here is one of its framing (bytes beyond the declared length).
    outgoing.on('error', (cause) => {
      clearTimeout(timer);
      const error = signal.aborted ? calledOff(cause) : asUnreachable(url, cause);
      answer?.destroy(error);
      reject(error);
    });
    outgoing.end();
  });
}

function bare(url: URL): URL {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  return copy;
}

function credentials(url: URL, start: URL): http.OutgoingHttpHeaders {
  const from = url.username === '' && url.origin === start.origin ? start : url;
  if (from.username === '') return {};
  return { Authorization: basic(from) };
}

function basic({ username, password }: URL): string {
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

export function unreachable(url: URL, what: string, cause?: unknown): TroupeError {
  return new TroupeError('image/unreachable', `${shownURL(url)} ${what}`, {}, cause);
}

/** The one sentence for an error of the socket, the name lookup, TLS or HTTP's framing. */
export function asUnreachable(url: URL, cause: unknown): TroupeError {
  if (cause instanceof TroupeError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'no code';
  const message = cause instanceof Error ? cause.message : String(cause);
  const what = WORDS[code];
  if (what !== undefined) return unreachable(url, `${what} (${code})`, cause);
  if (code.startsWith('HPE_')) return unreachable(url, `does not keep to HTTP (${code})`, cause);
  if (/CERT|SELF_SIGNED|ERR_TLS|ERR_SSL/.test(code)) {
    return unreachable(url, `could not prove who it is: ${message} (${code})`, cause);
  }
  return unreachable(url, `failed: ${message}`, cause);
}

const WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'has a host name that is not known',
  EAI_AGAIN: 'has a host name that could not be looked up: the name server did not answer',
  ECONNREFUSED: 'refused the connection',
  ECONNRESET: 'broke off',
  EPIPE: 'broke off',
  ETIMEDOUT: 'could not be reached in time',
  EHOSTUNREACH: 'is on a host that cannot be reached',
  ENETUNREACH: 'is on a network that cannot be reached',
};

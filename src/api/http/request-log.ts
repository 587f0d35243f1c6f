// What is kept of each request: one measurement, and one line of the log under its request id.
//
// A change is logged at info, whoever asked for it; a read, and what nobody has proved to be, at debug, so that neither a
// client that polls nor a stranger fills the log. Never a body, a query or a header: those may hold secrets.
import type { IncomingMessage } from 'node:http';
import type { ApiServices } from '../services.ts';
import type { Exchange } from './answer.ts';
import type { Caller, Route } from './route.ts';

/** What is found out about a request while it is served. */
export interface SeenRequest {
  route: Route | null;
  caller: Caller | null;
}

export interface MeasuredRequest extends SeenRequest {
  /** Once: its answer is sent, or nobody waits for it any more. */
  answered(status: number): void;
}

/** The client has gone before the answer: no status of ours, and common in logs. */
export const GIVEN_UP = 499;

/** Measures and logs the request once its answer is sent, or nobody waits for it any more. */
export function watchRequest(
  services: ApiServices,
  { request, response, trace }: Exchange,
): SeenRequest {
  const seen = beginRequest(services, request, trace);
  response.once('close', () => {
    seen.answered(response.headersSent ? response.statusCode : GIVEN_UP);
  });
  return seen;
}

/** The same, of one whose answer is told by the caller. */
export function beginRequest(
  { monitoring: { requests }, read, audit, clock, log }: ApiServices,
  request: IncomingMessage,
  trace: string,
): MeasuredRequest {
  const begunMono = clock.monoMs();
  requests.begun();
  const answered = (status: number) => {
    const durationMs = clock.monoMs() - begunMono;
    const { route, caller } = seen;
    requests.ended(route, status, durationMs);
    const isKnown = caller !== null && caller.namespace !== '';
    const isChange = isKnown && route !== null && route.method !== 'GET';
    const remote = request.socket.remoteAddress ?? '';
    const { namespace = '', keyName: name = '' } = caller ?? {};
    const set = isChange ? read.namespaces.get(namespace)?.state.keys[name] : undefined;
    if (set !== undefined && status < 400)
      audit.note('key used for changes', { namespace, key: { name, set }, remote, trace });
    log(isChange ? 'info' : 'debug', 'request', {
      trace,
      method: request.method,
      path: request.url?.split('?')[0],
      status,
      ms: Math.round(durationMs * 10) / 10,
      remote,
      ...(isKnown ? caller : {}),
    });
  };
  const seen: MeasuredRequest = { route: null, caller: null, answered };
  return seen;
}

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

/** From this machine itself, as far as can be told: what a proxy on it passes on is from elsewhere. */
export function isLocal({ socket, headers }: IncomingMessage): boolean {
  const isForwarded = headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
  return !isForwarded && LOOPBACK.test(socket.remoteAddress ?? '');
}

// Requests by fetch(), for browsers. It sends no body with GET, so that such a request goes as a POST that says what it
// stands for; the server takes it as that.
import { TransportError, type HttpAnswer, type HttpRequest, type Transport } from './transport.ts';

/** What the method of a POST stands for. */
export const METHOD_HEADER = 'X-HTTP-Method-Override';

export const fetchTransport: Transport = { send };

async function send(request: HttpRequest): Promise<HttpAnswer> {
  const { url, timeoutMs, signal } = request;
  const late = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? late : AbortSignal.any([signal, late]);
  try {
    const response = await fetch(url, { ...asFetch(request), signal: either, redirect: 'manual' });
    return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    const reason = late.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(error);
    throw new TransportError(reason, true);
  }
}

function asFetch({ method, headers, body }: HttpRequest): RequestInit {
  if (body.length === 0) return { method, headers };
  const sent = typeof body === 'string' ? body : new Uint8Array(body);
  if (method !== 'GET') return { method, headers, body: sent };
  return { method: 'POST', headers: { ...headers, [METHOD_HEADER]: method }, body: sent };
}

/** fetch() says what was wrong in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

// Requests by Node's own HTTP client.
import { request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import { TransportError, type HttpAnswer, type HttpRequest, type Transport } from './transport.ts';

/** The connection was never made. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

export const nodeTransport: Transport = { send };

function send({ url, method, headers, body, timeoutMs, signal }: HttpRequest): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => {
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const mayHaveArrived = !NEVER_SENT.has(error.code ?? '');
      reject(new TransportError(error.code ?? error.message, mayHaveArrived));
    };
    const start = url.startsWith('https:') ? requestSecure : requestPlain;
    const length = String(Buffer.byteLength(body));
    const options = {
      method,
      headers: { ...headers, 'Content-Length': length },
      timeout: timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    };
    const sent = start(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(chunks) });
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    sent.on('error', fail);
    sent.end(body);
  });
}

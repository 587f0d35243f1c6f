// A client of the REST API: logs in when needed, once again when its token has run out.
//
// Filters travel as a JSON body on GET and DELETE too, which is why this is not fetch().
import { request } from 'node:http';
import { request as requestSecure } from 'node:https';
import { randomUUID } from 'node:crypto';
import { ApiError } from './api-error.ts';

export interface ClientOptions {
  /** Base URL, without a slash at the end. */
  readonly apiUrl: string;
  readonly namespace: string;
  readonly key: string;
  /** Of one request; default 60 s. */
  readonly timeoutMs?: number;
}

interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
  readonly requestId: string;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
/** An object of the API as it came: members are checked where they are read. */
export type View = Readonly<Record<string, unknown>>;

export class Client {
  readonly #options: ClientOptions;
  #token: string | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** The answer's JSON. Errors: ApiError. */
  async call(method: Method, path: string, body?: object): Promise<unknown> {
    const { bytes } = await this.#authorized(method, path, body);
    return JSON.parse(bytes.toString()) as unknown;
  }

  /** One object. Errors: ApiError. */
  async view(method: Method, path: string, body?: object): Promise<View> {
    return (await this.call(method, path, body)) as View;
  }

  async list(path: string, body?: object): Promise<readonly View[]> {
    return (await this.call('GET', path, body)) as readonly View[];
  }

  /** The answer's bytes, whatever they are. Errors: ApiError. */
  async bytes(path: string, body?: object): Promise<Buffer> {
    return (await this.#authorized('GET', path, body)).bytes;
  }

  async #authorized(method: Method, path: string, body?: object): Promise<Answer> {
    this.#token ??= await this.#login();
    const answer = await this.#send(method, path, body, this.#token);
    if (answer.status !== 401) return accepted(answer);
    this.#token = await this.#login();
    return accepted(await this.#send(method, path, body, this.#token));
  }

  async #login(): Promise<string> {
    const { namespace, key } = this.#options;
    const { bytes } = accepted(await this.#send('POST', '/auth', { namespace, key }, undefined));
    return (JSON.parse(bytes.toString()) as { access_token: string }).access_token;
  }

  #send(
    method: Method,
    path: string,
    body: object | undefined,
    token: string | undefined,
  ): Promise<Answer> {
    const { apiUrl, timeoutMs = 60_000 } = this.#options;
    const requestId = randomUUID();
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = {
      'X-Request-ID': requestId,
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
      Accept: 'application/json',
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    };
    return new Promise((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException) => {
        const reason = `${apiUrl} does not answer (${error.code ?? error.message}): is the daemon running there?`;
        reject(new ApiError(0, reason, requestId));
      };
      const start = apiUrl.startsWith('https:') ? requestSecure : request;
      const sent = start(
        `${apiUrl}${path}`,
        { method, headers, timeout: timeoutMs },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', fail);
          response.on('end', () => {
            resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(chunks), requestId });
          });
        },
      );
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      sent.on('error', fail);
      sent.end(text);
    });
  }
}

function accepted(answer: Answer): Answer {
  if (answer.status === 200) return answer;
  throw new ApiError(answer.status, errorText(answer), answer.requestId);
}

function errorText({ status, bytes }: Answer): string {
  try {
    const { error, message } = JSON.parse(bytes.toString()) as {
      error?: unknown;
      message?: unknown;
    };
    const text = error ?? message;
    if (typeof text === 'string' && text !== '') return text;
    if (text !== undefined && text !== '') return JSON.stringify(text);
  } catch {
    // Not JSON: the page of something that is not our API, of which only the status says anything.
  }
  return status === 401 ? 'the namespace or its key is not accepted' : `the API answered ${status}`;
}

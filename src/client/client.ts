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
  /** Gives up requests under way: they reject with the signal's reason. */
  readonly signal?: AbortSignal;
}

interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
  readonly requestId: string;
  /** Method and path. */
  readonly request: string;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
/** An object of the API as it came: members are checked where they are read. */
export type View = Readonly<Record<string, unknown>>;

const NOT_OURS = 'what answers there is not the API of Troupe';

export class Client {
  readonly #options: ClientOptions;
  #token: string | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  get apiUrl(): string {
    return this.#options.apiUrl;
  }

  /** The answer's JSON. Errors: ApiError. */
  async call(method: Method, path: string, body?: object): Promise<unknown> {
    return parsed(await this.#authorized(method, path, body));
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
    const answer = accepted(await this.#send('POST', '/auth', { namespace, key }, undefined));
    const { access_token: token } = (parsed(answer) ?? {}) as { access_token?: unknown };
    if (typeof token === 'string') return token;
    throw new ApiError(answer.status, NOT_OURS, answer.requestId, answer.request);
  }

  #send(
    method: Method,
    path: string,
    body: object | undefined,
    token: string | undefined,
  ): Promise<Answer> {
    const { apiUrl, timeoutMs = 60_000, signal } = this.#options;
    const requestId = randomUUID();
    const asked = `${method} ${path}`;
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
        const why = error.code ?? error.message;
        const reason = `${apiUrl} does not answer (${why}): is the daemon running there?`;
        reject(
          signal?.aborted === true ? signal.reason : new ApiError(0, reason, requestId, asked),
        );
      };
      const start = apiUrl.startsWith('https:') ? requestSecure : request;
      const sent = start(
        `${apiUrl}${path}`,
        { method, headers, timeout: timeoutMs, ...(signal === undefined ? {} : { signal }) },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', fail);
          response.on('end', () => {
            const status = response.statusCode ?? 0;
            resolve({ status, bytes: Buffer.concat(chunks), requestId, request: asked });
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
  throw new ApiError(answer.status, errorText(answer), answer.requestId, answer.request);
}

function parsed({ status, bytes, requestId, request: asked }: Answer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch {
    throw new ApiError(status, NOT_OURS, requestId, asked);
  }
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

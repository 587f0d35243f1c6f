// A client's way to the cluster: logs in, and gets an answer from whichever of its nodes gives one.
//
// F1  What is safe to send twice (reads, what replaces a value, what carries an idempotency key) goes to the next node when one
//     does not answer or cannot decide (503), for a few rounds with pauses. Everything else is sent twice only when it cannot
//     have arrived.
// F2  The node that answered last is asked first.
// F3  A token that is refused is renewed once; all nodes accept each other's.
import { ApiError, apiError } from './api-error.ts';
import { TransportError, type HttpAnswer, type Transport } from './transport.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface ConnectionOptions {
  /** Base URLs of nodes, without a slash at the end. */
  readonly urls: readonly string[];
  readonly namespace: string;
  readonly key: string;
  readonly transport: Transport;
  /** Of one request; default 60 s. */
  readonly timeoutMs?: number;
  /** How often all nodes are gone through; default 3. */
  readonly rounds?: number;
  /** Before the second round, twice as long before the third; default 200 ms. */
  readonly pauseMs?: number;
  /** Gives up requests under way: they reject with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface Asked {
  readonly method: Method;
  readonly path: string;
  /** Sent as JSON. */
  readonly json?: object | undefined;
  /** Sent as it is. */
  readonly bytes?: Uint8Array;
  /** The same key is the same wish: sent again, nothing is made twice. */
  readonly idempotencyKey?: string;
}

export interface Answered {
  readonly bytes: Uint8Array;
  readonly requestId: string;
  /** Method and path. */
  readonly request: string;
}

const NOT_OURS = 'what answers there is not the API of Troupe';

export class Connection {
  readonly #options: ConnectionOptions;
  #first = 0;
  #token: string | undefined;

  constructor(options: ConnectionOptions) {
    if (options.urls.length === 0) throw new TypeError('name at least one node by its URL');
    this.#options = options;
  }

  /** Of the node that is asked first. */
  get url(): string {
    return this.#options.urls[this.#first] ?? '';
  }

  /** The answer with status 200. Errors: ApiError and its kinds. */
  async request(asked: Asked): Promise<Answered> {
    this.#token ??= await this.#login();
    const tried = await this.#send(asked, this.#token);
    if (tried.answer.status !== 401) return accepted(tried);
    this.#token = await this.#login();
    return accepted(await this.#send(asked, this.#token));
  }

  /** The answer's JSON. */
  async json(asked: Asked): Promise<unknown> {
    return parsed(await this.request(asked));
  }

  /** A token for whoever cannot use this connection, such as a stream. */
  async token(): Promise<string> {
    return (this.#token ??= await this.#login());
  }

  /** It is not accepted any more. */
  forgetToken(): void {
    this.#token = undefined;
  }

  async #login(): Promise<string> {
    const { namespace, key } = this.#options;
    const login = { method: 'POST', path: '/auth', json: { namespace, key } } as const;
    const answer = accepted(await this.#send(login, undefined));
    const { access_token: token } = (parsed(answer) ?? {}) as { access_token?: unknown };
    if (typeof token === 'string') return token;
    throw new ApiError(200, NOT_OURS, answer.requestId, answer.request);
  }

  async #send(asked: Asked, token: string | undefined): Promise<Tried> {
    const { urls, rounds = 3, pauseMs = 200, signal } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt >= urls.length * rounds;
      try {
        const tried = await this.#sendTo(this.url, asked, token);
        if (tried.answer.status !== 503 || isLast || !isSafe(asked)) return tried;
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        if (isLast || !(error.isUnsent || isSafe(asked))) throw error.told;
      }
      this.#first = (this.#first + 1) % urls.length;
      const round = Math.floor(attempt / urls.length);
      if (attempt % urls.length === 0) await pause(pauseMs * 2 ** (round - 1), signal);
    }
  }

  async #sendTo(base: string, asked: Asked, token: string | undefined): Promise<Tried> {
    const { transport, timeoutMs = 60_000, signal } = this.#options;
    const { method, path, json, bytes, idempotencyKey } = asked;
    const requestId = crypto.randomUUID();
    const request = `${method} ${path}`;
    const headers = {
      'X-Request-ID': requestId,
      'Content-Type': bytes === undefined ? 'application/json' : 'application/octet-stream',
      Accept: 'application/json',
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(idempotencyKey === undefined ? {} : { 'Idempotency-Key': idempotencyKey }),
    };
    const body = bytes ?? (json === undefined ? '' : JSON.stringify(json));
    const given = signal === undefined ? {} : { signal };
    try {
      const url = `${base}${path}`;
      const answer = await transport.send({ url, method, headers, body, timeoutMs, ...given });
      return { answer, requestId, request };
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      const reason = `${base} does not answer (${error.message}): is the daemon running there?`;
      throw new Lost(apiError(0, reason, requestId, request), !error.mayHaveArrived);
    }
  }
}

interface Tried {
  readonly answer: HttpAnswer;
  readonly requestId: string;
  readonly request: string;
}

/** A node did not answer. */
class Lost extends Error {
  readonly told: ApiError;
  readonly isUnsent: boolean;

  constructor(told: ApiError, isUnsent: boolean) {
    super(told.message);
    this.told = told;
    this.isUnsent = isUnsent;
  }
}

/** Logins too: they change nothing. */
function isSafe({ method, path, idempotencyKey }: Asked): boolean {
  return method === 'GET' || method === 'PUT' || path === '/auth' || idempotencyKey !== undefined;
}

function accepted({ answer, requestId, request }: Tried): Answered {
  const { status, bytes } = answer;
  if (status === 200) return { bytes, requestId, request };
  throw apiError(status, errorText(answer), requestId, request);
}

function parsed({ bytes, requestId, request }: Answered): unknown {
  try {
    return JSON.parse(textOf(bytes)) as unknown;
  } catch {
    throw new ApiError(200, NOT_OURS, requestId, request);
  }
}

function errorText({ status, bytes }: HttpAnswer): string {
  try {
    const { error, message } = JSON.parse(textOf(bytes)) as { error?: unknown; message?: unknown };
    const text = error ?? message;
    if (typeof text === 'string' && text !== '') return text;
    if (text !== undefined && text !== '') return JSON.stringify(text);
  } catch {
    // Not JSON: the page of something that is not our API, of which only the status says anything.
  }
  return status === 401 ? 'the namespace or its key is not accepted' : `the API answered ${status}`;
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Ends early, by rejecting with the signal's reason. */
function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, delayMs);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    if (signal?.aborted === true) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

// The API by method and path: what the command line uses. Programs have typed objects (troupe.ts).
import { Connection, type Method } from './connection.ts';
import { nodeTransport } from './node-transport.ts';
import type { TicketSource } from './socket.ts';

export type { Method } from './connection.ts';

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

/** An object of the API as it came: members are checked where they are read. */
export type View = Readonly<Record<string, unknown>>;

export class Client {
  readonly #connection: Connection;

  /** For WebSockets. */
  get sockets(): TicketSource {
    return this.#connection;
  }

  /** Who waits sees at once that nobody answers: nothing is tried twice. */
  constructor({ apiUrl, ...options }: ClientOptions) {
    const once = { rounds: 1, transport: nodeTransport };
    this.#connection = new Connection({ ...options, ...once, urls: [apiUrl] });
  }

  get apiUrl(): string {
    return this.#connection.url;
  }

  /** The answer's JSON. Errors: ApiError. */
  call(method: Method, path: string, body?: object): Promise<unknown> {
    return this.#connection.json({ method, path, json: body });
  }

  /** One object. Errors: ApiError. */
  async view(method: Method, path: string, body?: object): Promise<View> {
    return (await this.call(method, path, body)) as View;
  }

  async list(path: string, body?: object): Promise<readonly View[]> {
    return (await this.call('GET', path, body)) as readonly View[];
  }

  /** Sends bytes as they are; the answer's JSON. Errors: ApiError. */
  sendBytes(path: string, bytes: Uint8Array): Promise<unknown> {
    return this.#connection.json({ method: 'POST', path, bytes });
  }

  /** The answer's bytes, whatever they are. Errors: ApiError. */
  async bytes(path: string, body?: object): Promise<Buffer> {
    return Buffer.from((await this.#connection.request({ method: 'GET', path, json: body })).bytes);
  }
}

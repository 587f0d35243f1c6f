// An API that answers as a test says, and a world for the command line to run in.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { runCli } from '../../../src/cli/run.ts';
import type { Input, Output, World } from '../../../src/cli/world.ts';
import { waitUntil } from '../../support/wait.ts';

export interface Asked {
  readonly at: string;
  readonly body: unknown;
}
/** A Buffer is sent as it is, anything else as JSON. */
export type Reply = (body: Record<string, unknown>) => unknown;

/** No answer at all. */
export const HANG = Symbol('hang');

/** An answer that is no 200. */
export class Refusal {
  readonly status: number;
  readonly error: string;

  constructor(status: number, error: string) {
    this.status = status;
    this.error = error;
  }
}

export class FakeApi {
  /** All requests but logins. */
  readonly asked: Asked[] = [];
  readonly replies = new Map<string, Reply>();
  readonly #server: Server;
  /** What is done with a WebSocket, by path; `POST /tickets` names the path. */
  readonly sockets = new Map<string, (socket: WebSocket) => void>();
  readonly open = new Set<WebSocket>();
  isOut = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<FakeApi> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const api = new FakeApi(server);
    const sockets = new WebSocketServer({ noServer: true });
    server.on('upgrade', (request, socket, head) => {
      const serve = api.sockets.get(request.url?.split('?')[0] ?? '');
      if (serve === undefined || api.isOut) return void socket.destroy();
      sockets.handleUpgrade(request, socket, head, (accepted) => {
        api.open.add(accepted);
        serve(accepted);
      });
    });
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const isRaw = request.headers['content-type'] === 'application/octet-stream';
        const bytes = Buffer.concat(chunks);
        const text = isRaw
          ? JSON.stringify({ base64: bytes.toString('base64') })
          : bytes.toString();
        const at = `${request.method} ${decodeURIComponent(request.url ?? '')}`;
        const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
        if (api.isOut) return void request.socket.destroy();
        const found = api.#answer(at, body);
        if (found === HANG) return undefined;
        if (found instanceof Refusal) {
          response.writeHead(found.status).end(JSON.stringify({ error: found.error }));
        } else {
          response.end(Buffer.isBuffer(found) ? found : JSON.stringify(found));
        }
        return undefined;
      });
    });
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  on(at: string, reply: Reply): void {
    this.replies.set(at, reply);
  }

  /** Bodies of the requests made with this method and path. */
  bodies(at: string): unknown[] {
    return this.asked.filter((one) => one.at === at).map(({ body }) => body);
  }

  reset(): void {
    this.asked.length = 0;
    this.sockets.clear();
    for (const socket of this.open) socket.terminate();
    this.open.clear();
    this.replies.clear();
    this.isOut = false;
  }

  async stop(): Promise<void> {
    for (const socket of this.open) socket.terminate();
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #answer(at: string, body: Record<string, unknown>): unknown {
    if (at === 'POST /auth') {
      if (body['key'] !== 'secret') return new Refusal(401, 'unauthorized');
      return { access_token: 'token' };
    }
    this.asked.push({ at, body });
    const reply = this.replies.get(at);
    return reply === undefined ? new Refusal(404, `no reply for ${at}`) : reply(body);
  }
}

/** Collects what is written. */
export class Screen implements Output {
  readonly isTTY: boolean;
  readonly columns = 60;
  #bytes = Buffer.alloc(0);

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(chunk: string | Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, Buffer.from(chunk)]);
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  get text(): string {
    return this.#bytes.toString();
  }
}

/** A terminal's input, or a pipe. */
export class Keys extends PassThrough implements Input {
  readonly isTTY: boolean;
  readonly modes: boolean[] = [];

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }

  setRawMode(isRaw: boolean): void {
    this.modes.push(isRaw);
  }
}

export interface Run {
  readonly out: Screen;
  readonly err: Screen;
  readonly stdin: Keys;
  readonly exitCode: Promise<number>;
  /** Ctrl-C. */
  interrupt(): void;
  /** Resolves once standard output (or error) has this text. */
  shows(text: string, where?: 'out' | 'err'): Promise<void>;
}

/** Starts a command line; `words` are split at spaces unless given as a list. */
export function start(
  api: FakeApi | null,
  words: string | readonly string[],
  options: { readonly isTTY?: boolean } & Partial<World> = {},
): Run {
  const stop = new AbortController();
  const { isTTY = false, ...others } = options;
  const [out, err, stdin] = [new Screen(isTTY), new Screen(isTTY), new Keys(isTTY)];
  const login =
    api === null
      ? {}
      : { TROUPE_API_URL: api.url, TROUPE_NAMESPACE: 'system', TROUPE_KEY: 'secret' };
  const exitCode = runCli(typeof words === 'string' ? words.split(' ') : words, {
    stdout: out,
    stderr: err,
    stdin,
    variables: login,
    directory: '/dev/null/nonexistent',
    home: '/dev/null/nonexistent',
    checkout: '/dev/null/nonexistent',
    systemDirectory: '/dev/null/nonexistent',
    shakenFist: '/dev/null/nonexistent',
    signal: stop.signal,
    pollMs: 5,
    ...others,
  });
  return {
    out,
    err,
    stdin,
    exitCode,
    interrupt: () => stop.abort(),
    shows: (text, where = 'out') =>
      waitUntil(
        `${JSON.stringify(text)} in ${JSON.stringify((where === 'out' ? out : err).text)}`,
        () => (where === 'out' ? out : err).text.includes(text),
        5_000,
      ),
  };
}

/** Runs a command line to its end. */
export async function run(...args: Parameters<typeof start>) {
  const started = start(...args);
  const code = await started.exitCode;
  return { code, out: started.out.text, err: started.err.text };
}

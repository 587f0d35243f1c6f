// A client of the API's WebSockets that keeps everything it is told.
import { WebSocket } from 'ws';
import type { ApiWorld, Tenant } from './api-world.ts';
import { waitUntil } from './wait.ts';

export interface SeenItem {
  readonly what: 'event' | 'gap';
  readonly revision: number;
  readonly kind: string;
  readonly id: string;
  readonly namespace: string;
  readonly event: { readonly message: string; readonly type: string };
  readonly from: number;
  readonly to: number;
  readonly count: number | null;
  readonly reason: string;
}

export interface SeenFrame {
  readonly frame: string;
  readonly resume: string;
  readonly node: string;
  readonly items: readonly SeenItem[];
  readonly code: number;
  readonly reason: string;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

interface Where {
  readonly as?: Tenant | null;
  readonly port?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A WebSocket of the API; `refused` when it comes to none. */
export class ApiSocket {
  readonly socket: WebSocket;
  readonly texts: string[] = [];
  readonly bytes: Buffer[] = [];
  closed: Closed | undefined;
  /** Status and text of the answer that was no upgrade. */
  refused: { readonly status: number; readonly text: string } | undefined;

  constructor(world: ApiWorld, path: string, { as = 'lab', port, headers = {} }: Where = {}) {
    const token = as === null ? {} : { Authorization: `Bearer ${world.token(as)}` };
    const url = `ws://127.0.0.1:${port ?? world.port}${path}`;
    this.socket = new WebSocket(url, {
      headers: { ...token, ...headers },
      perMessageDeflate: false,
    });
    this.socket.on('message', (frame, isBinary) => {
      if (isBinary) this.bytes.push(frame as Buffer);
      else this.texts.push((frame as Buffer).toString());
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    this.socket.on('unexpected-response', (_request, response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => (this.refused = { status: response.statusCode ?? 0, text }));
    });
  }

  async opened(): Promise<this> {
    await waitUntil(
      'it is open, or refused',
      () => this.socket.readyState !== WebSocket.CONNECTING || this.refused !== undefined,
    );
    return this;
  }

  async isRefused(): Promise<{ readonly status: number; readonly text: string }> {
    await waitUntil('it is refused', () => this.refused !== undefined);
    return this.refused ?? { status: 0, text: '' };
  }

  async isClosed(): Promise<Closed> {
    await waitUntil('it is closed', () => this.closed !== undefined);
    return this.closed ?? { code: 0, reason: '' };
  }

  close(): void {
    this.socket.terminate();
  }
}

/** A reader of the event stream. */
export class StreamReader extends ApiSocket {
  constructor(world: ApiWorld, asked: object | string, where: Where = {}, path = '/stream') {
    super(world, path, where);
    this.socket.on('open', () =>
      this.socket.send(typeof asked === 'string' ? asked : JSON.stringify(asked)),
    );
  }

  get frames(): SeenFrame[] {
    return this.texts.map((text) => JSON.parse(text) as SeenFrame);
  }

  get items(): SeenItem[] {
    return this.frames.flatMap((frame) => (frame.frame === 'items' ? frame.items : []));
  }

  get messages(): string[] {
    return this.items.map((one) => (one.what === 'gap' ? 'gap' : one.event.message));
  }

  /** Of the last frame that has one. */
  get resume(): string {
    return this.frames.findLast(({ resume }) => resume !== undefined)?.resume ?? '';
  }

  /** Waits for a frame of this sort. */
  async frame(sort: string): Promise<SeenFrame> {
    await waitUntil(`frame ${sort}`, () => this.frames.some(({ frame }) => frame === sort));
    const found = this.frames.find(({ frame }) => frame === sort);
    if (found === undefined) throw new Error(sort);
    return found;
  }

  async live(): Promise<this> {
    await this.frame('live');
    return this;
  }

  async hears(message: string): Promise<void> {
    await waitUntil(`${message} in ${this.messages.join()}`, () => this.messages.includes(message));
  }
}

// WebSockets of the API for the client: each is opened with a ticket, since browsers send no headers.
import { ApiError } from './api-error.ts';
import type { Connection } from './connection.ts';

/** What tickets are asked of. */
export type TicketSource = Pick<Connection, 'json' | 'url'>;

/** What a ticket is asked for. */
export interface SocketWish {
  readonly purpose: 'stream' | 'console' | 'vdi';
  /** Name or UUID; for consoles. */
  readonly instance?: string;
}

export interface SocketClosed {
  readonly code: number;
  readonly reason: string;
}

export interface SocketListener {
  /** Text as it is, bytes as bytes. */
  message(frame: string | Uint8Array): void;
  /** Once, also when it never opened. */
  closed(how: SocketClosed): void;
}

/** Opens one; resolves when it is open. Errors: ApiError; status 0 when it came to no connection. */
export async function openSocket(
  source: TicketSource,
  wish: SocketWish,
  listener: SocketListener,
): Promise<WebSocket> {
  // Of two tickets one is never used, and ends by itself: so it may be asked for twice.
  const asked = { method: 'POST', path: '/tickets', idempotencyKey: crypto.randomUUID() } as const;
  const { path } = (await source.json({ ...asked, json: wish })) as { readonly path: string };
  const base = source.url;
  const url = `${base.replace(/^http/, 'ws')}${path}`;
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  return new Promise((resolve, reject) => {
    let isOpen = false;
    socket.addEventListener('open', () => {
      isOpen = true;
      resolve(socket);
    });
    socket.addEventListener('message', ({ data }: { readonly data: unknown }) => {
      if (typeof data === 'string') listener.message(data);
      else if (data instanceof ArrayBuffer) listener.message(new Uint8Array(data));
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (isOpen) return listener.closed({ code, reason });
      // The runtime does not tell what was answered; asking for a ticket did.
      const why = `${base} did not open a WebSocket`;
      reject(new ApiError(0, why, '', `GET ${wish.purpose}`));
    });
    // A close event follows, and says more.
    socket.addEventListener('error', () => undefined);
  });
}

// An HTTP server that misbehaves the way a test says, one script per request.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createRawServer, type AddressInfo, type Socket } from 'node:net';

export type Script = (request: IncomingMessage, response: ServerResponse) => void;

export interface RudeServer {
  readonly url: string;
  /** Heads of the requests so far. */
  readonly requests: { readonly url: string; readonly headers: IncomingMessage['headers'] }[];
  close(): Promise<void>;
}

/** The scripts answer the requests in turn, the last one all further ones. */
export function rudeServer(...scripts: readonly Script[]): Promise<RudeServer> {
  return rudeServerOn(0, ...scripts);
}

/** The same on a given port: a server that comes back. */
export function rudeServerOn(port: number, ...scripts: readonly Script[]): Promise<RudeServer> {
  const requests: RudeServer['requests'] = [];
  const server = createServer((request, response) => {
    const script = scripts[Math.min(requests.length, scripts.length - 1)];
    requests.push({ url: request.url ?? '', headers: request.headers });
    script?.(request, response);
  });
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => {
      const { port: bound } = server.address() as AddressInfo;
      resolve({
        url: `http://127.0.0.1:${bound}/image`,
        requests,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}

/** Speaks for itself on the socket, for answers that node's own server would not give. */
export function rawServer(answer: (socket: Socket) => void): Promise<RudeServer> {
  const sockets = new Set<Socket>();
  const requests: RudeServer['requests'] = [];
  const server = createRawServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      requests.push({ url: '', headers: {} });
      answer(socket);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      resolve({
        url: `http://127.0.0.1:${port}/image`,
        requests,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}

export interface Content {
  readonly body: Buffer;
  readonly etag?: string;
  readonly lastModified?: string;
}

/** A server as it should be: ranges, If-Range, validators. */
export function whole(content: Content): Script {
  return serve(content, content.body.length);
}

/** The same, but it breaks the connection off when it has sent the byte before `upTo`. */
export function brokenOffAt(content: Content, upTo: number): Script {
  return serve(content, upTo);
}

function serve({ body, etag, lastModified }: Content, upTo: number): Script {
  return (request, response) => {
    if (etag !== undefined) response.setHeader('ETag', etag);
    if (lastModified !== undefined) response.setHeader('Last-Modified', lastModified);
    const from = rangeStart(request, etag ?? lastModified);
    response.setHeader('Content-Length', body.length - from);
    if (from > 0) {
      response.statusCode = 206;
      response.setHeader('Content-Range', `bytes ${from}-${body.length - 1}/${body.length}`);
    }
    const part = body.subarray(from, Math.max(from, upTo));
    if (upTo >= body.length) return response.end(part);
    response.write(part, () => response.socket?.destroy());
    return undefined;
  };
}

/** 0 when the range is not asked for, or is of another version. */
function rangeStart({ headers }: IncomingMessage, validator: string | undefined): number {
  const range = /^bytes=(\d+)-$/.exec(headers.range ?? '');
  return range !== null && headers['if-range'] === validator ? Number(range[1]) : 0;
}

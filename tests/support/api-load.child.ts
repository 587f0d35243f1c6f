// Sends request after request over kept connections for a while, and tells its parent how many a second were answered 200.
// Raw sockets: a client library would be slower than either server.
import { connect } from 'node:net';

interface Shot {
  readonly port: number;
  readonly path: string;
  readonly token: string;
  readonly connections: number;
  readonly forMs: number;
  /** Default GET; with a body it is sent each time. */
  readonly method?: string;
  readonly body?: string;
}

const OK = Buffer.from('HTTP/1.1 200');
const LENGTH = /\r\ncontent-length: (\d+)\r\n/i;
const END = Buffer.from('\r\n\r\n');

const shot = JSON.parse(process.argv[2] ?? '{}') as Shot;
const { method = 'GET', body = '' } = shot;
const length = body === '' ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
const request = `${method} ${shot.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${shot.token}\r\nAccept: */*\r\n${length}\r\n${body}`;
let answered = 0;
let isOver = false;

/** One connection: a request, its whole answer, the next request. */
function keepAsking(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(shot.port, '127.0.0.1', () => socket.write(request));
    let head = Buffer.alloc(0);
    let leftBytes = -1;
    const done = () => {
      answered++;
      head = Buffer.alloc(0);
      leftBytes = -1;
      if (isOver) socket.end();
      else socket.write(request);
    };
    socket.on('data', (chunk) => {
      if (leftBytes < 0) {
        head = head.byteLength === 0 ? chunk : Buffer.concat([head, chunk]);
        const end = head.indexOf(END);
        if (end < 0) return;
        if (!head.subarray(0, OK.byteLength).equals(OK))
          return void socket.destroy(new Error(head.toString()));
        const size = LENGTH.exec(head.subarray(0, end + 2).toString('latin1'))?.[1];
        leftBytes = Number(size) - (head.byteLength - end - END.byteLength);
      } else {
        leftBytes -= chunk.byteLength;
      }
      if (leftBytes === 0) done();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}

const startedAt = performance.now();
setTimeout(() => (isOver = true), shot.forMs);
await Promise.all(Array.from({ length: shot.connections }, keepAsking));
process.send?.(answered / ((performance.now() - startedAt) / 1_000));
process.disconnect();

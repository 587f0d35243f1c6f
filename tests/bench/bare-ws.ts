// The floor of messages between daemons: bare ws and msgpackr over the same TLS, one message a frame.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { pack, unpack } from 'msgpackr';
import { WebSocket, WebSocketServer } from 'ws';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';

export const TO = { kind: 'instance', id: '7feb7939-b568-48f7-b02d-822589a7c8dc' };
export const BODY = 'x'.repeat(100);
/** In place of a number, when no answer is wanted. */
const TOLD = 0;

/** A WebSocket over TLS to a server of its own, both in this process. */
export async function openBare({ ca, certificate: cert, key }: MeshIdentity) {
  const counts = { heard: 0 };
  const server = createServer({ cert, key });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    socket.on('message', (bytes) => {
      const message = unpack(bytes as Buffer) as [number];
      if (message[0] === TOLD) counts.heard++;
      else socket.send(pack(message));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const options = { ca, rejectUnauthorized: false, perMessageDeflate: false };
  const socket = new WebSocket(`wss://127.0.0.1:${port}`, options);
  const waiting = new Map<number, (value: unknown) => void>();
  socket.on('message', (bytes) => {
    const [seq, value] = unpack(bytes as Buffer) as [number, unknown];
    waiting.get(seq)?.(value);
    waiting.delete(seq);
  });
  await once(socket, 'open');
  let last = 0;
  const ask = () =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      socket.send(pack([last, BODY, TO.kind, TO.id, 'bench']));
    });
  const tell = () => socket.send(pack([TOLD, BODY, TO.kind, TO.id, 'bench']));
  const close = async () => {
    socket.close();
    await once(socket, 'close');
    server.close();
  };
  return { ask, tell, counts, close };
}

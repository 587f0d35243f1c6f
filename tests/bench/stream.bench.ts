// An event told to 1,000 subscribers, against a bare ws broadcast of the same bytes to as many sockets in the same run.
// Clients in this process on both sides: what they cost is the same.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { systemClock } from '../../actors/kernel/clock.ts';
import type { Channel } from '../../src/api/http/channel.ts';
import { itemFrames, written } from '../../src/api/stream/frames.ts';
import { Hub } from '../../src/api/stream/hub.ts';
import type { Subscription } from '../../src/api/stream/subscription.ts';
import { SOCKET_LIMITS, WebSockets } from '../../src/daemon/web-sockets.ts';
import { eventAt, MemoryHistory } from '../support/memory-history.ts';
import { heapUsed } from './memory.ts';
import type { Report } from './row.ts';

const SUBSCRIBERS = 1_000;
const EVENTS = 200;
const ROUNDS = 3;
/** Told and not yet heard by all. */
const UNHEARD = 20;

interface Broadcast {
  /** Tells all one event. */
  readonly tell: () => void;
  readonly clients: readonly WebSocket[];
  close(): Promise<void>;
}

function itemAt(revision: number) {
  const event = eventAt(revision, { extra: { note: 'x'.repeat(100) } });
  return { what: 'event', revision, kind: 'instance', id: 'i1', namespace: 'lab', event } as const;
}

const everything: Subscription = {
  filter: { namespace: 'lab' },
  kinds: null,
  after: null,
  key: 'lab',
  refusal: () => null,
};

async function listening(
  upgraded: (...upgrade: Parameters<WebSocketServer['handleUpgrade']>) => void,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer();
  server.on('upgrade', (request, socket, head) => upgraded(request, socket, head, () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

async function connectAll(port: number): Promise<WebSocket[]> {
  const clients: WebSocket[] = [];
  for (let count = 0; count < SUBSCRIBERS; count++) {
    const client = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
    client.on('error', () => undefined);
    await once(client, 'open');
    clients.push(client);
  }
  return clients;
}

async function ours(): Promise<Broadcast> {
  const history = new MemoryHistory();
  const hub = new Hub({ node: 'n1', history, clock: systemClock });
  const sockets = new WebSockets(systemClock, { ...SOCKET_LIMITS, perNamespace: 2_000 });
  const speak = (channel: Channel) => {
    const reader = hub.join(channel, everything);
    return {
      received: () => {},
      end: (code: number, reason: string) => reader.end(code, reason),
      closed: () => hub.leave(reader),
    };
  };
  const server = await listening((request, socket, head) =>
    sockets.accept({ request, socket, head }, 'lab', speak),
  );
  const clients = await connectAll(server.port);
  return {
    tell: () => {
      const revision = history.revision + 1;
      history.batch([itemAt(revision)], revision);
    },
    clients,
    close: async () => {
      hub.close();
      await sockets.close();
      await server.close();
    },
  };
}

async function bare(): Promise<Broadcast> {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const open: WebSocket[] = [];
  const server = await listening((request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (accepted) => void open.push(accepted)),
  );
  const clients = await connectAll(server.port);
  const [frame] = itemFrames([written(itemAt(1))], 1);
  return {
    tell: () => {
      for (const socket of open) socket.send(frame?.bytes ?? '', { binary: false });
    },
    clients,
    close: async () => {
      for (const socket of open) socket.terminate();
      await server.close();
    },
  };
}

/** Deliveries per second; each client hears each event. */
async function measure({ tell, clients }: Broadcast): Promise<number> {
  let heard = 0;
  const hear = (frame: Buffer) => {
    if (frame.includes('"items"')) heard++;
  };
  for (const client of clients) client.on('message', hear);
  const begun = performance.now();
  for (let told = 0; heard < EVENTS * SUBSCRIBERS;) {
    while (told < EVENTS && told - heard / SUBSCRIBERS < UNHEARD) {
      tell();
      told++;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const tookMs = performance.now() - begun;
  for (const client of clients) client.off('message', hear);
  return (EVENTS * SUBSCRIBERS * 1_000) / tookMs;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

export async function bench(report: Report): Promise<void> {
  const floor = await bare();
  const before = heapUsed();
  const hub = await ours();
  const perReader = (heapUsed() - before) / SUBSCRIBERS / 1024;
  await measure(hub);
  const figures: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    figures[0].push(await measure(floor));
    figures[1].push(await measure(hub));
  }
  const rates = { ours: median(figures[1]), floor: median(figures[0]) };
  report({ name: `events to ${SUBSCRIBERS} subscribers, against bare ws`, unit: '/s', ...rates });
  const name = 'memory of a subscriber and its client';
  report({ name, ours: perReader, floor: 0, unit: 'KiB' });
  await hub.close();
  await floor.close();
}

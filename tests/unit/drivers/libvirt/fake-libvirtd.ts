// A peer that speaks just enough of the protocol to misbehave in it.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame, FrameReader } from '../../../../src/drivers/libvirt/frame.ts';
import type { Frame } from '../../../../src/drivers/libvirt/frame.ts';
import { PROCEDURES } from '../../../../src/drivers/libvirt/procedures.ts';
import { encode } from '../../../../src/drivers/libvirt/xdr.ts';

/** One client's connection, as the fake sees it. */
export interface FakePeer {
  readonly socket: Socket;
  /** Everything that the client sent, in order. */
  readonly received: Frame[];
  reply(to: Frame, payload?: Buffer): void;
  send(frame: Partial<Frame>): void;
}

/** Answers a call itself and returns true, or leaves it to the handshake's answers. */
export type FakeHandler = (frame: Frame, peer: FakePeer) => boolean | void;

export interface FakeLibvirtd {
  readonly socketPath: string;
  readonly peers: FakePeer[];
  /** Replaced by tests: sees each frame first. */
  handle: FakeHandler;
  close(): Promise<void>;
}

const EMPTY = Buffer.alloc(0);

/** What a willing daemon answers while a session is opened. */
const ANSWERS: ReadonlyMap<number, () => Buffer> = new Map([
  [PROCEDURES.authList.number, () => encode(PROCEDURES.authList.result, { types: [0] })],
  [PROCEDURES.connectOpen.number, () => EMPTY],
  [PROCEDURES.connectClose.number, () => EMPTY],
  [
    PROCEDURES.connectSupportsFeature.number,
    () => encode(PROCEDURES.connectSupportsFeature.result, { supported: true }),
  ],
  [
    PROCEDURES.connectDomainEventCallbackRegisterAny.number,
    () => encode(PROCEDURES.connectDomainEventCallbackRegisterAny.result, { callbackId: 1 }),
  ],
]);

export async function startFakeLibvirtd(handle: FakeHandler = () => false): Promise<FakeLibvirtd> {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-fake-libvirtd-'));
  const socketPath = join(directory, 'sock');
  const fake: FakeLibvirtd = { socketPath, peers: [], handle, close };
  const server = createServer((socket) => serve(fake, socket));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));

  async function close(): Promise<void> {
    for (const peer of fake.peers) peer.socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true, force: true });
  }
  return fake;
}

function serve(fake: FakeLibvirtd, socket: Socket): void {
  const reader = new FrameReader();
  const peer: FakePeer = {
    socket,
    received: [],
    reply: (to, payload = EMPTY) => peer.send({ ...to, type: 'reply', payload }),
    send: (frame) => {
      const defaults = { program: 0x20008086, procedure: 0, serial: 0, status: 'ok' } as const;
      socket.write(encodeFrame({ ...defaults, type: 'message', payload: EMPTY, ...frame }));
    },
  };
  fake.peers.push(peer);
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    for (const frame of reader.push(chunk).frames) {
      peer.received.push(frame);
      if (fake.handle(frame, peer) === true) continue;
      const answer = frame.type === 'call' ? ANSWERS.get(frame.procedure) : undefined;
      if (answer !== undefined) peer.reply(frame, answer());
    }
  });
}

// Bytes both ways between a client's channel and something on a machine (a console).
//
// Y1  Neither side holds more than HIGH_BYTES of what the other is slow to take: it is not read from meanwhile.
// Y2  A client that takes nothing for STALL_MS is cut.
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../../actors/kernel/clock.ts';
import { CLOSE, type Channel, type ChannelEnd } from '../http/channel.ts';

const HIGH_BYTES = 256 * 1024;
const STALL_MS = 30_000;

export interface Bytes {
  readonly stream: Duplex;
  readonly clock: Clock;
  /** Why it ended on its own; `error` when it failed. */
  readonly whyEnded: (error: Error | null) => Promise<{ code: number; reason: string }>;
}

/** Joins them until either ends. */
export function joinBytes(channel: Channel, { stream, clock, whyEnded }: Bytes): ChannelEnd {
  let isOver = false;
  let stall: Timer | undefined;
  let failure: Error | null = null;
  const close = (code: number, reason: string) => {
    if (isOver) return;
    isOver = true;
    stall?.cancel();
    stream.destroy();
    channel.close(code, reason);
  };
  stream.on('data', (chunk: Buffer) => {
    if (isOver) return;
    const isFull = channel.bufferedBytes + chunk.length > HIGH_BYTES;
    if (!isFull || stall !== undefined) return channel.sendBytes(chunk);
    stream.pause();
    stall = clock.after(STALL_MS, () => close(CLOSE.slow, 'nothing was read for too long'));
    channel.sendBytes(chunk, () => {
      stall?.cancel();
      stall = undefined;
      stream.resume();
    });
  });
  stream.on('error', (error) => (failure = error));
  stream.on('drain', () => channel.resume());
  stream.on('close', () => {
    if (isOver) return;
    void whyEnded(failure).then(({ code, reason }) => close(code, reason));
  });
  return {
    received: (frame) => {
      if (!stream.writable) return;
      if (!stream.write(frame)) channel.pause();
    },
    end: close,
    closed: () => {
      isOver = true;
      stall?.cancel();
      stream.destroy();
    },
  };
}

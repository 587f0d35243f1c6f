// Two ends of a link in memory: what one end sends arrives at the other when the test says so.
import type { AskReply } from '../../actors/kernel/ports.ts';
import { decodeFrame, type Hello, type Item } from '../../transport/mesh/frame.ts';
import { Link, type LinkOptions, type Wire } from '../../transport/mesh/link.ts';
import { ManualClock, settle } from './kernel.ts';

/** Bytes that a WebSocket takes as the reason of a close. */
const MAX_REASON_BYTES = 123;

export function meshHello(node: string, changes: Partial<Hello> = {}): Hello {
  const protocol = { protocolMin: 1, protocolMax: 1 };
  const own = { cluster: 'lab', node, bootId: `boot-${node}`, version: '1', features: [] };
  return { kind: 'hello', ...protocol, ...own, ...changes };
}

/** A wire whose frames wait in `sent`; closing checks its reason as ws does. */
export class HeldWire implements Wire {
  readonly sent: Uint8Array[] = [];
  bufferedBytes = 0;
  closed: { readonly code: number; readonly reason: string } | null = null;

  send(frame: Uint8Array): void {
    this.sent.push(frame);
  }

  close(code: number, reason: string): void {
    if (Buffer.byteLength(reason) > MAX_REASON_BYTES) throw new RangeError('reason too long');
    this.closed = { code, reason };
  }

  /** What was sent since the last look. */
  take(): Item[] {
    return this.sent.splice(0).flatMap((frame) => {
      const decoded = decodeFrame(frame);
      if (!decoded.ok) throw new Error(decoded.reason);
      return [...decoded.items];
    });
  }
}

export interface End {
  readonly link: Link;
  readonly wire: HeldWire;
  readonly endings: string[];
}

/** One end, called a, that speaks with b. */
export function meshEnd(clock: ManualClock, changes: Partial<LinkOptions> = {}): End {
  const wire = new HeldWire();
  const endings: string[] = [];
  const link = new Link({
    own: meshHello('a'),
    name: 'b',
    isDialler: true,
    wire,
    clock,
    log: () => {},
    handle: (_to, body): Promise<AskReply> =>
      Promise.resolve({ value: body as string, revision: 0 }),
    onOpen: () => {},
    onClosed: (_link, reason) => void endings.push(reason),
    ...changes,
  });
  return { link, wire, endings };
}

/** Carries frames and closes between two ends until nothing moves any more. */
export async function exchange(one: End, other: End): Promise<void> {
  for (let isMoving = true; isMoving;) {
    await settle(3);
    const moved = [carry(one, other), carry(other, one)];
    isMoving = moved.includes(true);
  }
}

function carry(from: End, to: End): boolean {
  const frames = from.wire.sent.splice(0);
  for (const frame of frames) to.link.received(frame);
  const { closed } = from.wire;
  if (closed !== null && to.link.state !== 'closed') to.link.wireClosed(closed.code, closed.reason);
  return frames.length > 0;
}

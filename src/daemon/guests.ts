// What reaches into the guests of this machine: their agents' work, and pictures of their screens.
import type { Hypervisor } from '../../actors/instance/ports.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { GuestOperations } from '../../actors/node/guest-operations.ts';
import type { ImageDriver } from '../drivers/image/driver.ts';
import type { Guests } from './machine-service.ts';

/** Read at a time of a blob that goes into a guest. */
const PIECE_BYTES = 1024 * 1024;

export interface GuestParts {
  /** Of this daemon. */
  readonly boot: string;
  readonly hypervisor: Pick<Hypervisor, 'agentOf' | 'screenshot'>;
  readonly images: Pick<ImageDriver, 'open' | 'spool'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** End it with operations.stop(). */
export function guestsOf(parts: GuestParts): Guests & { readonly operations: GuestOperations } {
  const { boot, hypervisor, images, clock, log } = parts;
  const { spool } = images;
  return {
    operations: new GuestOperations({
      boot,
      agentOf: (instanceId) => hypervisor.agentOf(instanceId),
      spool,
      readBlob: (blobId) => bytesOf(images, blobId),
      clock,
      log,
    }),
    takeScreenshot: async (instanceId) => {
      const { image } = await hypervisor.screenshot(instanceId);
      return await spool.keep(once(image), new AbortController().signal);
    },
  };
}

async function* bytesOf(
  images: Pick<ImageDriver, 'open'>,
  blobId: string,
): AsyncGenerator<Uint8Array> {
  const replica = await images.open(blobId);
  try {
    for (let at = 0; at < replica.sizeBytes; at += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, replica.sizeBytes - at));
      await replica.read(piece, at);
      yield piece;
    }
  } finally {
    await replica.close();
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

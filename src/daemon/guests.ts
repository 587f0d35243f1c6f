// What reaches into the guests of this machine: their agents' work, pictures of their screens, copies of their disks.
import { randomUUID } from 'node:crypto';
import type { Hypervisor } from '../../actors/instance/ports.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { DiskCopying, type DiskCopier, type Queues } from '../../actors/node/disk-copying.ts';
import { GuestOperations, type Spool } from '../../actors/node/guest-operations.ts';
import { Slots, Turns } from '../drivers/turns.ts';
import type { MachineFiles } from './machine-service/files.ts';
import type { Guests } from './machine-service/guests.ts';

/** Read at a time of a blob that goes into a guest. */
const PIECE_BYTES = 1024 * 1024;

export interface GuestParts {
  /** Of this daemon. */
  readonly boot: string;
  readonly hypervisor: Pick<Hypervisor, 'agentOf' | 'screenshot' | 'copyDisks'>;
  readonly images: MachineFiles & { readonly copier: DiskCopier };
  readonly clock: Clock;
  readonly log: Log;
}

/** Compressed at once. */
const FLATTENED_AT_ONCE = 2;

/** End it with operations.stop() and diskCopying.stop(). */
export function guestsOf(
  parts: GuestParts,
): Guests & { readonly operations: GuestOperations; readonly diskCopying: DiskCopying } {
  const { boot, hypervisor, images, clock, log } = parts;
  const keep = keepIn(images.spool);
  return {
    operations: new GuestOperations({
      boot,
      agentOf: (instanceId) => hypervisor.agentOf(instanceId),
      spool: { keep },
      readBlob: (blobId) => bytesOf(images, blobId),
      clock,
      log,
    }),
    diskCopying: new DiskCopying({ ...parts, ...images, queues: queues() }),
    takeScreenshot: async (instanceId) => {
      const { image } = await hypervisor.screenshot(instanceId);
      return await keep(once(image), new AbortController().signal);
    },
  };
}

function queues(): Queues {
  const [turns, slots] = [new Turns(), new Slots(FLATTENED_AT_ONCE)];
  return { turn: (key, work) => turns.run(key, work), slot: (work) => slots.run(work) };
}

/** What breaks off leaves nothing. */
function keepIn(spool: MachineFiles['spool']): Spool['keep'] {
  return async (chunks, signal) => {
    const id = randomUUID();
    try {
      // A file that has no bytes is a file too.
      let sizeBytes = await spool.write(id, 0, new Uint8Array());
      for await (const chunk of chunks) {
        if (signal.aborted) throw new TroupeError('actor/stopped', 'called off');
        sizeBytes = await spool.write(id, sizeBytes, chunk);
      }
      return id;
    } catch (error) {
      await spool.remove(id);
      throw error;
    }
  };
}

async function* bytesOf(
  images: Pick<MachineFiles, 'open'>,
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

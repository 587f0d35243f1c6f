// Answers what is asked of this machine's daemon itself (actors/node/machine-message.ts).
import { OUTCOME_WAIT_MS } from '../../actors/agent-operation/effects.ts';
import { PROGRESS_WAIT_MS } from '../../actors/disk-snapshot/effects.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import { parseAddress } from '../../actors/kernel/kind.ts';
import type { EventRecord } from '../../actors/kernel/ports.ts';
import type { Service } from '../../actors/kernel/router.ts';
import type { Runtime } from '../../actors/kernel/runtime.ts';
import type { SourceVerdict } from '../../actors/artifact/state.ts';
import type { DiskCopying } from '../../actors/node/disk-copying.ts';
import type { GuestOperations } from '../../actors/node/guest-operations.ts';
import { decodeMachineMessage, type MachineMessage } from '../../actors/node/machine-message.ts';
import type { Resources } from './resources.ts';
import type { HeldReplica } from '../drivers/image/held-replica.ts';
import type { KnownSource } from '../drivers/image/source-check.ts';
import type { Exports } from '../drivers/image/nbd/exports.ts';
import type { Reads } from '../drivers/image/nbd/reads.ts';
import type { Spool } from '../drivers/image/spool.ts';
import type { Dataplane } from '../../actors/network/ports.ts';
import type { Consoles } from '../api/services.ts';
import type { TicketBooth } from '../api/stream/tickets.ts';

/** Of the machine's own instances. */
export interface MachineConsoles extends Pick<Consoles, 'readConsole' | 'clearConsole'> {
  screenKind(vdi: string): 'vnc' | 'spice';
}

/** What reaches into the guests of this machine. */
export interface Guests {
  readonly operations: Pick<GuestOperations, 'bootFor' | 'run' | 'end'>;
  readonly diskCopying: Pick<DiskCopying, 'run' | 'end'>;
  /** Takes a picture of the screen into the spool; resolves to its id there. */
  takeScreenshot(instanceId: string): Promise<string>;
}
/** Of those at work; a list for people. */
const MOST_BUSY = 1_000;

export interface MachineServiceOptions {
  readonly runtime: Pick<Runtime, 'inspect' | 'stuck' | 'busy'>;
  readonly pid: number;
  readonly resources: () => Resources;
  readonly processes: () => Record<string, number>;
  readonly consoles: MachineConsoles;
  readonly tickets: Pick<TicketBooth, 'redeem'>;
  readonly usageOf: (instanceId: string) => readonly EventRecord[];
  readonly guests: Guests;
  readonly dataplane: Pick<Dataplane, 'ping'>;
  readonly clock: Clock;
  readonly files: MachineFiles;
}

/** What a machine has on its disk of blobs, and of what is to become one. */
export interface MachineFiles {
  readonly spool: Pick<Spool, 'write' | 'resize' | 'size' | 'remove'>;
  open(blobId: string): Promise<Pick<HeldReplica, 'sizeBytes' | 'read' | 'close'>>;
  checkSource(known: KnownSource): Promise<SourceVerdict>;
  readonly exports: Pick<Exports, 'serve'>;
  readonly reads: Pick<Reads, 'announce'>;
}

/** At once; each is a process for some 10 s. */
const MOST_PINGS = 16;

export function machineService(options: MachineServiceOptions): Service {
  const { runtime, pid, resources, processes, consoles, guests, clock, files } = options;
  const ping = limitedPing(options.dataplane);
  return async (_to, body, trace) => {
    const message = decodeMachineMessage(body);
    switch (message.kind) {
      case 'inspect': {
        const address = parseAddress(message.address);
        return address === undefined ? null : plain(runtime.inspect(address) ?? null);
      }
      case 'stuck':
        return plain(runtime.stuck(clock.nowMs()));
      case 'busy':
        return plain({ pid, busy: runtime.busy(MOST_BUSY) });
      case 'resources':
        return resources();
      case 'processes':
        return processes();
      case 'read-console': {
        const bytes = await consoles.readConsole(message.instanceId, message.lengthBytes);
        return Buffer.from(bytes).toString('base64');
      }
      case 'clear-console':
        await consoles.clearConsole(message.instanceId);
        return null;
      case 'redeem-ticket':
        return options.tickets.redeem(message.secret);
      case 'screen-kind':
        return consoles.screenKind(message.vdi);
      case 'usage':
        return plain(options.usageOf(message.instanceId));
      case 'guest-boot':
      case 'run-agent-operation':
      case 'end-agent-operation':
      case 'copy-disks':
      case 'end-copy-disks':
      case 'take-screenshot':
        return await ofGuests(guests, message, trace);
      case 'spool-write':
        return await files.spool.write(message.id, message.offset, message.bytes);
      case 'spool-resize':
        await files.spool.resize(message.id, message.sizeBytes);
        return null;
      case 'spool-size':
        return await files.spool.size(message.id);
      case 'spool-remove':
        await files.spool.remove(message.id);
        return null;
      case 'read-replica':
      case 'serve-replica':
      case 'read-through':
        return await ofReplicas(files, message, trace);
      case 'check-source':
        return plain(await files.checkSource(message));
      case 'ping':
        return plain(await ping(message.networkId, message.address, trace));
    }
  };
}

async function ofReplicas(
  files: MachineFiles,
  message: Extract<MachineMessage, { kind: 'read-replica' | 'serve-replica' | 'read-through' }>,
  trace: string,
): Promise<Json> {
  switch (message.kind) {
    case 'read-replica':
      // Bytes are plain data to the mesh, though not to JSON.
      return (await readReplica(files, message)) as unknown as Json;
    case 'serve-replica':
      return plain(await files.exports.serve(message.blobId, trace));
    case 'read-through':
      await files.reads.announce(message.blobId, trace);
      return true;
  }
}

type GuestMessage = Extract<
  MachineMessage,
  {
    kind:
      | 'guest-boot'
      | 'run-agent-operation'
      | 'end-agent-operation'
      | 'copy-disks'
      | 'end-copy-disks'
      | 'take-screenshot';
  }
>;

async function ofGuests(guests: Guests, message: GuestMessage, trace: string): Promise<Json> {
  switch (message.kind) {
    case 'guest-boot':
      return guests.operations.bootFor(message.instanceId);
    case 'run-agent-operation':
      return plain(await guests.operations.run(message, OUTCOME_WAIT_MS));
    case 'end-agent-operation':
      guests.operations.end(message.operationId);
      return null;
    case 'copy-disks':
      return plain(await guests.diskCopying.run(message, PROGRESS_WAIT_MS, trace));
    case 'end-copy-disks':
      await guests.diskCopying.end(message.snapshotId, message.blobIds);
      return null;
    case 'take-screenshot':
      return await guests.takeScreenshot(message.instanceId);
  }
}

function limitedPing(dataplane: Pick<Dataplane, 'ping'>): Dataplane['ping'] {
  let running = 0;
  return async (...what) => {
    if (running >= MOST_PINGS) {
      const reason = `this machine sends ${MOST_PINGS} pings already; try again in some seconds`;
      throw new TroupeError('actor/overloaded', reason);
    }
    running++;
    try {
      return await dataplane.ping(...what);
    } finally {
      running--;
    }
  };
}

async function readReplica(
  files: MachineFiles,
  { blobId, offset, lengthBytes }: { blobId: string; offset: number; lengthBytes: number },
): Promise<Uint8Array> {
  const replica = await files.open(blobId);
  try {
    const bytes = Buffer.alloc(Math.max(0, Math.min(lengthBytes, replica.sizeBytes - offset)));
    await replica.read(bytes, offset);
    return bytes;
  } finally {
    await replica.close();
  }
}

/** As it goes over the wire: what is undefined is left out. */
function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

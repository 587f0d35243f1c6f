// What the API asks of all machines, or of the one that has it.
import { randomUUID } from 'node:crypto';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import { formatAddress, type Address } from '../../actors/kernel/kind.ts';
import type { EventRecord, Log, Router } from '../../actors/kernel/ports.ts';
import { closed, received, oneOf, Type, type Static } from '../../actors/kernel/schema.ts';
import {
  BusyReply,
  decodeBusy,
  machineRef,
  type MachineMessage,
} from '../../actors/node/machine-message.ts';
import type { ChannelDialler, OpenChannel } from '../../transport/mesh/channel.ts';
import type { ApiServices, Consoles, MachineBytes, Nodes, Operations } from '../api/services.ts';
import {
  decodeTicket,
  formatTicket,
  parseTicket,
  type TicketBooth,
  type Tickets,
} from '../api/stream/tickets.ts';
import type { ReadModel } from '../read/read-model.ts';

/** For what can be left out of an answer: a machine that is away holds it up no longer. */
const ASIDE_MS = 3_000;
/** A disk may be slow, and busy. */
const BYTES_MS = 20_000;

export interface ClusterWideOptions {
  readonly node: string;
  readonly read: ReadModel;
  readonly router: Router;
  readonly log: Log;
  /** The node that decides for the address; null: nobody now. */
  readonly nodeOf: (address: Address) => string | null;
  readonly members: () => readonly { readonly node: string }[];
}

export function operations(options: ClusterWideOptions): Pick<Operations, 'inspect' | 'stuck'> {
  const { router, nodeOf } = options;
  return {
    inspect: async (address) => {
      const node = nodeOf(address);
      if (node === null) return null;
      const message = { kind: 'inspect', address: formatAddress(address) } as const;
      return (await router.ask(machineRef(node), message, { trace: randomUUID() })).value;
    },
    stuck: async () => {
      const all = await askAll(options, { kind: 'stuck' }, 'what is stuck');
      return all.flatMap(({ value }) => (value ?? []) as Json[]);
    },
  };
}

/** Every member; one that does not answer has no value: what is missing is no reason to keep back what the others say. */
async function askAll(
  { router, members, log, node: self }: ClusterWideOptions,
  message: MachineMessage,
  what: string,
): Promise<{ readonly node: string; readonly value: Json | undefined }[]> {
  const nodes = members().map(({ node }) => node);
  const asked = (nodes.length === 0 ? [self] : nodes).map(async (node) => {
    try {
      const { value } = await router.ask(machineRef(node), message, { trace: randomUUID() });
      return { node, value };
    } catch (error) {
      log('warn', `a member was not asked for ${what}`, { member: node, reason: reasonOf(error) });
      return { node, value: undefined };
    }
  });
  return Promise.all(asked);
}

export function machines(
  options: ClusterWideOptions,
): Pick<Nodes, 'resources' | 'processes' | 'busy'> {
  const ask = async (node: string, kind: 'resources' | 'processes') =>
    (await options.router.ask(machineRef(node), { kind }, { trace: randomUUID() })).value;
  return {
    resources: async (node) => (await ask(node, 'resources')) as Record<string, Json>,
    processes: (node) => ask(node, 'processes'),
    busy: async () => {
      const all = await askAll(options, { kind: 'busy' }, 'what it does');
      return all.map(({ node, value }) => {
        const { pid, busy } = value === undefined ? NOT_SAID : decodeBusy(value);
        return { node, pid, busy };
      });
    },
  };
}

const NOT_SAID: Static<typeof BusyReply> = { pid: 0, busy: [] };

/** Bytes on the machines' disks. */
export function machineBytes({ router }: Pick<ClusterWideOptions, 'router'>): MachineBytes {
  const ask = async (node: string, message: MachineMessage, trace: string): Promise<Json> =>
    (await router.ask(machineRef(node), message, { trace, timeoutMs: BYTES_MS })).value;
  return {
    write: async (node, id, { offset, bytes }, trace) =>
      Number(await ask(node, { kind: 'spool-write', id, offset, bytes }, trace)),
    resize: async (node, id, sizeBytes, trace) => {
      await ask(node, { kind: 'spool-resize', id, sizeBytes }, trace);
    },
    size: async (node, id, trace) => {
      const size = await ask(node, { kind: 'spool-size', id }, trace);
      return size === null ? null : Number(size);
    },
    readReplica: async (node, blobId, { offset, lengthBytes }, trace) => {
      const message = { kind: 'read-replica', blobId, offset, lengthBytes } as const;
      const bytes: unknown = await ask(node, message, trace);
      if (bytes instanceof Uint8Array) return bytes;
      throw new TroupeError('mesh/foreign-error', `${node} answered no bytes`);
    },
  };
}

/** What the instance has used lately on the machine that it is on; nothing when that one does not answer. */
export function usageOf(options: ClusterWideOptions): ApiServices['usageOf'] {
  const { read, router, log } = options;
  return async (instanceId) => {
    const node = read.instances.get(instanceId)?.state.node ?? null;
    if (node === null) return [];
    const trace = randomUUID();
    try {
      const { value } = await router.ask(
        machineRef(node),
        { kind: 'usage', instanceId },
        { trace, timeoutMs: ASIDE_MS },
      );
      return value as unknown as readonly EventRecord[];
    } catch (error) {
      // The other events are worth telling all the same.
      log('info', 'a machine was not asked for usage', { node, trace, reason: reasonOf(error) });
      return [];
    }
  };
}

export interface ConsoleWays {
  /** Those of this machine. */
  readonly here: Pick<Consoles, 'openConsole'>;
  /** To other machines'. */
  readonly channels: ChannelDialler;
}

/** Of the machine that the instance is on; one that has no machine yet has no console. */
export function consoles(
  { read, router, log, node: self }: ClusterWideOptions,
  { here, channels }: ConsoleWays,
): Consoles {
  const nodeOf = (instanceId: string) => read.instances.get(instanceId)?.state.node ?? self;
  const at = (instanceId: string) => machineRef(nodeOf(instanceId));
  return {
    openConsole: (instanceId, which) => {
      const node = nodeOf(instanceId);
      if (node === self) return here.openConsole(instanceId, which);
      return channels.open(node, { what: 'console', instanceId, which });
    },
    readConsole: async (instanceId, lengthBytes) => {
      const message = { kind: 'read-console', instanceId, lengthBytes } as const;
      const { value } = await router.ask(at(instanceId), message, { trace: randomUUID() });
      return Buffer.from(value as string, 'base64');
    },
    clearConsole: async (instanceId) => {
      const message = { kind: 'clear-console', instanceId } as const;
      await router.ask(at(instanceId), message, { trace: randomUUID() });
    },
    screenKind: async (instanceId) => {
      const vdi = read.instances.get(instanceId)?.state.video.vdi ?? 'vnc';
      const trace = randomUUID();
      try {
        const message = { kind: 'screen-kind', vdi } as const;
        const { value } = await router.ask(at(instanceId), message, { trace, timeoutMs: ASIDE_MS });
        return value === 'spice' ? 'spice' : 'vnc';
      } catch (error) {
        log('info', 'a machine was not asked how it shows screens', { trace, error });
        return vdi === 'vnc' ? 'vnc' : 'spice';
      }
    },
  };
}

const decodeAbout = received(
  'channel',
  closed({
    what: Type.Literal('console'),
    instanceId: Type.String(),
    which: oneOf(['serial', 'graphic']),
  }),
);

/** Opens what other machines' channels are about. */
export function channelOpener(here: Pick<Consoles, 'openConsole'>): OpenChannel {
  return async (about) => {
    const { instanceId, which } = decodeAbout(about);
    return here.openConsole(instanceId, which);
  };
}

const REDEEM_MS = 5_000;

/** Each is redeemed at the node that made it, once. */
export function tickets(
  { node: self, router, members, log }: ClusterWideOptions,
  booth: TicketBooth,
): Tickets {
  return {
    issue: (ticket) => formatTicket(self, booth.issue(ticket)),
    redeem: async (text) => {
      const parsed = parseTicket(text);
      if (parsed === null) return null;
      const { node, secret } = parsed;
      if (node === self) return booth.redeem(secret);
      // A stranger's word is no reason to look for a node.
      if (!members().some((one) => one.node === node)) return null;
      try {
        const message = { kind: 'redeem-ticket', secret } as const;
        const options = { trace: randomUUID(), timeoutMs: REDEEM_MS };
        const { value } = await router.ask(machineRef(node), message, options);
        return value === null ? null : decodeTicket(value);
      } catch (error) {
        log('warn', 'a ticket was not redeemed', { member: node, reason: reasonOf(error) });
        return null;
      }
    },
  };
}

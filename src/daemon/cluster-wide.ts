// What the API asks of all machines, or of the one that has it.
import { randomUUID } from 'node:crypto';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import { formatAddress, type Address } from '../../actors/kernel/kind.ts';
import type { Log, Router } from '../../actors/kernel/ports.ts';
import { machineRef } from '../../actors/node/machine-message.ts';
import { closed, decoder, oneOf, Type } from '../../actors/kernel/schema.ts';
import type { ChannelDialler, OpenChannel } from '../../transport/mesh/channel.ts';
import type { Consoles, Operations } from '../api/services.ts';
import {
  decodeTicket,
  formatTicket,
  parseTicket,
  type TicketBooth,
  type Tickets,
} from '../api/stream/tickets.ts';
import type { ReadModel } from '../read/read-model.ts';

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
  const { router, nodeOf, members, log, node: self } = options;
  return {
    inspect: async (address) => {
      const node = nodeOf(address);
      if (node === null) return null;
      const message = { kind: 'inspect', address: formatAddress(address) } as const;
      return (await router.ask(machineRef(node), message, { trace: randomUUID() })).value;
    },
    stuck: async () => {
      const nodes = members().map(({ node }) => node);
      const asked = (nodes.length === 0 ? [self] : nodes).map(async (node) => {
        try {
          const { value } = await router.ask(
            machineRef(node),
            { kind: 'stuck' },
            { trace: randomUUID() },
          );
          return value as Json[];
        } catch (error) {
          // What is missing is no reason to keep back what the others say.
          log('warn', 'a member was not asked for what is stuck', {
            member: node,
            reason: reasonOf(error),
          });
          return [];
        }
      });
      return (await Promise.all(asked)).flat();
    },
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
  { read, router, node: self }: ClusterWideOptions,
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
  };
}

const decodeAbout = decoder(
  'channel',
  closed({
    what: Type.Literal('console'),
    instanceId: Type.String(),
    which: oneOf(['serial', 'graphic']),
  }),
  'actor/bad-message',
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
